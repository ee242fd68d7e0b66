//! The inference service: sentiment of one text or of a batch, as a FastAPI service with a model
//! behind it.

mod cost;
mod features;
mod model;
mod settings;
mod validation;

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde_json::{Value, json};

use crate::conditions::{Arrival, Conditions};
use crate::fastapi::{self, Rejection};
use crate::faults::Kind;
use crate::ledger::{Ledger, Tokens, Work};
use crate::pool::{Pool, Stopped, Turn};
use crate::service::{self, Context};
use cost::Parts;
use features::Features;
use model::Prediction;
pub use settings::{Engine, Inference, Spend};
use validation::{LARGEST_BATCH, LONGEST_TEXT};

const VERSION: &str = env!("CARGO_PKG_VERSION");

struct Service {
    behaviour: Inference,
    pool: Pool,
    /// None without a feature cache.
    features: Option<Features>,
    ledger: Arc<Ledger>,
    conditions: Arc<Conditions>,
}

/// The service with this behaviour.
pub(crate) fn service(behaviour: Inference, context: &Context) -> io::Result<service::Service> {
    let workers = match behaviour.engine {
        Engine::Blocking => NonZeroUsize::MIN,
        Engine::Threaded { workers } => workers,
    };
    let is_blocking = behaviour.engine == Engine::Blocking;
    let service = Arc::new(Service {
        pool: Pool::start(workers)?,
        features: behaviour.feature_cache.then(Features::default),
        ledger: Arc::clone(&context.ledger),
        conditions: Arc::clone(&context.conditions),
        behaviour,
    });
    let router = Router::new()
        .route("/", get(index))
        .route("/health", get(health))
        .route("/models/info", get(info))
        .route("/predict", post(predict))
        .route("/predict_batch", post(predict_batch))
        .fallback(fastapi::not_found)
        .method_not_allowed_fallback(fastapi::method_not_allowed)
        .with_state(Arc::clone(&service));
    let router = match is_blocking {
        true => router.layer(middleware::from_fn_with_state(service, in_turn)),
        false => router,
    };
    Ok(service::Service {
        router,
        work: &["/predict", "/predict_batch"],
        refuse: fastapi::refuse,
        essential: &["sentiment", "predictions"],
        forget: Arc::new(|| {}),
    })
}

async fn index() -> Json<Value> {
    Json(json!({
        "service": "inference",
        "version": VERSION,
        "endpoints": ["/predict", "/predict_batch", "/health", "/models/info"],
    }))
}

/// Status 200 even without a model, as services do whose health check asks only for the process.
async fn health(State(service): State<Arc<Service>>) -> Json<Value> {
    let is_loaded = !service.conditions.of_service(Kind::ModelNotLoaded).0;
    Json(json!({
        "status": if is_loaded { "healthy" } else { "unhealthy" },
        "model_loaded": is_loaded,
        "service_name": "inference",
        "version": VERSION,
    }))
}

async fn info() -> Json<Value> {
    Json(json!({
        "model_name": model::NAME,
        "model_version": model::VERSION,
        "labels": model::LABELS,
        "max_text_length": LONGEST_TEXT,
        "max_batch_size": LARGEST_BATCH,
    }))
}

async fn predict(
    State(service): State<Arc<Service>>,
    Extension(arrival): Extension<Arrival>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Rejection> {
    let text = validation::text(&headers, &body)?;
    let (predictions, served) = service.predict(&arrival, vec![text]).await?;
    Ok((served, Json(&predictions[0])).into_response())
}

async fn predict_batch(
    State(service): State<Arc<Service>>,
    Extension(arrival): Extension<Arrival>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Rejection> {
    let texts = validation::texts(&headers, &body)?;
    let (predictions, served) = service.predict(&arrival, texts).await?;
    Ok((served, Json(json!({ "predictions": predictions }))).into_response())
}

/// What a response takes along: the work behind it, for the ledger, and on a blocked event loop the
/// turn of its request, which is over when the connection has taken the response apart.
type Served = (Extension<Work>, Extension<Option<Turn>>);

impl Service {
    async fn predict(
        self: &Arc<Self>,
        arrival: &Arrival,
        texts: Vec<String>,
    ) -> Result<(Vec<Prediction>, Served), Rejection> {
        // A batch holds LARGEST_BATCH texts at most.
        let items = texts.len() as u32;
        let Inference { spend, work, .. } = self.behaviour;
        let drawn = arrival.latency().draw(arrival.draws, items);
        let service = Arc::clone(self);
        // Everything is done where the work is: it is done even when the client has left.
        let job = move || {
            let started = Instant::now();
            work.carry_out(&texts);
            let cached = service.features.as_ref().map_or(0, |features| features.look_up(&texts));
            let parts = Parts::new(&service.behaviour, drawn, items, cached);
            let intended = parts.total() + work.tokenize + work.embed;
            let predictions = match spend {
                Spend::Sleep => model::predict_waiting(texts, parts),
                Spend::Cpu => model::predict_computing(texts, parts),
            };
            service.count(items, cached);
            let tokens = Tokens::default();
            (predictions, Work { items, intended, spent: started.elapsed(), tokens })
        };
        let is_instant = arrival.latency().is_zero() && work.is_none();
        let ((predictions, work), turn) = self.run(job, is_instant).await?;
        Ok((predictions, (Extension(work), Extension(turn))))
    }

    /// The calls and the work for each text, as a profiler of the service would count them.
    fn count(&self, items: u32, cached: u32) {
        let Inference { vectorised, feature_cache, logging, .. } = self.behaviour;
        let texts = u64::from(items);
        let (appends, passes) = if vectorised { (0, 1) } else { (texts, texts) };
        let lines = if logging { texts } else { 0 };
        let hits = u64::from(cached);
        self.ledger.count(&[
            ("predict", 1),
            ("append", appends),
            ("model_passes", passes),
            ("feature_extractions", texts - hits),
            ("log_lines", lines),
        ]);
        if feature_cache {
            self.ledger.count(&[("feature_cache_hits", hits)]);
        }
    }

    /// Runs `job` where the engine runs predictions; what takes no time, without a change of thread.
    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
        is_instant: bool,
    ) -> Result<(T, Option<Turn>), Rejection> {
        let done = match self.behaviour.engine {
            _ if is_instant => Ok((job(), None)),
            Engine::Threaded { .. } => self.pool.run(job).await.map(|value| (value, None)),
            Engine::Blocking => {
                self.pool.run_in_turn(job).await.map(|(value, turn)| (value, Some(turn)))
            }
        };
        done.map_err(|Stopped| {
            Rejection::detail(StatusCode::SERVICE_UNAVAILABLE, "Service is shutting down")
        })
    }
}

/// On a blocked event loop even an answer that needs no model waits for its turn.
async fn in_turn(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Result<Response, Rejection> {
    let mut response = next.run(request).await;
    if response.extensions().get::<Work>().is_none() {
        let is_instant = service.conditions.latency().is_zero();
        let ((), turn) = service.run(|| (), is_instant).await?;
        response.extensions_mut().insert(turn);
    }
    Ok(response)
}
