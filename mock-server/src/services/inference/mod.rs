//! The inference service: sentiment of one text or of a batch, as a FastAPI service with a model
//! behind it.

mod model;
mod validation;

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde_json::{Value, json};

use crate::fastapi::{self, Rejection};
use crate::latency::{Distribution, Latency, Sequence};
use crate::ledger::Work;
use crate::pool::{Pool, Stopped, Turn};
use model::Prediction;
use validation::{LARGEST_BATCH, LONGEST_TEXT};

/// How the inference service behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inference {
    /// How requests share the model.
    pub engine: Engine,
    /// How long a prediction takes; its items are texts.
    pub latency: Latency,
    /// What a prediction does in that time.
    pub spend: Spend,
    /// Seed of the latency model.
    pub seed: u64,
}

impl Default for Inference {
    /// Four workers that sleep 75 ms a request and 2.5 ms a text, without jitter; seed 42.
    fn default() -> Self {
        Inference {
            engine: Engine::default(),
            latency: Latency {
                base: Distribution::Fixed(Duration::from_millis(75)),
                per_item: Duration::from_micros(2_500),
            },
            spend: Spend::Sleep,
            seed: 42,
        }
    }
}

/// How requests share the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// A synchronous model call on the event loop: one request at a time. Every route waits, that of
    /// the health check too.
    Blocking,
    /// Model calls on threads of their own: one request a worker at a time; other routes answer at
    /// once.
    Threaded {
        /// Number of threads.
        workers: NonZeroUsize,
    },
}

impl Default for Engine {
    fn default() -> Self {
        Engine::Threaded { workers: const { NonZeroUsize::new(4).expect("invariant: 4 > 0") } }
    }
}

/// What a prediction does while it lasts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Spend {
    /// Its thread sleeps, as one that waits for an accelerator: the time is wall-clock time.
    #[default]
    Sleep,
    /// Its thread computes: the time is the thread's own CPU time, however long that takes.
    Cpu,
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

struct Service {
    behaviour: Inference,
    sequence: Arc<Sequence>,
    /// None where predictions take no time: they are answered without a change of thread.
    pool: Option<Pool>,
}

/// The routes of the service; draws are numbered by `sequence`.
pub(crate) fn router(behaviour: Inference, sequence: Arc<Sequence>) -> io::Result<Router> {
    let workers = match behaviour.engine {
        Engine::Blocking => NonZeroUsize::MIN,
        Engine::Threaded { workers } => workers,
    };
    let pool = (!behaviour.latency.is_zero()).then(|| Pool::start(workers)).transpose()?;
    let service = Arc::new(Service { behaviour, sequence, pool });
    let router = Router::new()
        .route("/", get(index))
        .route("/health", get(health))
        .route("/models/info", get(info))
        .route("/predict", post(predict))
        .route("/predict_batch", post(predict_batch))
        .fallback(fastapi::not_found)
        .method_not_allowed_fallback(fastapi::method_not_allowed)
        .with_state(Arc::clone(&service));
    Ok(match behaviour.engine {
        Engine::Blocking => router.layer(middleware::from_fn_with_state(service, in_turn)),
        Engine::Threaded { .. } => router,
    })
}

async fn index() -> Json<Value> {
    Json(json!({
        "service": "inference",
        "version": VERSION,
        "endpoints": ["/predict", "/predict_batch", "/health", "/models/info"],
    }))
}

async fn health() -> Json<Value> {
    Json(json!({
        "status": "healthy",
        "model_loaded": true,
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
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Rejection> {
    let text = validation::text(&headers, &body)?;
    let (predictions, served) = service.predict(vec![text]).await?;
    Ok((served, Json(&predictions[0])).into_response())
}

async fn predict_batch(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Rejection> {
    let texts = validation::texts(&headers, &body)?;
    let (predictions, served) = service.predict(texts).await?;
    Ok((served, Json(json!({ "predictions": predictions }))).into_response())
}

/// What a response takes along: the work behind it, for the ledger, and on a blocked event loop the
/// turn of its request, which is over when the connection has taken the response apart.
type Served = (Extension<Work>, Extension<Option<Turn>>);

impl Service {
    async fn predict(&self, texts: Vec<String>) -> Result<(Vec<Prediction>, Served), Rejection> {
        // A batch holds LARGEST_BATCH texts at most.
        let items = texts.len() as u32;
        let Inference { latency, spend, seed, .. } = self.behaviour;
        let intended = latency.draw(seed, self.sequence.next(), items);
        let job = move || {
            let started = Instant::now();
            let predictions = match spend {
                Spend::Sleep => model::predict_waiting(texts, intended),
                Spend::Cpu => model::predict_computing(texts, intended),
            };
            (predictions, Work { items, intended, spent: started.elapsed() })
        };
        let ((predictions, work), turn) = self.run(job).await?;
        Ok((predictions, (Extension(work), Extension(turn))))
    }

    /// Runs `job` where the engine runs predictions.
    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<(T, Option<Turn>), Rejection> {
        let done = match (&self.pool, self.behaviour.engine) {
            (None, _) => Ok((job(), None)),
            (Some(pool), Engine::Threaded { .. }) => pool.run(job).await.map(|value| (value, None)),
            (Some(pool), Engine::Blocking) => {
                pool.run_in_turn(job).await.map(|(value, turn)| (value, Some(turn)))
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
        let ((), turn) = service.run(|| ()).await?;
        response.extensions_mut().insert(turn);
    }
    Ok(response)
}
