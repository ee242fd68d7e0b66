//! What the service says of its own performance.

mod alerts;
mod breakdown;
mod metrics;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

pub(super) use alerts::alerts;
pub(super) use breakdown::breakdown;
pub(super) use metrics::{CONTENT_TYPE, metrics};

/// How percentiles are computed, in words.
pub(super) const PERCENTILES: &str = "HDR histogram: the smallest recorded value with at least \
                                      that share of the values at or below it, to three \
                                      significant digits";

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// A request, from its body to its answer. An error where every snapshot failed.
    TimeTravelTotal,
    /// The classification of a question.
    Classification,
    /// A look into the cache; it finds nothing where there is no cache.
    CacheLookup,
    /// All snapshots of a request, one after another or in parallel: it keeps one name, so that
    /// both can be compared. An error where every snapshot failed.
    SnapshotGeneration,
    /// The call for one snapshot, without the wait for a place.
    SingleSnapshot,
    /// All key changes of a request. An error where one of its calls failed.
    KeyChanges,
    /// The call for a narrative.
    EvolutionNarrative,
}

impl Operation {
    /// All, in the order in which they are stated.
    pub(super) const ALL: [Operation; 7] = [
        Operation::TimeTravelTotal,
        Operation::Classification,
        Operation::CacheLookup,
        Operation::SnapshotGeneration,
        Operation::SingleSnapshot,
        Operation::KeyChanges,
        Operation::EvolutionNarrative,
    ];

    /// The name it is stated under.
    pub(super) fn name(self) -> &'static str {
        match self {
            Operation::TimeTravelTotal => "time_travel_total",
            Operation::Classification => "classification",
            Operation::CacheLookup => "cache_lookup",
            Operation::SnapshotGeneration => "parallel_snapshot_generation",
            Operation::SingleSnapshot => "single_snapshot",
            Operation::KeyChanges => "key_changes",
            Operation::EvolutionNarrative => "evolution_narrative",
        }
    }
}

/// The times of all operations since the start or the last reset. Those that failed count like the
/// others: an operation that fails fast makes its percentiles look good, and only its error rate
/// tells.
#[derive(Debug)]
pub(super) struct Monitor {
    time_scale: f64,
    books: Mutex<Books>,
}

#[derive(Debug)]
struct Books {
    since: Instant,
    /// In the order of [`Operation::ALL`].
    operations: [Times; Operation::ALL.len()],
}

/// Longer times are counted at this one in percentiles.
const LONGEST_NS: u64 = 24 * 3_600 * 1_000_000_000;

/// Times of one operation, as they are stated: measured, divided by the time scale.
#[derive(Debug, Clone)]
struct Times {
    histogram: Histogram<u64>,
    sum_ns: u128,
    min_ns: u64,
    max_ns: u64,
    errors: u64,
}

/// One operation. Without any time, all its figures are 0.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Stats {
    #[serde(skip)]
    pub operation: Operation,
    pub count: u64,
    pub errors: u64,
    /// `errors / count`.
    pub error_rate: f64,
    #[serde(skip)]
    pub sum_ms: f64,
    pub mean_ms: f64,
    pub min_ms: f64,
    pub max_ms: f64,
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
}

impl Monitor {
    pub(super) fn new(time_scale: f64) -> Monitor {
        Monitor { time_scale, books: Mutex::new(Books::new()) }
    }

    /// Records a measured time, and whether the operation went well.
    pub(super) fn record(&self, operation: Operation, measured: Duration, is_good: bool) {
        let ns = (measured.as_secs_f64() / self.time_scale * 1e9).round() as u64;
        self.books().operations[operation as usize].record(ns, is_good);
    }

    /// All operations, in the order of [`Operation::ALL`].
    pub(super) fn stats(&self) -> Vec<Stats> {
        // Percentiles are computed outside the lock: requests wait for the copy only.
        let times = self.books().operations.clone();
        Operation::ALL
            .iter()
            .zip(&times)
            .map(|(operation, times)| times.stats(*operation))
            .collect()
    }

    /// Real seconds of one second that is stated.
    pub(super) fn time_scale(&self) -> f64 {
        self.time_scale
    }

    /// Real seconds since the start or the last reset.
    pub(super) fn elapsed(&self) -> Duration {
        self.books().since.elapsed()
    }

    /// Forgets everything.
    pub(super) fn reset(&self) {
        *self.books() = Books::new();
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        // A panic elsewhere leaves complete books: no change spans more than one lock.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    fn new() -> Books {
        Books { since: Instant::now(), operations: std::array::from_fn(|_| Times::new()) }
    }
}

impl Times {
    fn new() -> Times {
        let histogram = Histogram::new(3).expect("invariant: an HDR histogram may have 3 digits");
        Times { histogram, sum_ns: 0, min_ns: u64::MAX, max_ns: 0, errors: 0 }
    }

    fn record(&mut self, ns: u64, is_good: bool) {
        self.histogram
            .record(ns.min(LONGEST_NS))
            .expect("invariant: a histogram without bounds grows up to LONGEST_NS");
        self.sum_ns += u128::from(ns);
        self.min_ns = self.min_ns.min(ns);
        self.max_ns = self.max_ns.max(ns);
        self.errors += u64::from(!is_good);
    }

    fn stats(&self, operation: Operation) -> Stats {
        let count = self.histogram.len();
        let ms = |ns: f64| ns / 1e6;
        let share = |part: f64| if count == 0 { 0.0 } else { part / count as f64 };
        // The histogram's values are rounded up: no percentile is above the largest value.
        let percentile = |q| ms(self.histogram.value_at_quantile(q).min(self.max_ns) as f64);
        Stats {
            operation,
            count,
            errors: self.errors,
            error_rate: share(self.errors as f64),
            sum_ms: ms(self.sum_ns as f64),
            mean_ms: share(ms(self.sum_ns as f64)),
            min_ms: if count == 0 { 0.0 } else { ms(self.min_ns as f64) },
            max_ms: ms(self.max_ns as f64),
            p50_ms: percentile(0.50),
            p95_ms: percentile(0.95),
            p99_ms: percentile(0.99),
        }
    }
}

#[cfg(test)]
mod tests;
