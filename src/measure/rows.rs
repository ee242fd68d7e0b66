//! Rows: iterations as a user sees them, or the rows that a response carries. How they ended, how
//! long they took, and what they cost.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::distribution::{Damaged, Distribution, EncodedDistribution};
use super::interval::{ErrorRecord, Phase};
use super::sample::{Offset, Tokens};
use super::summary::Latency;

/// Classes of failed rows that are told apart; what comes later is counted under [`OTHER`].
pub const MAX_CLASSES: usize = 32;
/// The class of what found no class of its own.
pub const OTHER: &str = "other reasons";

/// How an iteration ended, or a row of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IterationEnd {
    /// Every request was a success.
    Ok,
    /// It went on without some of a fan-out's requests, and came to its end.
    Partial,
    /// A failed request ended it.
    Failed,
    /// The stop of the run ended it.
    Cancelled,
    /// It found no place among those in flight, and was not begun.
    Dropped,
}

impl IterationEnd {
    /// Every end, in the order in which reports list them.
    pub const ALL: [IterationEnd; 5] = [
        IterationEnd::Ok,
        IterationEnd::Partial,
        IterationEnd::Failed,
        IterationEnd::Cancelled,
        IterationEnd::Dropped,
    ];

    /// The name in files and reports.
    pub fn name(self) -> &'static str {
        match self {
            IterationEnd::Ok => "ok",
            IterationEnd::Partial => "partial",
            IterationEnd::Failed => "failed",
            IterationEnd::Cancelled => "cancelled",
            IterationEnd::Dropped => "dropped",
        }
    }

    /// What the end means, for a reader of the report.
    pub fn meaning(self) -> &'static str {
        match self {
            IterationEnd::Ok => "every request succeeded",
            IterationEnd::Partial => "came to its end without some requests of a fan-out",
            IterationEnd::Failed => "ended by a failed request; its other results are discarded",
            IterationEnd::Cancelled => "ended by the stop of the run",
            IterationEnd::Dropped => "due, and not begun: no place in flight",
        }
    }

    /// Whether it came to an end by itself: neither cut off by the stop of the run nor never begun.
    pub fn is_by_itself(self) -> bool {
        matches!(self, IterationEnd::Ok | IterationEnd::Partial | IterationEnd::Failed)
    }
}

/// One row that ended.
#[derive(Debug, Clone)]
pub struct Row<'a> {
    /// How it ended.
    pub end: IterationEnd,
    /// Intended start; of a row in a response, that of its request.
    pub due: Offset,
    /// It had ended.
    pub done: Offset,
    /// What it took.
    pub effort: Effort,
    /// Why it failed, where it did.
    pub failure: Option<RowFailure<'a>>,
}

/// Why a row failed.
#[derive(Debug, Clone, Copy)]
pub struct RowFailure<'a> {
    /// What such failures have in common: few different ones in a run.
    pub class: &'a str,
    /// One line for a person.
    pub example: &'a str,
}

/// An iteration that has ended, or was dropped, and all that is counted for it.
#[derive(Debug, Clone)]
pub struct EndedIteration<'a> {
    /// Its number among all iterations of the run.
    pub number: u64,
    /// How it ended.
    pub end: IterationEnd,
    /// Intended start.
    pub due: Offset,
    /// Its rows: itself, or those that its responses carried.
    pub rows: Vec<Row<'a>>,
    /// What it took besides, where no row is left to count it with.
    pub effort: Effort,
}

/// What rows took, as sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Effort {
    /// Requests, attempts that were made again not counted.
    pub requests: u64,
    /// Attempts.
    pub attempts: u64,
    /// Successful requests of rows that failed.
    pub wasted_requests: u64,
    /// Tokens of these.
    pub wasted_tokens: Tokens,
    /// Rows that came in a response, rather than being an iteration.
    pub in_responses: u64,
    /// Response time of the slowest request of each row of several requests, in nanoseconds.
    pub slowest_ns: u64,
    /// Time of these rows, in nanoseconds.
    pub of_ns: u64,
}

impl std::ops::AddAssign for Effort {
    fn add_assign(&mut self, other: Effort) {
        self.requests += other.requests;
        self.attempts += other.attempts;
        self.wasted_requests += other.wasted_requests;
        self.wasted_tokens += other.wasted_tokens;
        self.in_responses += other.in_responses;
        self.slowest_ns = self.slowest_ns.saturating_add(other.slowest_ns);
        self.of_ns = self.of_ns.saturating_add(other.of_ns);
    }
}

/// Rows of one part of the run that ended alike.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RowGroup {
    /// From due to done; as many values as there are rows.
    pub times: Distribution,
    /// What they took.
    pub effort: Effort,
}

/// The rows of a stretch of time.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rows {
    /// By part of the run (by the intended start) and end.
    pub groups: BTreeMap<(Phase, IterationEnd), RowGroup>,
    /// Rows that ended inside the measured window, whatever their intended start: throughput.
    pub completed: BTreeMap<IterationEnd, u64>,
    /// Failed rows of the whole run, by class.
    pub failures: BTreeMap<String, ErrorRecord>,
}

impl Rows {
    /// Adds a row. `inside` says whether it ended inside the measured window.
    pub(super) fn record(&mut self, row: &Row<'_>, phase: Phase, inside: bool) {
        let group = self.groups.entry((phase, row.end)).or_default();
        group.times.record(row.done.since(row.due));
        group.effort += row.effort;
        if inside {
            *self.completed.entry(row.end).or_default() += 1;
        }
        if let Some(failure) = row.failure {
            let mut record =
                ErrorRecord { count: 1, first: row.done, last: row.done, examples: Vec::new() };
            record.add_example(failure.example);
            self.add_failure(failure.class, &record);
        }
    }

    /// Adds what was done for no row.
    pub(super) fn record_effort(&mut self, phase: Phase, end: IterationEnd, effort: Effort) {
        if effort != Effort::default() {
            self.groups.entry((phase, end)).or_default().effort += effort;
        }
    }

    fn add_failure(&mut self, class: &str, record: &ErrorRecord) {
        let is_known = self.failures.contains_key(class);
        let class = if is_known || self.failures.len() < MAX_CLASSES { class } else { OTHER };
        match self.failures.get_mut(class) {
            Some(seen) => seen.merge(record),
            None => {
                self.failures.insert(class.to_owned(), record.clone());
            }
        }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Rows) {
        for (&key, theirs) in &other.groups {
            let group = self.groups.entry(key).or_default();
            group.times.merge(&theirs.times);
            group.effort += theirs.effort;
        }
        for (&end, count) in &other.completed {
            *self.completed.entry(end).or_default() += count;
        }
        for (class, record) in &other.failures {
            self.add_failure(class, record);
        }
    }

    /// Adds all of this to `into`, and forgets it; the memory of histograms is kept.
    pub(super) fn drain_into(&mut self, into: &mut Rows) {
        let is_used =
            |group: &RowGroup| !group.times.is_empty() || group.effort != Effort::default();
        for (&key, group) in self.groups.iter_mut().filter(|(_, group)| is_used(group)) {
            let sum = into.groups.entry(key).or_default();
            sum.times.merge(&group.times);
            sum.effort += std::mem::take(&mut group.effort);
            group.times.clear();
        }
        for (end, count) in std::mem::take(&mut self.completed) {
            *into.completed.entry(end).or_default() += count;
        }
        for (class, record) in std::mem::take(&mut self.failures) {
            into.add_failure(&class, &record);
        }
    }

    /// Times of the successful rows of the measured part.
    pub fn times(&self) -> Distribution {
        self.groups
            .get(&(Phase::Measured, IterationEnd::Ok))
            .map_or_else(Distribution::default, |group| group.times.clone())
    }

    /// The figures of the measured part, which lasted `window`; `None` where no row was due in it.
    pub fn figures(&self, window: Option<Duration>) -> Option<RowFigures> {
        let mut ended = BTreeMap::new();
        let mut effort = Effort::default();
        for (&(_, end), group) in self.groups.iter().filter(|((p, _), _)| *p == Phase::Measured) {
            ended.insert(end, group.times.count());
            effort += group.effort;
        }
        if ended.is_empty() {
            return None;
        }
        let completed = |wanted: fn(IterationEnd) -> bool| -> u64 {
            self.completed.iter().filter(|(end, _)| wanted(**end)).map(|(_, count)| count).sum()
        };
        let rate = |count: u64| Some(count as f64 / window.filter(|w| !w.is_zero())?.as_secs_f64());
        Some(RowFigures {
            per_second: rate(completed(IterationEnd::is_by_itself)),
            ok_per_second: rate(completed(|end| end == IterationEnd::Ok)),
            time: Latency::of(&self.times()),
            ended,
            effort,
        })
    }
}

/// Figures of the rows of the measured part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RowFigures {
    /// Rows (by intended start), by how they ended.
    pub ended: BTreeMap<IterationEnd, u64>,
    /// Rows per second that ended by themselves in the measured window.
    pub per_second: Option<f64>,
    /// The same for successful ones only.
    pub ok_per_second: Option<f64>,
    /// From due to done, of successful rows.
    pub time: Option<Latency>,
    /// What all of them took.
    pub effort: Effort,
}

impl RowFigures {
    /// Rows that ended in this way.
    pub fn of(&self, end: IterationEnd) -> u64 {
        self.ended.get(&end).copied().unwrap_or(0)
    }

    /// Rows that ended by themselves.
    pub fn count(&self) -> u64 {
        IterationEnd::ALL.into_iter().filter(|end| end.is_by_itself()).map(|end| self.of(end)).sum()
    }

    /// Failed rows as a share (0 to 1) of those that ended by themselves.
    pub fn failure_share(&self) -> Option<f64> {
        (self.count() > 0).then(|| self.of(IterationEnd::Failed) as f64 / self.count() as f64)
    }

    /// Requests over rows, of all that were begun.
    pub fn requests_per_row(&self) -> Option<f64> {
        let begun = self.count() + self.of(IterationEnd::Cancelled);
        (begun > 0).then(|| self.effort.requests as f64 / begun as f64)
    }

    /// Share (0 to 1) of the time of rows of several requests that their slowest request took.
    pub fn slowest_share(&self) -> Option<f64> {
        let Effort { slowest_ns, of_ns, .. } = self.effort;
        (of_ns > 0).then(|| slowest_ns as f64 / of_ns as f64)
    }
}

/// [`Rows`] in their stored form.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct StoredRows {
    /// By part of the run and end.
    pub groups: Vec<(Phase, IterationEnd, EncodedDistribution, Effort)>,
    /// Rows that ended inside the measured window.
    pub completed: Vec<(IterationEnd, u64)>,
    /// Failed rows by class.
    pub failures: Vec<(String, ErrorRecord)>,
}

impl From<&Rows> for StoredRows {
    fn from(rows: &Rows) -> Self {
        StoredRows {
            groups: rows
                .groups
                .iter()
                .map(|(&(phase, end), group)| (phase, end, group.times.encode(), group.effort))
                .collect(),
            completed: rows.completed.iter().map(|(&end, &count)| (end, count)).collect(),
            failures: rows.failures.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        }
    }
}

impl StoredRows {
    /// Back to the rows.
    ///
    /// # Errors
    ///
    /// A histogram that cannot be decoded.
    pub fn decode(&self) -> Result<Rows, Damaged> {
        let groups = self.groups.iter().map(|(phase, end, times, effort)| {
            Ok(((*phase, *end), RowGroup { times: times.decode()?, effort: *effort }))
        });
        Ok(Rows {
            groups: groups.collect::<Result<_, Damaged>>()?,
            completed: self.completed.iter().copied().collect(),
            failures: self.failures.iter().cloned().collect(),
        })
    }
}
