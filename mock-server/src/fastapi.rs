//! Request bodies and error bodies in FastAPI's forms.

pub(crate) mod body;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};

use crate::service::Refusal;

/// Why a request gets an error for an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Rejection {
    /// `{"detail": "…"}` with a status.
    Detail(StatusCode, String),
    /// Status 422 with the list of everything that is wrong with a body.
    Unprocessable(Vec<Problem>),
}

impl Rejection {
    /// `{"detail": "…"}` with a status.
    pub(crate) fn detail(status: StatusCode, text: impl Into<String>) -> Self {
        Rejection::Detail(status, text.into())
    }
}

impl From<Problem> for Rejection {
    fn from(problem: Problem) -> Self {
        Rejection::Unprocessable(vec![problem])
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let (status, detail) = match self {
            Rejection::Detail(status, text) => (status, json!(text)),
            Rejection::Unprocessable(list) => (StatusCode::UNPROCESSABLE_ENTITY, json!(list)),
        };
        (status, Json(json!({ "detail": detail }))).into_response()
    }
}

/// The error of a fault, in FastAPI's form.
pub(crate) fn refuse(refusal: &Refusal) -> Response {
    let reason = refusal.status.canonical_reason().unwrap_or("Error");
    let text = if refusal.is_unloaded { "Model not loaded" } else { reason };
    Rejection::detail(refusal.status, text).into_response()
}

/// No route has this path.
pub(crate) async fn not_found() -> Rejection {
    Rejection::detail(StatusCode::NOT_FOUND, "Not Found")
}

/// The route does not take this method.
pub(crate) async fn method_not_allowed() -> Rejection {
    Rejection::detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
}

/// One entry of a validation list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    loc: Vec<Value>,
    msg: String,
    input: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    ctx: Option<Value>,
}

impl Problem {
    /// `kind` is the machine-readable name, `loc` leads from `"body"` to the value `input`.
    pub(crate) fn new(
        kind: &'static str,
        loc: &[Value],
        msg: impl Into<String>,
        input: Value,
    ) -> Self {
        Problem { kind, loc: loc.to_vec(), msg: msg.into(), input, ctx: None }
    }

    /// Adds the limits or causes that the message speaks of.
    pub(crate) fn with_context(mut self, ctx: Value) -> Self {
        self.ctx = Some(ctx);
        self
    }
}
