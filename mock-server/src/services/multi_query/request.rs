//! What the body of a request must be.

use axum::http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

use crate::fastapi::body::{field, object};
use crate::fastapi::{Problem, Rejection};

/// Largest batch, rows.
const LARGEST_BATCH: usize = 10_000;
/// Longest state id, characters.
const LONGEST_STATE_ID: usize = 200;

/// Rows to be worked on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rows {
    /// Under this id, calls are numbered on.
    pub state_id: String,
    pub rows: Vec<Map<String, Value>>,
    /// Whether the answer tells of each query.
    pub trace: bool,
}

/// The rows of `{"state_id": "…", "rows": [{…}, …], "trace": false}`; a rejection names everything
/// that is wrong.
pub(super) fn rows(headers: &HeaderMap, body: &[u8]) -> Result<Rows, Rejection> {
    let body = object(headers, body)?;
    let trace = body.get("trace").cloned().unwrap_or(json!(false));
    let id = match body.get("state_id") {
        Some(id) => Ok(id.clone()),
        // What is missing is told with the whole body, which is copied in this case only.
        None => field(body.clone(), "state_id"),
    };
    let mut problems = Vec::new();
    let state_id = or_note(&mut problems, id.and_then(state_id))?;
    let rows = or_note(&mut problems, field(body, "rows").and_then(objects))?;
    let trace = or_note(&mut problems, truth(trace))?;
    let (Some(state_id), Some(rows), Some(trace)) = (state_id, rows, trace) else {
        return Err(Rejection::Unprocessable(problems));
    };
    if rows.len() > LARGEST_BATCH {
        let size = rows.len();
        let text = format!("Batch size {size} exceeds maximum allowed size of {LARGEST_BATCH}");
        return Err(Rejection::detail(StatusCode::BAD_REQUEST, text));
    }
    Ok(Rows { state_id, rows, trace })
}

/// The value, or nothing where it is wrong: then what is wrong is noted.
fn or_note<T>(
    problems: &mut Vec<Problem>,
    value: Result<T, Rejection>,
) -> Result<Option<T>, Rejection> {
    match value {
        Ok(value) => Ok(Some(value)),
        Err(Rejection::Unprocessable(found)) => {
            problems.extend(found);
            Ok(None)
        }
        Err(other) => Err(other),
    }
}

fn state_id(value: Value) -> Result<String, Rejection> {
    let loc = [json!("body"), json!("state_id")];
    let Value::String(id) = value else {
        return Err(
            Problem::new("string_type", &loc, "Input should be a valid string", value).into()
        );
    };
    let (kind, msg, ctx) = if id.is_empty() {
        let msg = "String should have at least 1 character".to_owned();
        ("string_too_short", msg, json!({ "min_length": 1 }))
    } else if id.chars().count() > LONGEST_STATE_ID {
        let msg = format!("String should have at most {LONGEST_STATE_ID} characters");
        ("string_too_long", msg, json!({ "max_length": LONGEST_STATE_ID }))
    } else {
        return Ok(id);
    };
    Err(Problem::new(kind, &loc, msg, json!(id)).with_context(ctx).into())
}

fn objects(value: Value) -> Result<Vec<Map<String, Value>>, Rejection> {
    let loc = [json!("body"), json!("rows")];
    let Value::Array(values) = value else {
        return Err(Problem::new("list_type", &loc, "Input should be a valid list", value).into());
    };
    if values.is_empty() {
        let msg = "List should have at least 1 item after validation, not 0";
        let ctx = json!({ "field_type": "List", "min_length": 1, "actual_length": 0 });
        return Err(Problem::new("too_short", &loc, msg, json!([])).with_context(ctx).into());
    }
    let mut rows = Vec::with_capacity(values.len());
    let mut problems = Vec::new();
    for (index, value) in values.into_iter().enumerate() {
        match value {
            Value::Object(row) => rows.push(row),
            other => {
                let loc = [json!("body"), json!("rows"), json!(index)];
                let msg = "Input should be a valid dictionary";
                problems.push(Problem::new("dict_type", &loc, msg, other));
            }
        }
    }
    if problems.is_empty() { Ok(rows) } else { Err(Rejection::Unprocessable(problems)) }
}

fn truth(value: Value) -> Result<bool, Rejection> {
    let loc = [json!("body"), json!("trace")];
    value.as_bool().ok_or_else(|| {
        Problem::new("bool_type", &loc, "Input should be a valid boolean", value).into()
    })
}
