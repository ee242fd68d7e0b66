//! The side of the ledger that looks upstream: calls to the service behind this one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::snapshot::Times;
use super::{Ledger, UpstreamCalls};

/// Calls as they are counted.
#[derive(Debug, Clone, Default)]
pub(super) struct Books {
    calls: UpstreamCalls,
    times: Times,
}

impl Books {
    pub(super) fn calls(self) -> UpstreamCalls {
        UpstreamCalls { times: self.times.figures(), ..self.calls }
    }

    /// Calls begun.
    pub(super) fn begun(&self) -> u64 {
        self.calls.begun
    }

    /// Calls in flight count as begun after the reset, and clients created before it stay counted.
    pub(super) fn reset(&mut self) {
        let UpstreamCalls { in_flight, clients, .. } = self.calls;
        self.calls = UpstreamCalls {
            begun: in_flight,
            in_flight,
            peak_in_flight: in_flight,
            clients,
            outcomes: BTreeMap::new(),
            ..UpstreamCalls::default()
        };
        self.times = Times::default();
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallOutcome {
    /// A whole answer with this status.
    Status(u16),
    /// No answer in time.
    Timeout,
    /// No connection.
    Connect,
    /// The connection ended before the answer did.
    Broken,
    /// An answer with a good status whose body is not what it should be.
    Malformed,
}

impl CallOutcome {
    fn name(self) -> String {
        match self {
            CallOutcome::Status(status) => status.to_string(),
            CallOutcome::Timeout => "timeout".to_owned(),
            CallOutcome::Connect => "connect".to_owned(),
            CallOutcome::Broken => "broken".to_owned(),
            CallOutcome::Malformed => "malformed".to_owned(),
        }
    }
}

/// The open entry of one call. Dropped before its end, it counts as cancelled.
#[derive(Debug)]
pub(crate) struct Call {
    ledger: Arc<Ledger>,
    since: Instant,
    ended: bool,
}

impl Ledger {
    /// Opens the entry of a call to the service behind this one.
    pub(crate) fn call(self: &Arc<Self>) -> Call {
        let mut books = self.books();
        let calls = &mut books.upstream.calls;
        calls.begun += 1;
        calls.in_flight += 1;
        calls.peak_in_flight = calls.peak_in_flight.max(calls.in_flight);
        drop(books);
        Call { ledger: Arc::clone(self), since: Instant::now(), ended: false }
    }

    /// Counts an HTTP client that was created.
    pub(crate) fn client(&self) {
        self.books().upstream.calls.clients += 1;
    }
}

impl Call {
    /// Closes the entry.
    pub(crate) fn end(mut self, outcome: CallOutcome) {
        self.ended = true;
        let took = self.since.elapsed();
        let mut books = self.ledger.books();
        let upstream = &mut books.upstream;
        upstream.calls.in_flight -= 1;
        if matches!(outcome, CallOutcome::Status(200..=299)) {
            upstream.calls.answered += 1;
            upstream.times.record(took);
        } else {
            upstream.calls.failed += 1;
        }
        *upstream.calls.outcomes.entry(outcome.name()).or_default() += 1;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.ended {
            let mut books = self.ledger.books();
            books.upstream.calls.in_flight -= 1;
            books.upstream.calls.cancelled += 1;
        }
    }
}
