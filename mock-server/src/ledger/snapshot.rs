//! What a ledger says at one moment, in the form that `GET /control/ledger` returns.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The whole ledger. Three identities hold at every moment, for the whole and for each route:
/// `accepted = answered + abandoned + in_flight`; `answered` is the sum of the counts by status; and
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
    /// Requests that ended without a response, because the client went away or the service stopped.
    pub abandoned: u64,
    /// Requests that have not ended.
    pub in_flight: u64,
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
    /// connection, queueing included.
    pub statuses: BTreeMap<u16, Figures>,
    /// Service times as drawn from the latency model, of requests that were worked on.
    pub intended: Figures,
    /// The time that the work itself took, without queueing, of the same requests.
    pub work: Figures,
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
pub(super) struct Times {
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
    pub(super) fn record(&mut self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.histogram
            .record(ns.min(LONGEST_NS))
            .expect("invariant: a histogram without bounds grows up to LONGEST_NS");
        self.sum_ns += u128::from(ns);
        self.max_ns = self.max_ns.max(ns);
    }

    pub(super) fn figures(&self) -> Figures {
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
