//! A gate: whether a change made a service worse, decided round by round while both versions run.
//!
//! In each round both versions are started anew and loaded at the same moments with the same inputs;
//! a round gives one value a figure, and rounds are what is independent of each other. [`round`] makes
//! the values, [`judge`] the words, [`power`] says which effects could have been seen.

pub mod judge;
pub mod power;
pub mod round;

use serde::{Deserialize, Serialize};

use crate::stats::bootstrap::Interval;

use super::compare::{Margins, Quantity};
use super::{Ruling, Verdict};

pub use judge::{Judge, is_clear};
pub use round::{Round, Value};

/// Rounds without which nothing is decided: fewer say too little of how rounds differ.
pub const FEWEST_ROUNDS: u32 = 6;
/// Looks at the figures of a gate at most: more spend the error in parts that decide nothing.
const MOST_LOOKS: u32 = 8;

/// What is judged: a figure of one step, or of all steps together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Subject {
    /// The step; `None` for all of them together.
    pub step: Option<String>,
    /// The figure.
    pub quantity: Quantity,
}

impl Subject {
    /// Of all steps together.
    pub fn of_all(quantity: Quantity) -> Subject {
        Subject { step: None, quantity }
    }

    /// In reports.
    pub fn label(&self) -> String {
        match &self.step {
            None => self.quantity.label(),
            Some(step) => format!("{step}: {}", self.quantity.label()),
        }
    }

    /// In files: `response_time.p95`, `predict/response_time.p95`.
    pub fn name(&self) -> String {
        match &self.step {
            None => self.quantity.name(),
            Some(step) => format!("{step}/{}", self.quantity.name()),
        }
    }
}

/// How a gate decides.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// By how much a figure may get worse: what counts as no change.
    pub margins: Margins,
    /// The chance that a gate between equal versions fails, over all figures and looks.
    pub alpha: f64,
    /// The chance that a figure that is worse by its margin passes as unchanged.
    pub beta: f64,
}

/// The usual chance of a false alarm.
pub const ALPHA: f64 = 0.01;
/// The usual chance to pass a figure that is worse by its margin.
pub const BETA: f64 = 0.05;

impl Default for Rules {
    fn default() -> Self {
        Rules { margins: Margins::default(), alpha: ALPHA, beta: BETA }
    }
}

/// After how many rounds the figures are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looks(Vec<u32>);

impl Looks {
    /// Looks of a gate that takes `most` rounds: the first after [`FEWEST_ROUNDS`], the last after all
    /// of them, evenly and every other round at most.
    pub fn up_to(most: u32) -> Looks {
        let rest = most.saturating_sub(FEWEST_ROUNDS);
        let step = rest.div_ceil(MOST_LOOKS - 1).next_multiple_of(2).max(2);
        let early = (0..).map(|n| FEWEST_ROUNDS + n * step).take_while(|at| *at < most);
        Looks(early.chain([most]).collect())
    }

    /// Whether there is one after so many rounds.
    pub fn has(&self, rounds: u32) -> bool {
        self.0.contains(&rounds)
    }

    /// After how many rounds each of them is.
    pub fn planned(&self) -> &[u32] {
        &self.0
    }

    /// The most rounds.
    pub fn most(&self) -> u32 {
        self.0.last().copied().unwrap_or(0)
    }

    /// The shares of all rounds that were there at each look up to `rounds`, which is the last look,
    /// planned or not: a gate whose time is over looks once more.
    pub fn shares(&self, rounds: u32) -> Vec<f64> {
        let most = f64::from(self.most().max(rounds));
        let before = self.0.iter().copied().filter(|at| *at < rounds);
        before.chain([rounds]).map(|at| f64::from(at) / most).collect()
    }
}

/// What can be said of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// Worse, by more than its floor for certain.
    Regressed,
    /// Better, by more than its floor for certain.
    Improved,
    /// Neither worse nor better by its margin.
    Unchanged,
    /// Not worse by its margin; how much better is not known.
    NoWorse,
    /// None of these.
    Inconclusive,
}

impl Call {
    /// In reports and files.
    pub fn name(self) -> &'static str {
        match self {
            Call::Regressed => "regressed",
            Call::Improved => "improved",
            Call::Unchanged => "unchanged",
            Call::NoWorse => "no worse",
            Call::Inconclusive => "inconclusive",
        }
    }

    /// Whether nothing more needs to be measured for it.
    pub fn is_decided(self) -> bool {
        self != Call::Inconclusive
    }

    /// Whether it lets a change through.
    pub fn passes(self) -> bool {
        matches!(self, Call::Improved | Call::Unchanged | Call::NoWorse)
    }
}

/// A figure, judged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judged {
    /// Which.
    pub subject: Subject,
    /// Of the base: the median of the rounds; of failures, of all requests. `None` where it was not
    /// measured.
    pub base: Option<f64>,
    /// Of the head.
    pub head: Option<f64>,
    /// The change from base to head: as a share of the base (0.1 is 10% more) or, of failures, in
    /// points (0.01 is one).
    pub effect: Option<f64>,
    /// Where the true effect lies with 90% confidence: each end is one-sided 95%.
    pub interval: Option<Interval>,
    /// By how much it may get worse.
    pub margin: f64,
    /// Up to here a proven change is none: a fifth of the margin.
    pub floor: f64,
    /// What can be said.
    pub call: Call,
    /// Why no more, where it is inconclusive.
    pub reason: Option<String>,
    /// The smallest worsening that this gate would have found with 80% chance, had it run to its end, at
    /// the noise of its rounds.
    pub detectable: Option<f64>,
    /// Values that the word rests on.
    pub rounds: usize,
}

/// How a gate ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Nothing got worse.
    Passed,
    /// Something did, or a rule does not hold.
    Failed,
    /// Neither can be said.
    Inconclusive,
}

impl Decision {
    /// What follows from the figures and the rules of the scenario. What is not there passes nothing.
    pub fn of(judged: &[Judged], rules: &[Verdict]) -> Decision {
        let fails = judged.iter().any(|it| it.call == Call::Regressed)
            || rules.iter().any(|rule| rule.ruling == Ruling::Failed);
        let passes = !judged.is_empty()
            && judged.iter().all(|it| it.call.passes())
            && rules.iter().all(|rule| rule.ruling == Ruling::Passed);
        match (fails, passes) {
            (true, _) => Decision::Failed,
            (_, true) => Decision::Passed,
            _ => Decision::Inconclusive,
        }
    }

    /// In reports and files.
    pub fn name(self) -> &'static str {
        match self {
            Decision::Passed => "passed",
            Decision::Failed => "failed",
            Decision::Inconclusive => "inconclusive",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_begin_with_the_fewest_and_end_with_the_most() {
        assert_eq!(Looks::up_to(20), Looks(vec![6, 8, 10, 12, 14, 16, 18, 20]));
        assert_eq!(Looks::up_to(6), Looks(vec![6]));
        assert_eq!(Looks::up_to(7), Looks(vec![6, 7]));
        let long = Looks::up_to(200);
        assert!(long.0.len() <= MOST_LOOKS as usize && long.most() == 200, "{long:?}");
        assert!(long.0.is_sorted());
    }

    #[test]
    fn a_gate_whose_time_is_over_looks_once_more() {
        let looks = Looks::up_to(10);
        assert_eq!(looks.shares(8), [0.6, 0.8]);
        assert_eq!(looks.shares(9), [0.6, 0.8, 0.9]);
        assert_eq!(looks.shares(10), [0.6, 0.8, 1.0]);
    }

    #[test]
    fn nothing_is_no_pass() {
        assert_eq!(Decision::of(&[], &[]), Decision::Inconclusive);
    }
}
