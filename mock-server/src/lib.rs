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

pub mod cli;
mod control;
mod fastapi;
pub mod latency;
pub mod ledger;
mod pool;
mod record;
mod serve;
mod services;

use std::io;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use latency::Sequence;
use ledger::{Ledger, Snapshot};
pub use services::inference::{Engine, Inference, Spend};

/// A service and how it behaves.
#[derive(Debug, Clone, PartialEq)]
pub enum Behaviour {
    /// Sentiment of texts, as a FastAPI service with a model behind it.
    Inference(Inference),
}

impl Behaviour {
    /// The service's name.
    pub fn service(&self) -> &'static str {
        match self {
            Behaviour::Inference(_) => "inference",
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
    let sequence = Arc::new(Sequence::default());
    let service = match behaviour {
        Behaviour::Inference(inference) => {
            services::inference::router(inference, Arc::clone(&sequence))?
        }
    };
    let app = record::recorded(service, &ledger)
        .nest(control::PREFIX, control::router(&ledger, &sequence));
    serve::serve(listener, shutdown, app, &ledger).await;
    Ok(ledger.snapshot())
}
