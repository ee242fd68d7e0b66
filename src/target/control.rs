//! What gander asks of a reference service itself, besides load: to begin its ledger anew, and what is
//! in it.

use std::time::{Duration, Instant};

use mock_server::ledger::Snapshot;
use reqwest::Method;
use url::Url;

use crate::error::Error;

/// How long the service may take to answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// How long it may take to end what a client has already left.
const SETTLES_WITHIN: Duration = Duration::from_secs(5);
/// Between two looks at it.
const POLL: Duration = Duration::from_millis(20);

/// The control routes of a reference service.
#[derive(Debug)]
pub struct Control {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    base: Url,
}

impl Control {
    /// Those of the service at `base`.
    pub fn of(base: &Url) -> Result<Control, Error> {
        let cannot = |what: &str, error: &dyn std::fmt::Display| {
            Error::CannotRun(format!("{what}: {error}"))
        };
        let client = reqwest::Client::builder().no_proxy().timeout(ANSWERS_WITHIN).build();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Control {
            runtime: runtime.map_err(|error| cannot("no runtime", &error))?,
            client: client.map_err(|error| cannot("no HTTP client", &error))?,
            base: base.clone(),
        })
    }

    /// An empty ledger, and the same draws again as after the start.
    pub fn reset(&self) -> Result<(), Error> {
        self.ask(Method::POST, "control/reset").map(drop)
    }

    /// The ledger, once nothing is in flight; or, where that does not come to an end, as it is then.
    pub fn ledger(&self) -> Result<Snapshot, Error> {
        let deadline = Instant::now() + SETTLES_WITHIN;
        loop {
            let text = self.ask(Method::GET, "control/ledger")?;
            let ledger: Snapshot = serde_json::from_str(&text)
                .map_err(|error| self.refused("control/ledger", &error.to_string()))?;
            if ledger.requests.in_flight == 0 || Instant::now() >= deadline {
                return Ok(ledger);
            }
            std::thread::sleep(POLL);
        }
    }

    /// What the service answers at `path`, as JSON; of services that are no reference service too.
    pub fn json(&self, path: &str) -> Result<serde_json::Value, Error> {
        let text = self.ask(Method::GET, path)?;
        serde_json::from_str(&text).map_err(|error| self.refused(path, &error.to_string()))
    }

    fn ask(&self, method: Method, path: &str) -> Result<String, Error> {
        let failed = |error: &dyn std::fmt::Display| self.refused(path, &error.to_string());
        let url = self.base.join(path).map_err(|error| failed(&error))?;
        self.runtime.block_on(async {
            let answer = self.client.request(method, url).send().await;
            let answer = answer.and_then(reqwest::Response::error_for_status);
            answer.map_err(|e| failed(&e))?.text().await.map_err(|e| failed(&e))
        })
    }

    fn refused(&self, path: &str, why: &str) -> Error {
        Error::CannotRun(format!(
            "the service did not answer /{}: {why}",
            path.trim_start_matches('/')
        ))
    }
}
