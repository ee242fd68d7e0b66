//! The multi-query service: rows, each fanned out into several chat completions, of which a row gets
//! all outputs or none.
//!
//! - `POST /rows {"state_id": "…", "rows": [{…}, …], "trace": false}` answers 200 with
//!   `{"state_id", "rows", "stats"}`, also when rows fail: a row that failed has `_error` in place
//!   of outputs. With `"trace": true` it tells of each query as well.
//! - `GET /stats`: counts, pool, stage times, template cache, since the start or the last
//!   `POST /control/reset`. The stages of one batch are in the `stats` of its answer.
//! - `GET /config`: the settings at the start, without the key. `GET /health`, `GET /`.

mod aimd;
mod check;
mod client;
mod engine;
mod expand;
mod failure;
mod output;
mod pool;
mod query;
mod request;
mod row;
mod settings;
mod states;
mod stats;
mod template;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::conditions::Arrival;
use crate::fastapi::{self, Rejection};
use crate::ledger::{Ledger, Work};
use crate::service::{Context, Service};
use crate::upstream::Upstream;
use aimd::Throttle;
use client::Client;
use engine::{Batch, Ended};
use expand::Query;
use pool::Pool;
pub use settings::{
    CaseStudy, Criterion, Execution, MultiQuery, Order, OutputField, OutputType, QueryEngine,
    ResponseFormat,
};
use states::States;
use stats::Stats;
use template::Template;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What the routes share.
struct App {
    core: Arc<Core>,
    /// With the last of the routes' shares in it, the pool's threads stop waiting.
    _over: DropGuard,
}

/// What all queries share.
struct Core {
    settings: MultiQuery,
    queries: Vec<Query>,
    template: Template,
    response_format: Option<Value>,
    client: Client,
    states: States,
    pool: Pool,
    throttle: Mutex<Throttle>,
    retry_budget: Duration,
    /// Places for rows in the pipeline of the engine of that name.
    pipeline: Arc<Semaphore>,
    stats: Stats,
    ledger: Arc<Ledger>,
}

impl Core {
    /// Statistics begin anew; what is in progress goes on.
    fn forget(&self) {
        self.stats.reset();
        self.template.reset();
        self.pool.forget_peak();
        self.throttle().forget_peak();
    }
}

/// The service with this behaviour.
pub(crate) fn service(mut behaviour: MultiQuery, context: &Context) -> io::Result<Service> {
    behaviour.check().map_err(io::Error::other)?;
    behaviour.order = Some(behaviour.order());
    let over = CancellationToken::new();
    let core = Arc::new(Core::new(behaviour, context, over.clone())?);
    // A weak reference: the service ends with its routes.
    let counted = Arc::downgrade(&core);
    let app = Arc::new(App { core, _over: over.drop_guard() });
    let router = Router::new()
        .route("/", get(index))
        .route("/health", get(health))
        .route("/config", get(config))
        .route("/stats", get(stats))
        .route("/rows", post(rows))
        .fallback(fastapi::not_found)
        .method_not_allowed_fallback(fastapi::method_not_allowed)
        .with_state(app);
    Ok(Service {
        router,
        work: &["/rows"],
        refuse: fastapi::refuse,
        essential: &["rows"],
        forget: Arc::new(move || {
            if let Some(core) = counted.upgrade() {
                core.forget();
            }
        }),
    })
}

async fn index() -> Json<Value> {
    Json(json!({
        "service": "multi-query",
        "version": VERSION,
        "endpoints": ["/rows", "/health", "/stats", "/config"],
    }))
}

async fn health() -> Json<Value> {
    Json(json!({ "status": "healthy", "service_name": "multi-query", "version": VERSION }))
}

async fn config(State(app): State<Arc<App>>) -> Json<MultiQuery> {
    Json(app.core.settings.clone())
}

async fn stats(State(app): State<Arc<App>>) -> Json<Value> {
    Json(app.core.report())
}

async fn rows(
    State(app): State<Arc<App>>,
    Extension(arrival): Extension<Arrival>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Rejection> {
    let request::Rows { state_id, rows, trace } = request::rows(&headers, &body)?;
    // A batch has 10,000 rows at most.
    let items = rows.len() as u32;
    let intended = arrival.latency().draw(arrival.draws, items);
    let begun = Instant::now();
    if !intended.is_zero() {
        tokio::time::sleep(intended).await;
    }
    let core = &app.core;
    let state = core.states.get(&state_id);
    let ended = Batch::new(core, state, arrival.draws.number(), rows).run().await;
    core.count(&ended);
    let work = Work { items, intended, spent: begun.elapsed(), tokens: ended.tokens };
    Ok((Extension(work), Json(answer(state_id, ended, trace))).into_response())
}

fn answer(state_id: String, ended: Ended, trace: bool) -> Value {
    let mut answer = json!({
        "state_id": state_id,
        "stats": {
            "rows": ended.rows.len(),
            "rows_failed": ended.rows_failed,
            "queries": ended.stages.len(),
            "queries_failed": ended.queries_failed,
            "elapsed_ms": ended.took.as_secs_f64() * 1e3,
            "stages": stats::table(&ended.stages),
        },
    });
    answer["rows"] = ended.rows.into_iter().map(Value::Object).collect();
    if trace {
        answer["trace"] = json!(ended.traces);
    }
    answer
}

impl Core {
    fn new(settings: MultiQuery, context: &Context, over: CancellationToken) -> io::Result<Core> {
        let upstream =
            Upstream::new(&settings.upstream.for_calls(settings.pool_size), &context.ledger)?;
        Ok(Core {
            queries: expand::expand(&settings),
            template: Template::new(&settings).map_err(io::Error::other)?,
            response_format: output::response_format(
                settings.response_format,
                &settings.output_mapping,
            ),
            client: Client::new(upstream, settings.client_retries, settings.seed),
            states: States::default(),
            pool: Pool::new(&settings, over)?,
            throttle: Mutex::new(Throttle::new(&settings)),
            retry_budget: Duration::from_secs_f64(settings.max_capacity_retry_seconds),
            pipeline: Arc::new(Semaphore::new(engine::MOST_PENDING)),
            stats: Stats::new(),
            ledger: Arc::clone(&context.ledger),
            settings,
        })
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        // Each change is one assignment: after a panic elsewhere the throttle is whole.
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, ended: &Ended) {
        self.ledger.count(&[
            ("rows", ended.rows.len() as u64),
            ("rows_failed", ended.rows_failed),
            ("queries", ended.stages.len() as u64),
            ("queries_failed", ended.queries_failed),
        ]);
    }

    fn report(&self) -> Value {
        let report = self.stats.report();
        let (in_use, peak_in_use) = self.pool.in_use();
        let (delay, peak_delay) = {
            let throttle = self.throttle();
            (throttle.current(), throttle.peak())
        };
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        json!({
            "elapsed_s": report.elapsed.as_secs_f64(),
            "counts": report.counts,
            "pool": {
                "size": self.pool.size(),
                "execution": self.settings.execution,
                "engine": self.settings.engine,
                "order": self.settings.order,
                "in_use": in_use,
                "max_concurrency": peak_in_use,
                "capacity_retries": report.counts.capacity_retries,
                "successes": report.counts.successes,
                "current_delay_ms": ms(delay),
                "peak_delay_ms": ms(peak_delay),
                "throttled_ms": ms(report.throttled),
            },
            "stages": report.stages,
            "template_cache": self.template.cache_figures(),
            "clients_created": self.ledger.snapshot().upstream.clients,
            "state_ids": self.states.len(),
        })
    }
}
