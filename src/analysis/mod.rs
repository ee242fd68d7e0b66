//! What the figures of a run mean: summary, validity, verdicts.

pub mod accuracy;
pub mod capacity;
pub mod leak;
pub mod machine;
pub mod server;
mod validity;
mod verdicts;

use serde::{Deserialize, Serialize};

use crate::measure::distribution::Damaged;
use crate::measure::summary::{Merged, Summary};
use crate::measure::validity::Validity;
use crate::store::run::Run;

/// Judges a run.
pub fn assess(run: &Run) -> Result<Assessment, Damaged> {
    let merged = run.merged()?;
    let summary = Summary::of(&merged, run.start.plan.steps.len(), run.window());
    let verdicts = verdicts::of(&run.start.plan.slos, &merged, &summary);
    let validity = validity::of(run, &summary, &verdicts);
    Ok(Assessment { summary, merged, validity, verdicts })
}

/// A run, judged.
#[derive(Debug, Clone)]
pub struct Assessment {
    /// Its figures.
    pub summary: Summary,
    /// The distributions behind the figures.
    pub merged: Merged,
    /// Whether the figures may be trusted.
    pub validity: Validity,
    /// One verdict for each SLO of the scenario.
    pub verdicts: Vec<Verdict>,
}

/// Whether a rule held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The rule, as written.
    pub rule: String,
    /// What was measured, with its unit; or why it could not be.
    pub measured: String,
    /// Whether it held.
    pub ruling: Ruling,
}

/// The outcome of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ruling {
    /// It held.
    Passed,
    /// It did not hold.
    Failed,
    /// There are too few data to say: never a pass.
    Unknown,
}
