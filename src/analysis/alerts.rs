//! Alerts: rules that say what is wrong. They fire where they are true.

use serde::Serialize;

use crate::measure::sample::Offset;
use crate::scenario::slo::{Alert, Severity, Slo};

use super::Ruling;
use super::verdicts::{Evidence, verdict};

/// What became of one rule of an alert.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AlertVerdict {
    /// The alert.
    pub name: String,
    /// How bad it is where it fires.
    pub severity: Severity,
    /// The rule, as written.
    pub rule: String,
    /// What was measured over the whole run; or why it could not be.
    pub measured: String,
    /// Over the whole run: it failed where the alert fires.
    pub ruling: Ruling,
    /// In which windows it fired; `None` where the run is not judged in windows.
    pub windows: Option<Fired>,
    /// The rule.
    #[serde(skip)]
    slo: Slo,
}

/// Windows in which an alert fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Fired {
    /// Windows that could be judged.
    pub judged: usize,
    /// Windows with too few values, and those where the rule is of the whole run alone.
    pub not_judged: usize,
    /// Windows in which it fired.
    pub fired: usize,
    /// Begin of the first of them.
    pub first: Option<Offset>,
    /// End of the last of them.
    pub last: Option<Offset>,
}

/// The verdicts on all rules of `alerts` over a whole run.
pub fn of(alerts: &[Alert], evidence: &Evidence<'_>) -> Vec<AlertVerdict> {
    let all = alerts.iter().flat_map(|alert| alert.rules().map(move |(severity, slo)| {
        let (ruling, measured) = fires(slo, evidence);
        AlertVerdict {
            name: alert.name.clone(),
            severity,
            rule: slo.text.clone(),
            measured,
            ruling,
            windows: None,
            slo: slo.clone(),
        }
    }));
    all.collect()
}

/// Whether a rule is true: then the alert fires, and that is a failure.
fn fires(slo: &Slo, evidence: &Evidence<'_>) -> (Ruling, String) {
    let verdict = verdict(slo, evidence);
    let ruling = match verdict.ruling {
        Ruling::Passed => Ruling::Failed,
        Ruling::Failed => Ruling::Passed,
        Ruling::Unknown => Ruling::Unknown,
    };
    (ruling, verdict.measured)
}

impl AlertVerdict {
    /// Judges a window, from `start` to `end`, as well.
    pub(super) fn add_window(&mut self, evidence: &Evidence<'_>, start: Offset, end: Offset) {
        let windows = self.windows.get_or_insert_default();
        match fires(&self.slo, evidence).0 {
            Ruling::Unknown => windows.not_judged += 1,
            Ruling::Passed => windows.judged += 1,
            Ruling::Failed => {
                windows.judged += 1;
                windows.fired += 1;
                windows.first.get_or_insert(start);
                windows.last = Some(end);
            }
        }
    }

    /// Whether it fires over the whole run, or fired in a window.
    pub fn has_fired(&self) -> bool {
        self.ruling == Ruling::Failed || self.windows.is_some_and(|windows| windows.fired > 0)
    }
}
