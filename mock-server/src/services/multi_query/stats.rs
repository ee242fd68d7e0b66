//! What the service measured of itself since its start or the last reset.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::failure::Reason;
use crate::ledger::{Figures, Times};

/// Where the time of one query went.
///
/// `total` is measured on its own, from the place in the pool that the query was given to its
/// outputs in the row, without the time in which it was [throttled](super::query::Clock::throttled)
/// and without its wait for the other queries of its row. The other five are measured apart, each by
/// a clock of its own around just that stage; they add up to the total but for what lies between
/// the clocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stages {
    /// Rendering the prompt and its hash, or finding it in the cache.
    pub template: Duration,
    /// Calls upstream, from the request to the parsed chat completion, repeated ones included.
    pub call: Duration,
    /// The model's text: fences, JSON, fields and their types.
    pub parse: Duration,
    /// The outputs or the error into the row: the row's time, in even shares.
    pub merge: Duration,
    /// From a place given to the work begun (spawning, handing over to a thread), and from the work
    /// done to the result in the engine's hands (handing back, joining).
    pub coordination: Duration,
    /// From the place to the row.
    pub total: Duration,
}

const STAGES: usize = 6;

impl Stages {
    const NAMES: [&str; STAGES] = ["template", "call", "parse", "merge", "coordination", "total"];

    fn times(&self) -> [Duration; STAGES] {
        [self.template, self.call, self.parse, self.merge, self.coordination, self.total]
    }
}

/// One stage of many queries.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct StageFigures {
    /// Sum, milliseconds.
    pub total_ms: f64,
    #[serde(flatten)]
    pub figures: Figures,
}

impl From<Figures> for StageFigures {
    fn from(figures: Figures) -> StageFigures {
        StageFigures { total_ms: figures.mean_ms * figures.count as f64, figures }
    }
}

/// Each stage by its name.
pub(super) type StageTable = BTreeMap<&'static str, StageFigures>;

/// The stages of the queries of one batch. Quantiles are exact: the smallest value with at least
/// that share of the values at or below it.
pub(super) fn table(queries: &[Stages]) -> StageTable {
    let stage = |index: usize| {
        let mut times: Vec<Duration> = queries.iter().map(|q| q.times()[index]).collect();
        times.sort_unstable();
        exact(&times).into()
    };
    Stages::NAMES.iter().enumerate().map(|(index, name)| (*name, stage(index))).collect()
}

fn exact(sorted: &[Duration]) -> Figures {
    let Some(max) = sorted.last() else { return Figures::default() };
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let quantile = |share: f64| {
        let rank = (share * sorted.len() as f64).ceil() as usize;
        ms(sorted[rank.clamp(1, sorted.len()) - 1])
    };
    Figures {
        count: sorted.len() as u64,
        mean_ms: ms(sorted.iter().sum()) / sorted.len() as f64,
        p50_ms: quantile(0.50),
        p95_ms: quantile(0.95),
        p99_ms: quantile(0.99),
        max_ms: ms(*max),
    }
}

/// Counts and times of the whole service.
#[derive(Debug)]
pub(super) struct Stats(Mutex<Books>);

#[derive(Debug, Clone)]
struct Books {
    since: Instant,
    counts: Counts,
    throttled: Duration,
    stages: [Times; STAGES],
}

/// What was counted.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Counts {
    /// Rows that ended.
    pub rows: u64,
    /// Rows that ended with an error.
    pub rows_failed: u64,
    /// Queries of the rows that ended.
    pub queries: u64,
    /// Queries without outputs.
    pub queries_failed: u64,
    /// Failed queries by reason.
    pub reasons: BTreeMap<&'static str, u64>,
    /// Calls that met a capacity error and were tried again.
    #[serde(skip)]
    pub capacity_retries: u64,
    /// Calls that got a chat completion.
    #[serde(skip)]
    pub successes: u64,
}

/// What was counted and measured.
#[derive(Debug, Clone)]
pub(super) struct Report {
    pub elapsed: Duration,
    pub counts: Counts,
    /// Sum of the times in which queries were throttled.
    pub throttled: Duration,
    pub stages: StageTable,
}

impl Books {
    fn new() -> Books {
        let (counts, stages) = (Counts::default(), std::array::from_fn(|_| Times::default()));
        Books { since: Instant::now(), counts, throttled: Duration::ZERO, stages }
    }
}

impl Stats {
    pub(super) fn new() -> Stats {
        Stats(Mutex::new(Books::new()))
    }

    /// A row ended, with these queries.
    pub(super) fn row(&self, queries: &[Stages], failed: &[Reason]) {
        let mut books = self.books();
        for stages in queries {
            for (times, time) in books.stages.iter_mut().zip(stages.times()) {
                times.record(time);
            }
        }
        let counts = &mut books.counts;
        counts.rows += 1;
        counts.rows_failed += u64::from(!failed.is_empty());
        counts.queries += queries.len() as u64;
        counts.queries_failed += failed.len() as u64;
        for reason in failed {
            *counts.reasons.entry(reason.name()).or_default() += 1;
        }
    }

    /// A call got a chat completion.
    pub(super) fn success(&self) {
        self.books().counts.successes += 1;
    }

    /// A call met a capacity error and will be tried again.
    pub(super) fn capacity_retry(&self) {
        self.books().counts.capacity_retries += 1;
    }

    /// A query was throttled for so long.
    pub(super) fn throttled(&self, time: Duration) {
        self.books().throttled += time;
    }

    /// Begins anew.
    pub(super) fn reset(&self) {
        *self.books() = Books::new();
    }

    /// Everything up to now.
    pub(super) fn report(&self) -> Report {
        // Quantiles are computed outside the lock.
        let Books { since, counts, throttled, stages } = self.books().clone();
        let stages = Stages::NAMES.into_iter().zip(&stages);
        let stages = stages.map(|(name, times)| (name, times.figures().into())).collect();
        Report { elapsed: since.elapsed(), counts, throttled, stages }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        // Counts of a thread that panicked are whole or missing, never wrong by more than its own.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_a_batch_are_values_that_occurred() {
        let queries: Vec<Stages> = (1..=200)
            .rev()
            .map(|ms| Stages { call: Duration::from_millis(ms), ..Stages::default() })
            .collect();
        let call = table(&queries)["call"];
        let f = call.figures;
        assert_eq!((f.count, f.p50_ms, f.p95_ms, f.p99_ms), (200, 100.0, 190.0, 198.0));
        assert_eq!((f.max_ms, f.mean_ms, call.total_ms), (200.0, 100.5, 20_100.0));
        assert_eq!(table(&[])["call"].figures, Figures::default());
    }
}
