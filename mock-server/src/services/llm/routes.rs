//! Which request goes where.

use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, Method, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::errors::{Dialect, Failure};
use super::probe::Reading;
use super::{Call, Service, auth};
use crate::conditions::Arrival;
use crate::faults::Kind;

pub(super) const OPENAI: &str = "/v1/chat/completions";
pub(super) const AZURE: &str = "/openai/deployments/{deployment}/chat/completions";

/// What is listed where the settings name no models.
const USUAL_MODELS: [&str; 2] = ["gpt-4o", "gpt-4o-mini"];
/// When the models were made, seconds since 1970: the same every time.
const CREATED: u64 = 1_715_367_049;

pub(super) fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route(OPENAI, post(openai))
        .route(AZURE, post(azure))
        .route("/v1/models", get(models))
        .route("/v1/models/{id}", get(model))
        .route("/health", get(health))
        .route("/probe", get(probe))
        .fallback(no_route)
        .method_not_allowed_fallback(wrong_method)
        .with_state(service)
}

async fn openai(
    State(service): State<Arc<Service>>,
    Extension(arrival): Extension<Arrival>,
    request: Request,
) -> Response {
    chat(&service, Dialect::OpenAi, None, &arrival, request).await
}

async fn azure(
    State(service): State<Arc<Service>>,
    Extension(arrival): Extension<Arrival>,
    Path(deployment): Path<String>,
    request: Request,
) -> Response {
    chat(&service, Dialect::Azure, Some(&deployment), &arrival, request).await
}

async fn chat(
    service: &Service,
    dialect: Dialect,
    deployment: Option<&str>,
    arrival: &Arrival,
    request: Request,
) -> Response {
    let since = Instant::now();
    let (head, body) = request.into_parts();
    let call = Call { dialect, deployment, head: &head, arrival, since };
    match to_bytes(body, usize::MAX).await {
        Ok(body) => service.chat(call, &body).await,
        Err(_) => Failure::bad_body("The body of your request is incomplete.").response(dialect),
    }
}

#[derive(serde::Serialize)]
struct Model<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
}

impl<'a> Model<'a> {
    fn new(id: &'a str) -> Model<'a> {
        Model { id, object: "model", created: CREATED, owned_by: "reference" }
    }
}

async fn models(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    let behaviour = &service.behaviour;
    if let Err(failure) = auth::check(&behaviour.api_keys, &headers, Dialect::OpenAi) {
        return failure.response(Dialect::OpenAi);
    }
    let list: Vec<Model<'_>> = match behaviour.models.is_empty() {
        true => USUAL_MODELS.into_iter().map(Model::new).collect(),
        false => behaviour.models.iter().map(|id| Model::new(id)).collect(),
    };
    Json(json!({ "object": "list", "data": list })).into_response()
}

async fn model(
    State(service): State<Arc<Service>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Service { behaviour, .. } = &*service;
    let is_known = behaviour.models.is_empty() || behaviour.models.contains(&id);
    let found = auth::check(&behaviour.api_keys, &headers, Dialect::OpenAi)
        .and_then(|()| is_known.then(|| Model::new(&id)).ok_or_else(|| Failure::no_model(&id)));
    match found {
        Ok(model) => Json(model).into_response(),
        Err(failure) => failure.response(Dialect::OpenAi),
    }
}

async fn health(State(service): State<Arc<Service>>) -> Json<Value> {
    let is_loaded = !service.conditions.of_service(Kind::ModelNotLoaded).0;
    Json(json!({
        "status": if is_loaded { "healthy" } else { "unhealthy" },
        "model_loaded": is_loaded,
        "service_name": "llm",
        "version": env!("CARGO_PKG_VERSION"),
    }))
}

async fn probe(State(service): State<Arc<Service>>) -> Json<Reading> {
    Json(service.probe.read())
}

async fn no_route(method: Method, uri: Uri) -> Response {
    let dialect = dialect(&uri);
    Failure::no_route(dialect, method.as_str(), uri.path()).response(dialect)
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    Failure::wrong_method(method.as_str(), uri.path()).response(dialect(&uri))
}

fn dialect(uri: &Uri) -> Dialect {
    Dialect::of(uri.path())
}
