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
    let all = alerts.iter().flat_map(|alert| {
        alert.rules().map(move |(severity, slo)| {
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
        })
    });
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::measure::distribution::Distribution;
    use crate::measure::metric::Metric;
    use crate::measure::sample::{Outcome, StepId};
    use crate::measure::summary::{MeasuredWindow, Merged, Summary};

    /// A run of successes that took these milliseconds, and of so many failures.
    fn run_of(took_ms: &[u64], failed: u64) -> (Merged, Summary) {
        let mut merged = Merged::default();
        for (outcome, times) in
            [(Outcome::Ok, took_ms.to_vec()), (Outcome::HttpStatus, vec![1; failed as usize])]
        {
            let mut distribution = Distribution::default();
            times.iter().for_each(|ms| distribution.record(Duration::from_millis(*ms)));
            let key = (StepId(0), Metric::ResponseTime, outcome);
            merged.distributions.insert(key, distribution);
        }
        let window = MeasuredWindow { start: Offset(0), end: Offset(10_000_000_000) };
        let summary = Summary::of(&merged, 1, window);
        (merged, summary)
    }

    fn fired(alert: &Alert, took_ms: &[u64], failed: u64) -> Vec<Severity> {
        let (merged, summary) = run_of(took_ms, failed);
        let evidence = Evidence { merged: &merged, summary: &summary, run: None };
        let verdicts = of(std::slice::from_ref(alert), &evidence);
        let fired = verdicts.iter().filter(|verdict| verdict.ruling == Ruling::Failed);
        fired.map(|verdict| verdict.severity).collect()
    }

    fn alert(warn: &str, critical: &str) -> Alert {
        let rule = |text| Some(Slo::parse(text, &["ask"]).expect("a rule"));
        Alert { name: "total".to_owned(), warn: rule(warn), critical: rule(critical) }
    }

    #[test]
    fn a_bound_itself_does_not_fire_and_what_is_beyond_it_does() {
        use Severity::{Critical, Warning};
        let total = alert("p95 > 45s", "ask: p95 > 90s");
        assert_eq!(fired(&total, &[46_000; 40], 0), [Warning]);
        assert_eq!(fired(&total, &[91_000; 40], 0), [Critical, Warning]);
        assert_eq!(fired(&total, &[45_000; 40], 0), []);
        assert_eq!(fired(&alert("max > 30s", "max > 60s"), &[30_000; 40], 0), []);
        assert_eq!(fired(&alert("max > 30s", "max > 60s"), &[30_001; 40], 0), [Warning]);
    }

    #[test]
    fn shares_and_multiples_are_strict_as_well() {
        use Severity::{Critical, Warning};
        let errors = alert("failures > 5%", "failures > 10%");
        assert_eq!(fired(&errors, &[10; 95], 5), []);
        assert_eq!(fired(&errors, &[10; 94], 6), [Warning]);
        assert_eq!(fired(&errors, &[10; 89], 11), [Critical, Warning]);
        let tail = alert("max > 2x min", "max > 3x min");
        assert_eq!(fired(&tail, &[100, 200], 0), []);
        assert_eq!(fired(&tail, &[100, 201], 0), [Warning]);
        assert_eq!(fired(&tail, &[100, 301], 0), [Critical, Warning]);
    }

    #[test]
    fn what_only_failed_is_infinitely_slow() {
        use Severity::{Critical, Warning};
        assert_eq!(fired(&alert("p95 > 45s", "mean > 90s"), &[], 5), [Critical, Warning]);
        assert_eq!(fired(&alert("p95 < 45s", "max < 90s"), &[], 5), []);
        assert_eq!(fired(&alert("p99 > 2x p50", "p95 > 1s"), &[1], 50), [], "too few, not none");
        assert_eq!(fired(&alert("p95 > 45s", "p95 > 1s"), &[], 0), [], "nothing ended");
    }

    #[test]
    fn what_cannot_be_judged_does_not_fire() {
        let (merged, summary) = run_of(&[46_000; 3], 0);
        let evidence = Evidence { merged: &merged, summary: &summary, run: None };
        let alerts = [alert("p95 > 45s", "rss growth > 100MB/h")];
        for verdict in of(&alerts, &evidence) {
            assert_eq!(verdict.ruling, Ruling::Unknown, "{verdict:?}");
        }
    }
}
