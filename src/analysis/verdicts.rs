//! Holds the figures against the scenario's rules.

use std::time::Duration;

use crate::measure::distribution::Distribution;
use crate::measure::metric::Metric;
use crate::measure::rows::{IterationEnd, RowFigures};
use crate::measure::summary::{Figures, Merged, Summary, ms, samples_needed};
use crate::scenario::slo::{Bound, Measure, Slo, Timed};
use crate::store::run::Run;

use super::leak::{self, Resource};
use super::{Ruling, Verdict};

/// What rules are held against.
#[derive(Clone, Copy)]
pub struct Evidence<'a> {
    /// The distributions.
    pub merged: &'a Merged,
    /// The figures.
    pub summary: &'a Summary,
    /// The run whose target's memory is meant; `None` for a part of one.
    pub run: Option<&'a Run>,
}

/// A verdict for each rule.
pub fn of(slos: &[Slo], evidence: &Evidence<'_>) -> Vec<Verdict> {
    slos.iter().map(|slo| verdict(slo, evidence)).collect()
}

/// The verdict on one rule.
pub fn verdict(slo: &Slo, evidence: &Evidence<'_>) -> Verdict {
    let (measured, ruling) = match measure(slo, evidence) {
        Ok(Measured { value, bound, text }) => {
            let holds = slo.operator.holds(value, bound);
            (text, if holds { Ruling::Passed } else { Ruling::Failed })
        }
        Err(Missing::Unknown(why)) => (why, Ruling::Unknown),
        Err(Missing::Infinite(why)) => (why, ruling_without_success(slo)),
    };
    Verdict { rule: slo.text.clone(), measured, ruling }
}

/// The ruling where requests, or rows, ended and none succeeded. A failure counts as infinitely slow:
/// a time that must stay below a bound does not. A multiple of another such time says nothing.
fn ruling_without_success(slo: &Slo) -> Ruling {
    let holds = match slo.bound {
        Bound::Times(..) => false,
        _ => slo.operator.holds(f64::INFINITY, f64::MAX),
    };
    if holds { Ruling::Passed } else { Ruling::Failed }
}

/// Why there is no value.
enum Missing {
    /// It is not known.
    Unknown(String),
    /// It would be a time of successes, and there were failures only.
    Infinite(String),
}

impl From<String> for Missing {
    fn from(why: String) -> Self {
        Missing::Unknown(why)
    }
}

/// A value in its bound's unit.
struct Measured {
    value: f64,
    bound: f64,
    text: String,
}

/// The measured value; or why there is none.
fn measure(slo: &Slo, evidence: &Evidence<'_>) -> Result<Measured, Missing> {
    let Evidence { merged, summary, run } = *evidence;
    let figures = match slo.step {
        None => &summary.total,
        Some(step) => &summary.steps[usize::from(step.0)],
    };
    let rows = summary.rows.as_ref();
    match slo.bound {
        Bound::Times(factor, of) => {
            let of = ms(time(&Slo { measure: of, ..slo.clone() }, merged, figures, rows)?);
            let value = ms(time(slo, merged, figures, rows)?);
            let times = match of > 0.0 {
                true => format!("{:.2} times {of:.3} ms", value / of),
                false => format!("{of:.3} ms"),
            };
            Ok(Measured { value, bound: factor * of, text: format!("{value:.3} ms, {times}") })
        }
        Bound::BytesPerHour(bound) => Ok(growth(run, bound)?),
        Bound::Time(bound) => {
            let value = ms(time(slo, merged, figures, rows)?);
            Ok(Measured { value, bound: ms(bound), text: format!("{value:.3} ms") })
        }
        Bound::PerSecond(bound) => {
            let value = per_second(slo.measure, figures, rows)?;
            Ok(Measured { value, bound, text: format!("{value:.2} per second") })
        }
        Bound::Share(bound) => {
            let (value, of) = share(slo.measure, figures, rows)?;
            Ok(Measured { value, bound, text: format!("{:.3}% ({of})", value * 100.0) })
        }
    }
}

/// The growth of the target's memory in bytes an hour, where its whole interval lies on one side of
/// the bound: no rule is broken, or kept, by noise.
fn growth(run: Option<&Run>, bound: f64) -> Result<Measured, String> {
    /// A start is no growth.
    const SHORTEST_SECONDS: f64 = 60.0;
    let run = run.ok_or("memory growth is of whole runs")?;
    let verdicts = leak::judge(&run.of_one_target());
    let memory = verdicts.into_iter().find(|verdict| verdict.resource == Resource::Memory);
    let memory = memory.ok_or("not measured")?;
    let growth = memory.growth.ok_or_else(|| format!("not measured: {}", memory.why))?;
    if growth.seconds < SHORTEST_SECONDS {
        return Err(format!(
            "too early to say: {:.0} s were measured, and {SHORTEST_SECONDS} s are needed",
            growth.seconds
        ));
    }
    let (low, high) = (growth.interval.low * 3600.0, growth.interval.high * 3600.0);
    let text =
        format!("{:.1} MB/h ({:.1} to {:.1})", growth.per_hour() / 1e6, low / 1e6, high / 1e6);
    match low <= bound && bound <= high {
        true => Err(format!("too early to say: {text}")),
        false => Ok(Measured { value: growth.per_hour(), bound, text }),
    }
}

fn per_second(
    measure: Measure,
    figures: &Figures,
    rows: Option<&RowFigures>,
) -> Result<f64, String> {
    let (value, why) = match measure {
        Measure::Rows => (rows.and_then(|rows| rows.per_second), "no row was due"),
        Measure::Goodput => {
            (figures.good_per_s, "no step here has goodput limits, or none was used")
        }
        Measure::Tokens => (figures.output_tokens_per_s, "no response reported its tokens"),
        _ => (figures.rps, "the measured window has no length"),
    };
    value.ok_or_else(|| format!("not measured: {why}"))
}

/// A share (0 to 1), and the counts behind it.
fn share(
    measure: Measure,
    figures: &Figures,
    rows: Option<&RowFigures>,
) -> Result<(f64, String), String> {
    let (share, part, all, why) = match measure {
        Measure::FailedRows => {
            let failed = rows.map_or(0, |rows| rows.of(IterationEnd::Failed));
            let all = rows.map_or(0, RowFigures::count);
            (rows.and_then(RowFigures::failure_share), failed, all, "no row ended")
        }
        Measure::Good => {
            let traffic = &figures.traffic;
            let why = "no step here has goodput limits, or none was used";
            (figures.good_share(), traffic.good, traffic.judged, why)
        }
        _ => (figures.failure_share(), figures.failed(), figures.count(), "no request ended"),
    };
    let share = share.ok_or_else(|| format!("not measured: {why}"))?;
    Ok((share, format!("{part} of {all}")))
}

/// The times that a rule is about, and how they are spoken of.
pub struct Times {
    /// The times.
    pub distribution: Distribution,
    /// What they are of, after a number of them.
    what: &'static str,
    /// Why there are none.
    missing: &'static str,
}

impl Times {
    /// Those of the measured part that `slo` is about, where it is about a time.
    pub fn of(slo: &Slo, merged: &Merged) -> Times {
        let (distribution, what, missing) = match slo.of {
            Timed::Row => (merged.rows.times(), "successful rows", "no row succeeded"),
            Timed::ResponseTime => {
                let times = merged.successes(slo.step, Metric::ResponseTime);
                (times, "successes", "no request succeeded")
            }
            Timed::Metric(metric) => {
                let missing = "no successful request has such a time";
                (merged.successes(slo.step, metric), "values", missing)
            }
        };
        Times { distribution, what, missing }
    }
}

fn time(
    slo: &Slo,
    merged: &Merged,
    figures: &Figures,
    rows: Option<&RowFigures>,
) -> Result<Duration, Missing> {
    none_succeeded(slo.of, figures, rows)?;
    let Times { distribution, what, missing } = Times::of(slo, merged);
    let found = match slo.measure {
        Measure::Percentile(percentile) => {
            let needed = samples_needed(percentile / 100.0);
            if distribution.count() < needed {
                return Err(format!(
                    "p{percentile} needs at least {needed} {what}, and there are {}: run longer",
                    distribution.count()
                )
                .into());
            }
            distribution.quantile(percentile / 100.0)
        }
        Measure::Mean => distribution.mean(),
        Measure::Min => distribution.min(),
        Measure::Max => distribution.max(),
        // The reader of scenarios gives these bounds of their own.
        _ => None,
    };
    found.ok_or_else(|| format!("not measured: {missing}").into())
}

/// Refuses a time where there are failures only.
fn none_succeeded(of: Timed, figures: &Figures, rows: Option<&RowFigures>) -> Result<(), Missing> {
    let (failed, count, what) = match of {
        Timed::Row => {
            let failed = rows.map_or(0, |rows| rows.of(IterationEnd::Failed));
            (failed, rows.map_or(0, RowFigures::count), "rows")
        }
        Timed::ResponseTime | Timed::Metric(_) => (figures.failed(), figures.count(), "requests"),
    };
    match failed {
        1.. if failed == count => {
            Err(Missing::Infinite(format!("none of {count} {what} succeeded")))
        }
        _ => Ok(()),
    }
}
