//! Holds the figures against the scenario's rules.

use std::time::Duration;

use crate::measure::metric::Metric;
use crate::measure::summary::{Figures, Merged, Summary, ms, samples_needed};
use crate::scenario::slo::{Bound, Measure, Slo};

use super::{Ruling, Verdict};

/// A verdict for each rule.
pub fn of(slos: &[Slo], merged: &Merged, summary: &Summary) -> Vec<Verdict> {
    slos.iter().map(|slo| verdict(slo, merged, summary)).collect()
}

fn verdict(slo: &Slo, merged: &Merged, summary: &Summary) -> Verdict {
    let figures = match slo.step {
        None => &summary.total,
        Some(step) => &summary.steps[usize::from(step.0)],
    };
    let (measured, ruling) = match measure(slo, merged, figures) {
        Ok(Measured { value, bound, text }) => {
            let holds = slo.operator.holds(value, bound);
            (text, if holds { Ruling::Passed } else { Ruling::Failed })
        }
        Err(why) => (why, Ruling::Unknown),
    };
    Verdict { rule: slo.text.clone(), measured, ruling }
}

/// A value in its bound's unit.
struct Measured {
    value: f64,
    bound: f64,
    text: String,
}

/// The measured value; or why there is none.
fn measure(slo: &Slo, merged: &Merged, figures: &Figures) -> Result<Measured, String> {
    match slo.bound {
        Bound::Time(bound) => {
            let value = ms(latency(slo, merged)?);
            Ok(Measured { value, bound: ms(bound), text: format!("{value:.3} ms") })
        }
        Bound::PerSecond(bound) => {
            let value = figures.rps.ok_or("not measured: the measured window has no length")?;
            Ok(Measured { value, bound, text: format!("{value:.2} per second") })
        }
        Bound::Share(bound) => {
            let value = figures.failure_share().ok_or("not measured: no request ended")?;
            let text =
                format!("{:.3}% ({} of {})", value * 100.0, figures.failed(), figures.count());
            Ok(Measured { value, bound, text })
        }
    }
}

fn latency(slo: &Slo, merged: &Merged) -> Result<Duration, String> {
    let distribution = merged.successes(slo.step, Metric::ResponseTime);
    let found = match slo.measure {
        Measure::Percentile(percentile) => {
            let needed = samples_needed(percentile / 100.0);
            if distribution.count() < needed {
                return Err(format!(
                    "p{percentile} needs at least {needed} successes, and there are {}: run longer",
                    distribution.count()
                ));
            }
            distribution.quantile(percentile / 100.0)
        }
        Measure::Mean => distribution.mean(),
        Measure::Min => distribution.min(),
        Measure::Max => distribution.max(),
        // The reader of scenarios gives these bounds of their own.
        Measure::Rps | Measure::Failures => None,
    };
    found.ok_or_else(|| "not measured: no request succeeded".to_owned())
}
