//! What a ledger says at one moment, in the form that `GET /control/ledger` returns.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The whole ledger. Three identities hold at every moment, for the whole and for each route:
/// `accepted = answered + broken + abandoned + in_flight`; `answered` is the sum of the counts by status; and
/// the whole is the sum over the routes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The service's name.
    pub service: String,
    /// Seconds since the start or the last reset.
    pub elapsed_s: f64,
    /// Requests of all routes.
    pub requests: Requests,
    /// The largest number of requests that were in flight together.
    pub peak_in_flight: u64,
    /// Items (texts) in answered requests that were worked on.
    pub items: u64,
    /// Bytes of complete request bodies.
    pub request_body_bytes: u64,
    /// Bytes of response bodies.
    pub response_body_bytes: u64,
    /// Connections.
    pub sockets: Sockets,
    /// Faults injected, by kind.
    pub faults: BTreeMap<String, u64>,
    /// Tokens in answered requests, by the service's own counting, as in the answers' usage.
    pub tokens: Tokens,
    /// What the service counts of its own work, by name.
    pub counters: BTreeMap<String, u64>,
    /// Calls to the service behind this one; none where it has none.
    pub upstream: UpstreamCalls,
    /// By method and route, such as `POST /predict`; what matched no route is under
    /// `(unrouted)`, as in `GET (unrouted)`.
    pub routes: BTreeMap<String, Route>,
}

/// Counts of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requests {
    /// Requests whose head was read.
    pub accepted: u64,
    /// Requests whose response was handed to the connection.
    pub answered: u64,
    /// Requests whose response was cut short by a fault that was injected.
    pub broken: u64,
    /// Requests that ended without a whole response, because the client went away or the service stopped.
    pub abandoned: u64,
    /// Requests that have not ended.
    pub in_flight: u64,
}

impl std::ops::AddAssign for Requests {
    fn add_assign(&mut self, other: Requests) {
        self.accepted += other.accepted;
        self.answered += other.answered;
        self.broken += other.broken;
        self.abandoned += other.abandoned;
        self.in_flight += other.in_flight;
    }
}

/// Counts of tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Tokens of prompts.
    pub prompt: u64,
    /// Tokens of answers.
    pub completion: u64,
}

impl std::ops::AddAssign for Tokens {
    fn add_assign(&mut self, other: Tokens) {
        self.prompt += other.prompt;
        self.completion += other.completion;
    }
}

/// Streams of one route that have ended. What ended before its end marker counts with the chunks it
/// had, as the service made them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Streams {
    /// Streams begun.
    pub begun: u64,
    /// Streams whose end marker was handed to the connection.
    pub whole: u64,
    /// Chunks with content.
    pub chunks: u64,
    /// From the complete request to the first chunk with content (time to first token).
    pub first_chunk: Figures,
    /// From each chunk with content to the next one of the same stream.
    pub gaps: Figures,
}

/// Calls to the service behind this one. At every moment
/// `begun = answered + failed + cancelled + in_flight`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct UpstreamCalls {
    /// Calls begun.
    pub begun: u64,
    /// Calls that got a whole answer with status 2xx.
    pub answered: u64,
    /// Calls that got another status or no whole answer.
    pub failed: u64,
    /// Calls that were given up, because whoever waited for them left.
    pub cancelled: u64,
    /// Calls that have not ended.
    pub in_flight: u64,
    /// The largest number of calls that were in flight together.
    pub peak_in_flight: u64,
    /// HTTP clients created, each with connections of its own.
    pub clients: u64,
    /// Ended calls by status, or by `timeout`, `connect`, `broken`, `malformed`.
    pub outcomes: BTreeMap<String, u64>,
    /// From the call to its end, of answered calls.
    pub times: Figures,
}

/// Counts of connections. A connection that carries control requests only is not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sockets {
    /// Connections accepted; after a reset, those still open then count as accepted.
    pub accepted: u64,
    /// Connections open now.
    pub open: u64,
}

/// One route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// Requests of this route.
    #[serde(flatten)]
    pub requests: Requests,
    /// Items (texts) in answered requests that were worked on.
    pub items: u64,
    /// Bytes of complete request bodies.
    pub request_body_bytes: u64,
    /// Bytes of response bodies.
    pub response_body_bytes: u64,
    /// Actual service times by status: from the complete request to the response handed to the
    /// connection, queueing included; of a stream, to its end.
    pub statuses: BTreeMap<u16, Figures>,
    /// Faults injected, by kind.
    pub faults: BTreeMap<String, u64>,
    /// Service times as drawn from the latency model, of requests that were worked on.
    pub intended: Figures,
    /// The time that the work itself took, without queueing, of the same requests.
    pub work: Figures,
    /// Tokens in answered requests.
    pub tokens: Tokens,
    /// Streamed answers.
    pub streams: Streams,
}

/// A distribution of times. Quantiles are HDR values: the smallest recorded value with at least that
/// share of the values at or below it, to three significant digits; the other figures are exact.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Number of values; where it is 0, so are all the others.
    pub count: u64,
    /// Arithmetic mean, milliseconds.
    pub mean_ms: f64,
    /// Median, milliseconds.
    pub p50_ms: f64,
    /// 95th percentile, milliseconds.
    pub p95_ms: f64,
    /// 99th percentile, milliseconds.
    pub p99_ms: f64,
    /// Largest value, milliseconds.
    pub max_ms: f64,
}

/// Longer times are counted at this one in quantiles.
const LONGEST_NS: u64 = 24 * 3_600 * 1_000_000_000;

/// Times as they are collected: an HDR histogram in nanoseconds beside the exact sum and maximum.
#[derive(Debug, Clone)]
pub(crate) struct Times {
    histogram: Histogram<u64>,
    sum_ns: u128,
    max_ns: u64,
}

impl Default for Times {
    fn default() -> Self {
        let histogram = Histogram::new(3).expect("invariant: an HDR histogram may have 3 digits");
        Times { histogram, sum_ns: 0, max_ns: 0 }
    }
}

impl Times {
    pub(crate) fn record(&mut self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.histogram
            .record(ns.min(LONGEST_NS))
            .expect("invariant: a histogram without bounds grows up to LONGEST_NS");
        self.sum_ns += u128::from(ns);
        self.max_ns = self.max_ns.max(ns);
    }

    pub(super) fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// How many were no longer than `seconds`, to the histogram's three digits.
    pub(super) fn count_up_to(&self, seconds: f64) -> u64 {
        self.histogram.count_between(0, (seconds * 1e9) as u64)
    }

    /// Their exact sum in seconds.
    pub(super) fn sum_seconds(&self) -> f64 {
        self.sum_ns as f64 / 1e9
    }

    pub(crate) fn figures(&self) -> Figures {
        let count = self.histogram.len();
        if count == 0 {
            return Figures::default();
        }
        let ms = |ns: f64| ns / 1e6;
        let quantile = |q| ms(self.histogram.value_at_quantile(q).min(self.max_ns) as f64);
        Figures {
            count,
            mean_ms: ms(self.sum_ns as f64 / count as f64),
            p50_ms: quantile(0.50),
            p95_ms: quantile(0.95),
            p99_ms: quantile(0.99),
            max_ms: ms(self.max_ns as f64),
        }
    }
}
