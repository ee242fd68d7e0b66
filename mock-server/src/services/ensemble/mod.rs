//! The ensemble service: a question is asked as of several points in time, and the answers are
//! joined by what changed between them and by a narrative. It knows how to be slow, as it was before
//! its optimisation, and fast.

mod answer;
mod breaker;
mod cache;
mod calls;
mod classification;
mod key_changes;
mod monitoring;
mod narrative;
mod normalise;
mod pipeline;
mod prompts;
mod request;
mod settings;
mod snapshots;
mod stopwatch;
mod stream;
mod timeline;
mod warming;
mod watch;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use crate::conditions::Arrival;
use crate::fastapi::{self, Rejection};
use crate::ledger::Work;
use crate::service::{self, Context};
use monitoring::{Monitor, alerts, breakdown, metrics};
use pipeline::Pipeline;
use request::Ask;
pub use settings::{
    CacheKind, CircuitBreaker, Ensemble, KeyChanges, Outage, Pooling, Price, Snapshots,
};
use warming::Warming;
use watch::Watch;

const VERSION: &str = env!("CARGO_PKG_VERSION");

struct Service {
    pipeline: Pipeline,
    monitor: Arc<Monitor>,
    warming: Warming,
}

/// The service with this behaviour. The task that warms its cache up begins at once.
pub(crate) fn service(behaviour: Ensemble, context: &Context) -> io::Result<service::Service> {
    let behaviour = behaviour.checked().map_err(io::Error::other)?;
    let is_warmed = behaviour.warming;
    let service = Arc::new(Service {
        monitor: Arc::new(Monitor::new(behaviour.time_scale)),
        pipeline: Pipeline::new(behaviour, &context.ledger)?,
        warming: Warming::default(),
    });
    if is_warmed {
        let (service, context) = (Arc::clone(&service), context.clone());
        tokio::spawn(async move {
            service.warming.run(&service.pipeline, &context.ledger, &context.shutdown).await;
        });
    }
    // A weak reference: the service ends with its routes.
    let counted = Arc::downgrade(&service);
    let router = Router::new()
        .route("/api/time-travel", post(time_travel))
        .route("/api/time-travel-stream", post(time_travel_stream))
        .route("/api/health", get(health))
        .route("/api/monitoring/metrics", get(show_metrics))
        .route("/api/monitoring/stats", get(show_stats))
        .route("/api/monitoring/alerts", get(show_alerts))
        .route("/api/monitoring/latency-breakdown", get(show_breakdown))
        .route("/api/monitoring/reset-stats", post(reset_stats))
        .fallback(fastapi::not_found)
        .method_not_allowed_fallback(fastapi::method_not_allowed)
        .with_state(service);
    Ok(service::Service {
        router,
        work: &["/api/time-travel", "/api/time-travel-stream"],
        refuse: fastapi::refuse,
        essential: &["snapshots", "evolution_narrative"],
        forget: Arc::new(move || {
            if let Some(service) = counted.upgrade() {
                service.monitor.reset();
                service.pipeline.cache.forget_counts();
                service.pipeline.calls.forget_counts();
            }
        }),
    })
}

/// A request that has been read, whichever way it is answered.
struct Begun {
    started: Instant,
    ask: Ask,
    /// The intended time.
    intended: Duration,
}

impl Begun {
    fn new(
        service: &Service,
        arrival: &Arrival,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<Begun, Rejection> {
        let started = Instant::now();
        let ask = Ask::read(headers, body, &service.pipeline.behaviour.prices)?;
        Ok(Begun { started, ask, intended: arrival.latency().draw(arrival.draws, 0) })
    }
}

async fn time_travel(
    State(service): State<Arc<Service>>,
    Extension(arrival): Extension<Arrival>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Rejection> {
    let Begun { started, ask, intended } = Begun::new(&service, &arrival, &headers, &body)?;
    let watch = Watch { monitor: Arc::clone(&service.monitor), events: None };
    let done = service.pipeline.run(&ask, intended, &watch).await;
    let (items, tokens) = (done.made, done.tokens);
    let work = Work { items, intended, spent: started.elapsed(), tokens };
    let answer = match done.result {
        Ok(answer) => Json(answer).into_response(),
        Err(down) => {
            Rejection::detail(StatusCode::SERVICE_UNAVAILABLE, down.to_string()).into_response()
        }
    };
    Ok((Extension(work), answer).into_response())
}

/// Of a stream, snapshots and tokens are not known when its head is sent: the ledger's counters
/// `snapshots_made`, `prompt_tokens` and `completion_tokens` have them.
async fn time_travel_stream(
    State(service): State<Arc<Service>>,
    Extension(arrival): Extension<Arrival>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Rejection> {
    let Begun { started, ask, intended } = Begun::new(&service, &arrival, &headers, &body)?;
    let behaviour = &service.pipeline.behaviour;
    let (heartbeat, time_scale) = (behaviour.scaled(behaviour.heartbeat), behaviour.time_scale);
    let (sender, events) = mpsc::unbounded_channel();
    let watch = Watch { monitor: Arc::clone(&service.monitor), events: Some(sender) };
    let work = Box::pin(async move {
        service.pipeline.run(&ask, intended, &watch).await;
    });
    // An interval of no time at all is none.
    let heartbeat = heartbeat.max(Duration::from_millis(1));
    let response = stream::respond(work, events, heartbeat, time_scale);
    let work = Work { intended, spent: started.elapsed(), ..Work::default() };
    Ok((Extension(work), response).into_response())
}

async fn health(State(service): State<Arc<Service>>) -> Json<Value> {
    let breaker = service.pipeline.calls.breaker();
    Json(json!({
        "status": "healthy",
        "service_name": "ensemble",
        "version": VERSION,
        "circuit_breaker": breaker.map(|breaker| breaker.state),
        "time_scale": service.pipeline.behaviour.time_scale,
    }))
}

async fn show_metrics(State(service): State<Arc<Service>>) -> Response {
    let text = metrics(service.monitor.time_scale(), &service.monitor.stats());
    ([(header::CONTENT_TYPE, monitoring::CONTENT_TYPE)], text).into_response()
}

async fn show_stats(State(service): State<Arc<Service>>) -> Json<Value> {
    let stats = service.monitor.stats();
    let operations: Map<String, Value> =
        stats.iter().map(|stats| (stats.operation.name().to_owned(), json!(stats))).collect();
    Json(json!({
        "operations": operations,
        "percentile_method": monitoring::PERCENTILES,
        "time_scale": service.pipeline.behaviour.time_scale,
        "elapsed_seconds": service.monitor.elapsed().as_secs_f64(),
        "circuit_breaker": service.pipeline.calls.breaker(),
        "cache": service.pipeline.cache.report(),
        "warming": service.warming.report(),
    }))
}

async fn show_alerts(State(service): State<Arc<Service>>) -> Json<Value> {
    let alerts = alerts(&service.monitor.stats());
    Json(json!({ "count": alerts.len(), "alerts": alerts }))
}

async fn show_breakdown(State(service): State<Arc<Service>>) -> Json<Value> {
    Json(breakdown(&service.monitor.stats()))
}

/// Forgets the times of all operations. Circuit breaker and cache stay as they are.
async fn reset_stats(State(service): State<Arc<Service>>) -> Json<Value> {
    service.monitor.reset();
    Json(json!({ "status": "reset" }))
}
