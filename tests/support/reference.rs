//! A reference service inside the test: its ledger is the ground truth.

#![allow(dead_code, reason = "each test file uses a part of this")]

use std::time::Duration;

use mock_server::latency::{Distribution, Latency};
use mock_server::ledger::Snapshot;
use mock_server::{Behaviour, Inference};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// A model that answers quickly, so that tests are short.
pub fn quick() -> Inference {
    let base = Distribution::around(Duration::from_millis(5), Duration::from_millis(2));
    let base = base.expect("the jitter is below the base");
    Inference {
        latency: Latency { per_item: Duration::from_micros(200), ..Latency::of(base) },
        ..Inference::default()
    }
}

/// A running reference service; it ends when this is dropped.
pub struct Reference {
    pub url: String,
    runtime: Runtime,
    shutdown: CancellationToken,
}

impl Reference {
    /// Starts an inference service on a free port.
    pub fn inference(inference: Inference) -> Reference {
        Reference::of(Behaviour::Inference(inference))
    }

    /// Starts any service on a free port.
    pub fn of(behaviour: Behaviour) -> Reference {
        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shutdown = CancellationToken::new();
        runtime.spawn(mock_server::run(listener, shutdown.clone(), behaviour));
        Reference { url, runtime, shutdown }
    }

    /// What the service really did.
    pub fn ledger(&self) -> Snapshot {
        let address = format!("{}/control/ledger", self.url);
        self.runtime.block_on(async {
            let answer = reqwest::get(address).await.expect("the ledger answers");
            answer.json().await.expect("the ledger's form")
        })
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}
