//! A circuit breaker as a state machine. The clock is the caller's: every time is counted from
//! whatever moment the caller chose.

use std::time::Duration;

use serde::Serialize;

use super::settings::CircuitBreaker;

/// Refuses calls for a while after several failures in a row.
///
/// A call that was admitted in one state and ends in another says nothing about the present one:
/// its end is not counted.
#[derive(Debug, Clone)]
pub(super) struct Breaker {
    settings: CircuitBreaker,
    state: State,
    /// Number of changes of state so far.
    period: u64,
    opened: u64,
    refused: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { since: Duration },
    HalfOpen { successes: u32 },
}

/// The state of a breaker, by the name it is stated under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stance {
    /// Calls are made.
    Closed,
    /// Calls are refused.
    Open,
    /// Calls are made again, on trial.
    HalfOpen,
}

/// Leave to make one call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leave {
    period: u64,
}

/// What a breaker says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Report {
    pub state: Stance,
    /// Failures in a row, while closed.
    pub failures: u32,
    /// Successes in a row, while half open.
    pub successes: u32,
    /// How often it has opened.
    pub opened: u64,
    /// Calls refused.
    pub refused: u64,
}

impl Breaker {
    pub(super) fn new(settings: CircuitBreaker) -> Breaker {
        let state = State::Closed { failures: 0 };
        Breaker { settings, state, period: 0, opened: 0, refused: 0 }
    }

    /// Leave to make a call at `now`, or none. An open breaker is half open from the moment at
    /// which its recovery is over.
    pub(super) fn admit(&mut self, now: Duration) -> Option<Leave> {
        if self.is_due(now) {
            self.change(State::HalfOpen { successes: 0 });
        }
        if let State::Open { .. } = self.state {
            self.refused += 1;
            return None;
        }
        Some(Leave { period: self.period })
    }

    /// A call with this leave got its answer.
    pub(super) fn succeeded(&mut self, leave: Leave) {
        if leave.period != self.period {
            return;
        }
        match &mut self.state {
            State::Closed { failures } => *failures = 0,
            State::Open { .. } => {}
            State::HalfOpen { successes } => {
                *successes += 1;
                if *successes >= self.settings.successes {
                    self.change(State::Closed { failures: 0 });
                }
            }
        }
    }

    /// A call with this leave failed at `now`.
    pub(super) fn failed(&mut self, leave: Leave, now: Duration) {
        if leave.period != self.period {
            return;
        }
        match &mut self.state {
            State::Closed { failures } => {
                *failures += 1;
                if *failures >= self.settings.failures {
                    self.open(now);
                }
            }
            State::Open { .. } => {}
            State::HalfOpen { .. } => self.open(now),
        }
    }

    /// Openings and refusals are counted from now on; the state stays.
    pub(super) fn forget_counts(&mut self) {
        (self.opened, self.refused) = (0, 0);
    }

    /// What it says of itself. It counts as open until a call is tried, however late that is.
    pub(super) fn report(&self) -> Report {
        let (state, failures, successes) = match self.state {
            State::Closed { failures } => (Stance::Closed, failures, 0),
            State::Open { .. } => (Stance::Open, 0, 0),
            State::HalfOpen { successes } => (Stance::HalfOpen, 0, successes),
        };
        Report { state, failures, successes, opened: self.opened, refused: self.refused }
    }

    fn is_due(&self, now: Duration) -> bool {
        matches!(self.state, State::Open { since } if now >= since + self.settings.recovery)
    }

    fn open(&mut self, now: Duration) {
        self.opened += 1;
        self.change(State::Open { since: now });
    }

    fn change(&mut self, state: State) {
        self.state = state;
        self.period += 1;
    }
}

#[cfg(test)]
mod tests;
