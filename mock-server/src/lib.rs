//! Reference services with a ground-truth ledger.
//!
//! Each service behaves as a real one does, in its slow and in its mended form, and keeps a
//! [`ledger`] of what it did: how many requests it accepted and answered, by route and status, and
//! how long each took. A client's own figures can be held against it.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use mock_server::{Behaviour, Inference};
//! use tokio_util::sync::CancellationToken;
//!
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let shutdown = CancellationToken::new();
//! let behaviour = Behaviour::Inference(Inference::default());
//! let ledger = mock_server::run(listener, shutdown, behaviour).await?;
//! println!("{} requests", ledger.requests.answered);
//! # Ok(())
//! # }
//! ```

mod body;
pub mod cli;
mod conditions;
pub mod config;
mod control;
pub mod document;
pub mod draws;
pub mod duration;
mod fastapi;
pub mod faults;
pub mod fleet;
pub mod latency;
mod leaks;
pub mod ledger;
mod pool;
pub mod pprof_route;
pub mod profiler;
mod record;
mod serve;
mod service;
mod services;
mod upstream;
mod wire;

use std::io;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use conditions::Conditions;
use faults::Faults;
use latency::Latency;
use leaks::Leaking;
pub use leaks::Leaks;
use ledger::{Ledger, Snapshot};
use service::Context;
pub use services::ensemble::{
    CacheKind, CircuitBreaker, Ensemble, KeyChanges, Outage, Pooling, Price, Snapshots,
};
pub use services::inference::{Engine, Inference, Spend};
pub use services::llm::{Llm, Order as CannedOrder, Pattern, PromptKind, Reply, Words};
pub use services::multi_query::{
    CaseStudy, Criterion, Execution, MultiQuery, Order, OutputField, OutputType, QueryEngine,
    ResponseFormat,
};
pub use services::work::CpuWork;
pub use upstream::{ClientUse, UpstreamSettings};

/// A service and how it behaves.
#[expect(clippy::large_enum_variant, reason = "a process has a handful of them")]
#[derive(Debug, Clone, PartialEq)]
pub enum Behaviour {
    /// Sentiment of texts, as a FastAPI service with a model behind it.
    Inference(Inference),
    /// Chat completions in OpenAI's and in Azure's form.
    Llm(Llm),
    /// Rows, each fanned out into several chat completions.
    MultiQuery(MultiQuery),
    /// Answers of several points in time, joined by a narrative.
    Ensemble(Ensemble),
}

impl Behaviour {
    /// The service's name.
    pub fn service(&self) -> &'static str {
        match self {
            Behaviour::Inference(_) => "inference",
            Behaviour::Llm(_) => "llm",
            Behaviour::MultiQuery(_) => "multi-query",
            Behaviour::Ensemble(_) => "ensemble",
        }
    }

    /// What it leaks.
    fn leak(&self) -> Leaks {
        match self {
            Behaviour::Inference(behaviour) => behaviour.leak,
            Behaviour::MultiQuery(behaviour) => behaviour.leak,
            Behaviour::Llm(_) | Behaviour::Ensemble(_) => Leaks::default(),
        }
    }

    /// Seed, latency and faults, which every service has.
    fn common(&self) -> (u64, &Latency, &Faults) {
        match self {
            Behaviour::Inference(b) => (b.seed, &b.latency, &b.faults),
            Behaviour::Llm(b) => (b.seed, &b.latency, &b.faults),
            Behaviour::MultiQuery(b) => (b.seed, &b.latency, &b.faults),
            Behaviour::Ensemble(b) => (b.seed, &b.latency, &b.faults),
        }
    }
}

/// Runs a service on `listener` until `shutdown` is cancelled, and returns its ledger at the end.
///
/// After the shutdown no connection is accepted, idle connections are closed, and requests in
/// flight have five seconds to end; what is left then is cut off and counted as abandoned.
///
/// # Errors
/// The threads of the service cannot be started.
pub async fn run(
    listener: TcpListener,
    shutdown: CancellationToken,
    behaviour: Behaviour,
) -> io::Result<Snapshot> {
    let ledger = Ledger::new(behaviour.service());
    run_with(&ledger, listener, shutdown, behaviour).await?;
    Ok(ledger.snapshot())
}

/// As [`run`], into a ledger that others read meanwhile.
pub(crate) async fn run_with(
    ledger: &Arc<Ledger>,
    listener: TcpListener,
    shutdown: CancellationToken,
    behaviour: Behaviour,
) -> io::Result<()> {
    let (seed, latency, faults) = behaviour.common();
    let conditions = Conditions::new(seed, latency.clone(), faults.clone());
    let context = Context { ledger: Arc::clone(ledger), conditions, shutdown: shutdown.clone() };
    let leaking = Leaking::new(behaviour.leak());
    let service = match behaviour {
        Behaviour::Inference(behaviour) => services::inference::service(behaviour, &context),
        Behaviour::Llm(behaviour) => services::llm::service(behaviour, &context),
        Behaviour::MultiQuery(behaviour) => services::multi_query::service(behaviour, &context),
        Behaviour::Ensemble(behaviour) => services::ensemble::service(behaviour, &context),
    }?;
    let control = control::router(&context, &service.forget);
    let app = record::recorded(service, leaking, &context).nest(control::PREFIX, control);
    let app = app.nest(pprof_route::PREFIX, pprof_route::router(&context));
    let app = app.merge(control::metrics(&context));
    serve::serve(listener, app, &context).await;
    Ok(())
}
