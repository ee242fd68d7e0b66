//! Where every request went: the identity that each checkpoint and the end of a run must satisfy.

use serde::{Deserialize, Serialize};

use super::rows::IterationEnd;
use super::sample::Outcome;

/// Totals since the start of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ledger {
    /// Requests that were due.
    pub scheduled: u64,
    /// Requests that were due and never sent.
    pub dropped: u64,
    /// Requests that were sent, or at least tried.
    pub sent: u64,
    /// Requests that were sent and have not ended.
    pub in_flight: i64,
    /// Requests that ended, by outcome, in the order of [`Outcome::ALL`]; [`Outcome::Dropped`]
    /// stays zero here, for those were never sent.
    #[serde(deserialize_with = "by_outcome")]
    pub ended: [u64; Outcome::ALL.len()],
    /// Iterations that were begun.
    pub iterations_started: u64,
    /// Iterations that ran to their end with every request a success.
    pub iterations_ok: u64,
    /// Iterations that went on without some of a fan-out's requests, and came to their end.
    #[serde(default)]
    pub iterations_partial: u64,
    /// Iterations that a failed request ended.
    pub iterations_failed: u64,
    /// Iterations that the stop of the run ended.
    pub iterations_cancelled: u64,
    /// Iterations that were due and found no place among those in flight. They are not begun.
    #[serde(default)]
    pub iterations_dropped: u64,
    /// Iterations that were begun and have not ended; `None` in records of earlier versions, which
    /// did not count them.
    #[serde(default)]
    pub iterations_under_way: Option<i64>,
    /// Requests that were in flight when gander was killed: how they ended is not known.
    #[serde(default)]
    pub lost: u64,
    /// Iterations that were under way when gander was killed.
    #[serde(default)]
    pub iterations_lost: u64,
}

/// Earlier versions knew fewer outcomes; those that they did not know are at the end.
fn by_outcome<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<[u64; Outcome::ALL.len()], D::Error> {
    let written = Vec::<u64>::deserialize(deserializer)?;
    let mut ended = [0; Outcome::ALL.len()];
    if written.len() > ended.len() {
        return Err(serde::de::Error::invalid_length(written.len(), &"an outcome for each count"));
    }
    ended[..written.len()].copy_from_slice(&written);
    Ok(ended)
}

/// A way in which the ledger does not balance.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Imbalance {
    /// `scheduled = sent + dropped` fails.
    #[error("{scheduled} requests were due, but {sent} were sent and {dropped} dropped")]
    Scheduled {
        /// Requests due.
        scheduled: u64,
        /// Requests sent.
        sent: u64,
        /// Requests dropped.
        dropped: u64,
    },
    /// `sent = sum of outcomes + in flight + lost` fails.
    #[error(
        "{sent} requests were sent, but {ended} ended or were lost and {in_flight} are in flight"
    )]
    Sent {
        /// Requests sent.
        sent: u64,
        /// Requests ended, or lost in a kill.
        ended: u64,
        /// Requests in flight.
        in_flight: i64,
    },
    /// `iterations started = ok + partial + failed + cancelled + under way + lost` fails.
    #[error(
        "{started} iterations were begun, but {ended} ended or were lost and {under_way} are under way"
    )]
    Iterations {
        /// Iterations begun.
        started: u64,
        /// Iterations ended, or lost in a kill.
        ended: u64,
        /// Iterations under way.
        under_way: i64,
    },
}

impl Ledger {
    /// An iteration begins.
    pub fn begin_iteration(&mut self) {
        self.iterations_started += 1;
        *self.iterations_under_way.get_or_insert(0) += 1;
    }

    /// An iteration ended. One that was dropped was never begun.
    pub fn end_iteration(&mut self, end: IterationEnd) {
        let count = match end {
            IterationEnd::Ok => &mut self.iterations_ok,
            IterationEnd::Partial => &mut self.iterations_partial,
            IterationEnd::Failed => &mut self.iterations_failed,
            IterationEnd::Cancelled => &mut self.iterations_cancelled,
            IterationEnd::Dropped => &mut self.iterations_dropped,
        };
        *count += 1;
        if end != IterationEnd::Dropped {
            *self.iterations_under_way.get_or_insert(0) -= 1;
        }
    }

    /// Iterations that were begun and ended.
    pub fn iterations_ended(&self) -> u64 {
        self.iterations_ok
            + self.iterations_partial
            + self.iterations_failed
            + self.iterations_cancelled
    }

    /// Requests that ended, whatever their outcome.
    pub fn ended_total(&self) -> u64 {
        self.ended.iter().sum()
    }

    /// Requests that ended in `outcome`.
    pub fn ended_in(&self, outcome: Outcome) -> u64 {
        self.ended[outcome.index()]
    }

    /// Requests that failed, dropped ones included.
    pub fn failed(&self) -> u64 {
        let failed = Outcome::ALL.into_iter().filter(|outcome| outcome.is_failure());
        self.dropped + failed.map(|outcome| self.ended_in(outcome)).sum::<u64>()
    }

    /// gander was killed: what was in flight and under way then is lost, for nobody knows how it ended.
    pub fn lose_unfinished(&mut self) {
        self.lost += u64::try_from(std::mem::take(&mut self.in_flight)).unwrap_or(0);
        let under_way = self.iterations_under_way.replace(0).unwrap_or(0);
        self.iterations_lost += u64::try_from(under_way).unwrap_or(0);
    }

    /// Checks `scheduled = sent + dropped`, `sent = sum of outcomes + in flight + lost`, and
    /// `iterations started = ended + under way + lost`.
    pub fn check(&self) -> Result<(), Imbalance> {
        let Ledger { scheduled, dropped, sent, in_flight, .. } = *self;
        if scheduled != sent + dropped {
            return Err(Imbalance::Scheduled { scheduled, sent, dropped });
        }
        let ended = self.ended_total() + self.lost;
        if i128::from(sent) != i128::from(ended) + i128::from(in_flight) {
            return Err(Imbalance::Sent { sent, ended, in_flight });
        }
        let started = self.iterations_started;
        let ended = self.iterations_ended() + self.iterations_lost;
        if let Some(under_way) = self.iterations_under_way
            && i128::from(started) != i128::from(ended) + i128::from(under_way)
        {
            return Err(Imbalance::Iterations { started, ended, under_way });
        }
        Ok(())
    }

    /// Adds the totals of another part of the recorder.
    pub fn add(&mut self, other: &Ledger) {
        self.scheduled += other.scheduled;
        self.dropped += other.dropped;
        self.sent += other.sent;
        self.in_flight += other.in_flight;
        for (mine, theirs) in self.ended.iter_mut().zip(other.ended) {
            *mine += theirs;
        }
        self.iterations_started += other.iterations_started;
        self.iterations_ok += other.iterations_ok;
        self.iterations_partial += other.iterations_partial;
        self.iterations_failed += other.iterations_failed;
        self.iterations_cancelled += other.iterations_cancelled;
        self.iterations_dropped += other.iterations_dropped;
        self.lost += other.lost;
        self.iterations_lost += other.iterations_lost;
        if let Some(under_way) = other.iterations_under_way {
            *self.iterations_under_way.get_or_insert(0) += under_way;
        }
    }
}
