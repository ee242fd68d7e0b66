//! What the figures of a run mean: summary, validity, verdicts.

pub mod accuracy;
pub mod alerts;
pub mod capacity;
pub mod compare;
pub mod diagnose;
pub mod gate;
pub mod group;
pub mod leak;
pub mod machine;
pub mod profile;
pub mod resources;
pub mod server;
pub mod sizing;
pub mod soak;
mod validity;
mod verdicts;

use serde::{Deserialize, Serialize};

use crate::measure::distribution::Damaged;
use crate::measure::summary::{Merged, Summary};
use crate::measure::validity::Validity;
use crate::plan::Purpose;
use crate::scenario::slo::Severity;
use crate::store::run::Run;

use alerts::AlertVerdict;
use soak::Soak;
pub use verdicts::{Evidence, of as hold};

/// Judges a run.
pub fn assess(run: &Run) -> Result<Assessment, Damaged> {
    let merged = run.merged()?;
    let summary = Summary::of(&merged, run.start.plan.steps.len(), run.window());
    let evidence = Evidence { merged: &merged, summary: &summary, run: Some(run) };
    let verdicts = verdicts::of(&run.start.plan.slos, &evidence);
    let validity = validity::of(run, &summary, &verdicts);
    let mut alerts = alerts::of(&run.start.plan.alerts, &evidence);
    let soak = match run.start.plan.purpose {
        Purpose::Soak => Some(soak::of(run, &mut alerts)?),
        Purpose::Load | Purpose::Profile => None,
    };
    Ok(Assessment { summary, merged, validity, verdicts, alerts, soak })
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
    /// One for each rule of the scenario's alerts.
    pub alerts: Vec<AlertVerdict>,
    /// What drifts and what is left open, of a soak.
    pub soak: Option<Soak>,
}

impl Assessment {
    /// What further rules are held against; `run` is the one that is judged here.
    pub fn evidence<'a>(&'a self, run: &'a Run) -> Evidence<'a> {
        Evidence { merged: &self.merged, summary: &self.summary, run: Some(run) }
    }

    /// Whether the run has failed by its alerts or by a leak.
    pub fn alarms(&self) -> bool {
        let is_critical = |alert: &AlertVerdict| {
            alert.severity == Severity::Critical && alert.ruling == Ruling::Failed
        };
        self.alerts.iter().any(is_critical) || self.soak.as_ref().is_some_and(Soak::leaks)
    }
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
