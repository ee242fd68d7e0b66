//! `/control`: what a test or a load generator asks of the service itself. Control requests are
//! never in the ledger and never wait for the service's engine. Nor are those to `/metrics`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRef, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::de::DeserializeOwned;

use crate::fastapi::{self, Rejection};
use crate::faults::Faults;
use crate::latency::Latency;
use crate::ledger::{Snapshot, metrics};
use crate::pprof_route;
use crate::service::{Context, Forget};

/// Where the control routes are.
pub(crate) const PREFIX: &str = "/control";

/// Where the ledger is in Prometheus' text format, as other services have theirs.
const METRICS: &str = "/metrics";

/// Whether a request to `path` is a control request, or one for a profile or metrics.
pub(crate) fn owns(path: &str) -> bool {
    let below = |prefix: &str| {
        path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    path == METRICS || below(PREFIX) || below(pprof_route::PREFIX)
}

#[derive(Clone)]
struct Control {
    context: Context,
    forget: Forget,
}

impl FromRef<Control> for Context {
    fn from_ref(control: &Control) -> Context {
        control.context.clone()
    }
}

/// The control routes, relative to [`PREFIX`].
pub(crate) fn router(context: &Context, forget: &Forget) -> Router {
    let control = Control { context: context.clone(), forget: Arc::clone(forget) };
    Router::new()
        .route("/ledger", get(read))
        .route("/faults", get(faults).put(set_faults))
        .route("/latency", get(latency).put(set_latency))
        .route("/reset", post(reset))
        .fallback(fastapi::not_found)
        .method_not_allowed_fallback(fastapi::method_not_allowed)
        .with_state(control)
}

/// What whoever watches the service asks for, outside [`PREFIX`].
pub(crate) fn metrics(context: &Context) -> Router {
    Router::new().route(METRICS, get(show_metrics)).with_state(context.clone())
}

async fn show_metrics(State(context): State<Context>) -> Response {
    let kind = [(header::CONTENT_TYPE, metrics::CONTENT_TYPE)];
    (kind, context.ledger.metrics()).into_response()
}

async fn read(State(context): State<Context>) -> Json<Snapshot> {
    Json(context.ledger.snapshot())
}

/// An empty ledger, and the same draws again as after the start.
async fn reset(State(Control { context, forget }): State<Control>) -> StatusCode {
    context.ledger.reset();
    context.conditions.restart();
    forget();
    StatusCode::NO_CONTENT
}

async fn faults(State(context): State<Context>) -> Json<Faults> {
    Json(context.conditions.faults())
}

/// Takes a list of rules, or the name of a preset, and answers with what is in force then.
async fn set_faults(State(context): State<Context>, body: Bytes) -> Result<Response, Rejection> {
    context.conditions.set_faults(parsed(&body)?);
    Ok(faults(State(context)).await.into_response())
}

async fn latency(State(context): State<Context>) -> Json<Latency> {
    Json(context.conditions.latency())
}

/// Takes a distribution, or a table of them, and answers with what is in force then.
async fn set_latency(State(context): State<Context>, body: Bytes) -> Result<Response, Rejection> {
    context.conditions.set_latency(parsed(&body)?);
    Ok(latency(State(context)).await.into_response())
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Rejection> {
    serde_json::from_slice(body)
        .map_err(|error| Rejection::detail(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))
}
