//! What was recorded in one interval (a second): the unit that is journaled, shown live and merged.

use std::collections::BTreeMap;

use super::distribution::Distribution;
use super::ledger::Ledger;
use super::metric::Metric;
use super::numbers::Numbers;
use super::rows::Rows;
use super::sample::{Bytes, Offset, Outcome, Sample, StepId, Tokens, sum_of_known};
use super::summary::MeasuredWindow;

/// Which part of the run a request belongs to, by its intended start.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Recorded, and kept out of the figures.
    WarmUp,
    /// What the report's figures are made from.
    Measured,
    /// Load that goes on after the measured part.
    CoolDown,
}

/// What a distribution is of.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct Key {
    /// Step of the scenario.
    pub step: StepId,
    /// Part of the run.
    pub phase: Phase,
    /// How the requests ended: failures never sit in the latency of successes.
    pub outcome: Outcome,
    /// What was measured.
    pub metric: Metric,
}

/// Failed requests of one step that ended alike.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct ErrorKey {
    /// Step of the scenario.
    pub step: StepId,
    /// How they ended.
    pub outcome: Outcome,
    /// HTTP status, where there was one.
    pub status: Option<u16>,
}

/// How often an error was seen, when, and what it looked like.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ErrorRecord {
    /// Number of requests.
    pub count: u64,
    /// The first of them was done.
    pub first: Offset,
    /// The last of them was done.
    pub last: Offset,
    /// Different messages, a few of them.
    pub examples: Vec<String>,
}

/// Messages kept for one class of error.
pub const MAX_EXAMPLES: usize = 3;

impl ErrorRecord {
    /// Adds what `later` saw.
    pub fn merge(&mut self, later: &ErrorRecord) {
        self.count += later.count;
        self.first = self.first.min(later.first);
        self.last = self.last.max(later.last);
        for example in &later.examples {
            self.add_example(example);
        }
    }

    /// Keeps `example` if it is new and there is room.
    pub fn add_example(&mut self, example: &str) {
        if self.examples.len() < MAX_EXAMPLES && !self.examples.iter().any(|seen| seen == example) {
            self.examples.push(example.to_owned());
        }
    }
}

/// Counts of one step and phase that no histogram holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Traffic {
    /// Bytes on the wire.
    pub bytes: Bytes,
    /// Requests that opened a connection.
    pub connections_opened: u64,
    /// Tokens.
    #[serde(default)]
    pub tokens: Tokens,
    /// Requests that goodput limits were set for.
    #[serde(default)]
    pub judged: u64,
    /// Those of them that succeeded within the limits.
    #[serde(default)]
    pub good: u64,
}

impl Traffic {
    /// That of one request.
    pub fn of(sample: &Sample) -> Traffic {
        Traffic {
            bytes: sample.bytes,
            connections_opened: u64::from(sample.connect.is_some()),
            tokens: sample.tokens.unwrap_or_default(),
            // What the stop of the run cut off is not judged.
            judged: u64::from(sample.good.is_some() && sample.outcome.is_final()),
            good: u64::from(sample.good == Some(true)),
        }
    }
}

impl std::ops::AddAssign for Traffic {
    fn add_assign(&mut self, other: Traffic) {
        self.bytes += other.bytes;
        self.connections_opened += other.connections_opened;
        self.tokens += other.tokens;
        self.judged += other.judged;
        self.good += other.good;
    }
}

/// What the responses of one step brought that ended inside the measured window, whatever their
/// intended start and their outcome: throughput.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Delivered {
    /// Tokens of prompts; `None` where no response reported them.
    pub input: Option<u64>,
    /// Tokens of completions; `None` where no response reported them.
    pub output: Option<u64>,
    /// Requests that succeeded within their goodput limits.
    pub good: u64,
}

impl Delivered {
    /// That of one request.
    pub fn of(sample: &Sample) -> Delivered {
        let tokens = sample.tokens.unwrap_or_default();
        let good = u64::from(sample.good == Some(true));
        Delivered { input: tokens.input, output: tokens.output, good }
    }
}

impl std::ops::AddAssign for Delivered {
    fn add_assign(&mut self, other: Delivered) {
        self.input = sum_of_known(self.input, other.input);
        self.output = sum_of_known(self.output, other.output);
        self.good += other.good;
    }
}

/// What was recorded between two moments.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Interval {
    /// Begin.
    pub start: Offset,
    /// End.
    pub end: Offset,
    /// Users active at the end.
    pub users: u32,
    /// The measured part, as far as it is known at `end`.
    pub window: MeasuredWindow,
    /// Latencies.
    pub distributions: BTreeMap<Key, Distribution>,
    /// Bytes and connections.
    pub traffic: BTreeMap<(StepId, Phase), Traffic>,
    /// Requests that ended inside the measured window, whatever their intended start: throughput.
    pub completed: BTreeMap<(StepId, Outcome), u64>,
    /// What requests brought that ended inside the measured window.
    pub delivered: BTreeMap<StepId, Delivered>,
    /// Errors.
    pub errors: BTreeMap<ErrorKey, ErrorRecord>,
    /// Rows.
    pub rows: Rows,
    /// Totals of the run up to `end`.
    pub ledger: Ledger,
    /// Numbers of the iterations that are done at `end`: ended by themselves, or dropped.
    pub done: Numbers,
}
