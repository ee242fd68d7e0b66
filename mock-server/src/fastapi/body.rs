//! Request bodies as FastAPI reads them.

use axum::http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value, json};

use super::{Problem, Rejection};

/// The field of this name, which must be there.
pub(crate) fn field(mut object: Map<String, Value>, name: &str) -> Result<Value, Rejection> {
    // The last field takes the place of the removed one; nothing reads the order any more.
    object.swap_remove(name).ok_or_else(|| {
        let loc = [json!("body"), json!(name)];
        Problem::new("missing", &loc, "Field required", Value::Object(object)).into()
    })
}

/// The object that a body holds.
pub(crate) fn object(headers: &HeaderMap, body: &[u8]) -> Result<Map<String, Value>, Rejection> {
    let loc = [json!("body")];
    if body.is_empty() {
        return Err(Problem::new("missing", &loc, "Field required", Value::Null).into());
    }
    let Ok(body) = str::from_utf8(body) else {
        let text = "There was an error parsing the body";
        return Err(Rejection::detail(StatusCode::BAD_REQUEST, text));
    };
    let value = if is_json(headers) {
        serde_json::from_str(body).map_err(|error| not_json(body, &error))?
    } else {
        json!(body)
    };
    match value {
        Value::Object(object) => Ok(object),
        other => {
            let msg = "Input should be a valid dictionary or object to extract fields from";
            Err(Problem::new("model_attributes_type", &loc, msg, other).into())
        }
    }
}

/// A body without a content type is taken for JSON, one with another type is not.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(content_type) = headers.get(header::CONTENT_TYPE) else {
        return true;
    };
    let content_type = content_type.to_str().unwrap_or_default();
    let mime = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    mime.strip_prefix("application/").is_some_and(|sub| sub == "json" || sub.ends_with("+json"))
}

fn not_json(body: &str, error: &serde_json::Error) -> Problem {
    let line_start: usize =
        body.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let end = line_start + error.column().saturating_sub(1);
    let position = body.char_indices().take_while(|(at, _)| *at < end).count();
    Problem::new("json_invalid", &[json!("body"), json!(position)], "JSON decode error", json!({}))
        .with_context(json!({ "error": error.to_string() }))
}
