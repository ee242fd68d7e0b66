//! `/control`: what a test or a load generator asks of the service itself. Control requests are
//! never in the ledger and never wait for the service's engine.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};

use crate::fastapi;
use crate::latency::Sequence;
use crate::ledger::{Ledger, Snapshot};

/// Where the control routes are.
pub(crate) const PREFIX: &str = "/control";

/// Whether a request to `path` is a control request.
pub(crate) fn owns(path: &str) -> bool {
    path.strip_prefix(PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[derive(Clone)]
struct Control {
    ledger: Arc<Ledger>,
    sequence: Arc<Sequence>,
}

/// The control routes, relative to [`PREFIX`].
pub(crate) fn router(ledger: &Arc<Ledger>, sequence: &Arc<Sequence>) -> Router {
    let control = Control { ledger: Arc::clone(ledger), sequence: Arc::clone(sequence) };
    Router::new()
        .route("/ledger", get(read))
        .route("/reset", post(reset))
        .fallback(fastapi::not_found)
        .method_not_allowed_fallback(fastapi::method_not_allowed)
        .with_state(control)
}

async fn read(State(control): State<Control>) -> Json<Snapshot> {
    Json(control.ledger.snapshot())
}

/// An empty ledger, and the same draws again as after the start.
async fn reset(State(control): State<Control>) -> StatusCode {
    control.ledger.reset();
    control.sequence.restart();
    StatusCode::NO_CONTENT
}
