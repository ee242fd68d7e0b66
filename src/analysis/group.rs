//! Several runs of the same workload, taken as one measurement: slices of a study, or repetitions.

use std::time::Duration;

use crate::measure::distribution::Damaged;
use crate::measure::ledger::Ledger;
use crate::measure::resource::Observed;
use crate::measure::sample::{Offset, Tokens};
use crate::measure::summary::{MeasuredWindow, Merged, Summary};
use crate::store::run::Run;

use super::resources::Resources;

/// One or several runs as one measurement. Whether they did the same work is for whoever puts them
/// together to say.
#[derive(Debug, Clone)]
pub struct Group {
    /// The runs, in the order in which they were given.
    pub runs: Vec<Run>,
    /// Everything recorded in their measured parts.
    pub merged: Merged,
    /// The figures of that. Its window begins at zero and is as long as all measured parts together:
    /// rates are over this time.
    pub summary: Summary,
}

impl Group {
    /// `runs` as one. Steps are those of the run that has most.
    ///
    /// # Errors
    ///
    /// A histogram that cannot be decoded.
    pub fn of(runs: Vec<Run>) -> Result<Group, Damaged> {
        let mut merged = Merged::default();
        for run in &runs {
            merged.merge(&run.merged()?);
        }
        let measured: Duration = runs.iter().map(|run| run.window().length()).sum();
        let window = MeasuredWindow { start: Offset::default(), end: Offset::from(measured) };
        let steps = runs.iter().map(|run| run.start.plan.steps.len()).max().unwrap_or(0);
        let summary = Summary::of(&merged, steps, window);
        Ok(Group { runs, merged, summary })
    }

    /// What `who` used in the measured parts: processor time a request is weighted with the requests
    /// of each run, means with its time; peaks are the largest.
    pub fn resources(&self, who: Observed) -> Resources {
        let parts: Vec<(Resources, f64)> = self.runs.iter().map(|run| used(run, who)).collect();
        Resources::together(&parts)
    }

    /// Totals of all runs, from first to last request.
    pub fn ledger(&self) -> Ledger {
        let mut sum = Ledger::default();
        self.runs.iter().for_each(|run| sum.add(&run.ledger()));
        sum
    }

    /// Tokens of all runs, as their responses reported them.
    pub fn tokens(&self) -> Tokens {
        let mut sum = Tokens::default();
        self.runs.iter().for_each(|run| sum += run.tokens());
        sum
    }
}

/// What `who` used in the measured part of `run`, and the requests that ended in it.
fn used(run: &Run, who: Observed) -> (Resources, f64) {
    let window = run.window();
    let all = run.intervals.iter().flat_map(|interval| &interval.completed);
    let ended = all.filter(|(_, outcome, _)| outcome.is_final() && outcome.was_sent());
    let requests = ended.map(|(_, _, count)| *count).sum::<u64>() as f64;
    let seconds = window.length().as_secs_f64();
    let rps = (seconds > 0.0).then(|| requests / seconds);
    (Resources::of(run, who, window, rps), requests)
}
