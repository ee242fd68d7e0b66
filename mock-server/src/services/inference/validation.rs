//! What a request body must be, and FastAPI's words for what is wrong with it.

use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::fastapi::body::{field, object};
use crate::fastapi::{Problem, Rejection};

/// Longest text, characters.
pub(super) const LONGEST_TEXT: usize = 5_000;
/// Largest batch, texts.
pub(super) const LARGEST_BATCH: usize = 100;

/// The text of `{"text": "…"}`.
pub(super) fn text(headers: &HeaderMap, body: &[u8]) -> Result<String, Rejection> {
    let value = field(object(headers, body)?, "text")?;
    valid_text(value, &[json!("body"), json!("text")]).map_err(Rejection::Unprocessable)
}

/// The texts of `{"texts": ["…", …]}`; a rejection names every text that is wrong.
pub(super) fn texts(headers: &HeaderMap, body: &[u8]) -> Result<Vec<String>, Rejection> {
    let loc = [json!("body"), json!("texts")];
    let values = match field(object(headers, body)?, "texts")? {
        Value::Array(values) => values,
        other => {
            return Err(
                Problem::new("list_type", &loc, "Input should be a valid list", other).into()
            );
        }
    };
    if values.is_empty() {
        let msg = "List should have at least 1 item after validation, not 0";
        let ctx = json!({ "field_type": "List", "min_length": 1, "actual_length": 0 });
        return Err(Problem::new("too_short", &loc, msg, json!([])).with_context(ctx).into());
    }
    let size = values.len();
    let mut texts = Vec::with_capacity(size);
    let mut problems = Vec::new();
    for (index, value) in values.into_iter().enumerate() {
        match valid_text(value, &[json!("body"), json!("texts"), json!(index)]) {
            Ok(text) => texts.push(text),
            Err(found) => problems.extend(found),
        }
    }
    if !problems.is_empty() {
        return Err(Rejection::Unprocessable(problems));
    }
    if size > LARGEST_BATCH {
        let text = format!("Batch size {size} exceeds maximum allowed size of {LARGEST_BATCH}");
        return Err(Rejection::detail(StatusCode::BAD_REQUEST, text));
    }
    Ok(texts)
}

fn valid_text(value: Value, loc: &[Value]) -> Result<String, Vec<Problem>> {
    let Value::String(text) = value else {
        return Err(vec![Problem::new(
            "string_type",
            loc,
            "Input should be a valid string",
            value,
        )]);
    };
    let (kind, msg, ctx) = if text.is_empty() {
        let msg = "String should have at least 1 character".to_owned();
        ("string_too_short", msg, json!({ "min_length": 1 }))
    // A text has at least as many bytes as characters: short ones need not be counted.
    } else if text.len() > LONGEST_TEXT && text.chars().count() > LONGEST_TEXT {
        let msg = format!("String should have at most {LONGEST_TEXT} characters");
        ("string_too_long", msg, json!({ "max_length": LONGEST_TEXT }))
    } else if text.trim().is_empty() {
        let msg = "Value error, Text cannot be empty or whitespace only".to_owned();
        ("value_error", msg, json!({ "error": {} }))
    } else {
        return Ok(text);
    };
    Err(vec![Problem::new(kind, loc, msg, json!(text)).with_context(ctx)])
}
