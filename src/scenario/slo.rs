//! Rules that must hold for a run to pass: `predict: p95 < 200ms`, `failures < 1%`.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::measure::sample::StepId;
use crate::schedule::{parse_duration, show_duration};

use super::errors::suggestion;

/// A rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Slo {
    /// The step that it is about; all steps together where there is none.
    pub step: Option<StepId>,
    /// What is measured.
    pub measure: Measure,
    /// How it is compared with the bound.
    pub operator: Operator,
    /// The bound, of the measure's unit.
    pub bound: Bound,
    /// The rule as written.
    pub text: String,
}

/// What a rule is about. All latencies are response times of requests that succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// A percentile of response time, above 0 and below 100.
    Percentile(f64),
    /// Mean response time.
    Mean,
    /// Shortest response time.
    Min,
    /// Longest response time.
    Max,
    /// Requests per second.
    Rps,
    /// Share of requests that failed.
    Failures,
}

impl Measure {
    /// Names besides those of percentiles.
    const NAMED: [(&'static str, Measure); 5] = [
        ("mean", Measure::Mean),
        ("min", Measure::Min),
        ("max", Measure::Max),
        ("rps", Measure::Rps),
        ("failures", Measure::Failures),
    ];

    fn parse(name: &str) -> Result<Measure, String> {
        if let Some((_, measure)) = Self::NAMED.iter().find(|(right, _)| *right == name) {
            return Ok(*measure);
        }
        if let Some(number) = name.strip_prefix('p')
            && number.starts_with(|c: char| c.is_ascii_digit())
        {
            return match number.parse::<f64>() {
                Ok(percentile) if (50.0..=99.999).contains(&percentile) => {
                    Ok(Measure::Percentile(percentile))
                }
                _ => Err("percentiles go from p50 to p99.999".to_owned()),
            };
        }
        let names = ["p50", "p90", "p95", "p99", "p99.9"];
        Err(suggestion(name, names.into_iter().chain(Self::NAMED.iter().map(|(name, _)| *name))))
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Measure::Percentile(percentile) => write!(f, "p{percentile}"),
            named => {
                let name = Self::NAMED.iter().find(|(_, measure)| measure == named);
                f.write_str(name.map_or("", |(name, _)| name))
            }
        }
    }
}

/// How a measured value is compared with its bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operator {
    /// `<`
    #[serde(rename = "<")]
    Below,
    /// `<=`
    #[serde(rename = "<=")]
    AtMost,
    /// `>`
    #[serde(rename = ">")]
    Above,
    /// `>=`
    #[serde(rename = ">=")]
    AtLeast,
}

impl Operator {
    /// Longer ones first: `<=` begins with `<`.
    const ALL: [Operator; 4] =
        [Operator::AtMost, Operator::AtLeast, Operator::Below, Operator::Above];

    /// As written in a rule.
    pub fn symbol(self) -> &'static str {
        match self {
            Operator::Below => "<",
            Operator::AtMost => "<=",
            Operator::Above => ">",
            Operator::AtLeast => ">=",
        }
    }

    /// Whether a measured value keeps to the bound.
    pub fn holds<T: PartialOrd>(self, measured: T, bound: T) -> bool {
        match self {
            Operator::Below => measured < bound,
            Operator::AtMost => measured <= bound,
            Operator::Above => measured > bound,
            Operator::AtLeast => measured >= bound,
        }
    }
}

/// The bound of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Of a latency.
    Time(Duration),
    /// Of requests per second.
    PerSecond(f64),
    /// Of a share: 0.01 is one percent.
    Share(f64),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bound::Time(time) => f.write_str(&show_duration(*time)),
            Bound::PerSecond(rate) => write!(f, "{rate}"),
            // Percent of a decimal number is written back as it was: 0.1% and not 0.10000000000000001%.
            Bound::Share(share) => write!(f, "{}%", (share * 1e14).round() / 1e12),
        }
    }
}

/// The rule as written.
impl fmt::Display for Slo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What is wrong with a rule, and which part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleError {
    /// What is wrong.
    pub message: String,
    /// What was expected, or the nearest right name.
    pub label: String,
    /// Bytes of the rule.
    pub span: Range<usize>,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.message, self.label)
    }
}

impl std::error::Error for RuleError {}

impl Slo {
    /// Reads a rule. `steps` are the names of the scenario's steps, by [`StepId`].
    ///
    /// # Errors
    ///
    /// Says which part is wrong, and the nearest right name.
    pub fn parse(text: &str, steps: &[&str]) -> Result<Slo, RuleError> {
        let wrong = |part: &str, message: String, label: String| {
            // `part` is a stretch of `text`: the distance of their beginnings is its offset.
            let start = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
            RuleError { message, label, span: start..start + part.len() }
        };
        let Some((at, operator)) = Operator::ALL
            .iter()
            .find_map(|operator| text.rfind(operator.symbol()).map(|at| (at, *operator)))
        else {
            return Err(wrong(
                text,
                "a rule compares: `<`, `<=`, `>` or `>=` is missing".to_owned(),
                "expected something like `predict: p95 < 200ms`".to_owned(),
            ));
        };
        let subject = text[..at].trim();
        let bound_text = text[at + operator.symbol().len()..].trim();
        let (step, metric) = match subject.rsplit_once(':') {
            Some((step, metric)) => (Some(step.trim()), metric.trim()),
            None => (None, subject),
        };
        let step = match step {
            None => None,
            Some(name) => Some(find_step(name, steps).ok_or_else(|| {
                let label = suggestion(name, steps.iter().copied());
                wrong(name, format!("there is no step `{name}`"), label)
            })?),
        };
        let measure = Measure::parse(metric)
            .map_err(|label| wrong(metric, format!("there is no metric `{metric}`"), label))?;
        let bound = parse_bound(measure, bound_text).map_err(|label| {
            wrong(bound_text, format!("`{bound_text}` is not a bound for {measure}"), label)
        })?;
        Ok(Slo { step, measure, operator, bound, text: text.trim().to_owned() })
    }
}

fn find_step(name: &str, steps: &[&str]) -> Option<StepId> {
    let index = steps.iter().position(|step| *step == name)?;
    u16::try_from(index).ok().map(StepId)
}

fn parse_bound(measure: Measure, text: &str) -> Result<Bound, String> {
    let number =
        |text: &str| text.trim().parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0);
    match measure {
        Measure::Rps => number(text)
            .map(Bound::PerSecond)
            .ok_or_else(|| "expected requests per second, such as `30`".to_owned()),
        Measure::Failures => text
            .strip_suffix('%')
            .and_then(number)
            .filter(|percent| *percent <= 100.0)
            .map(|percent| Bound::Share(percent / 100.0))
            .ok_or_else(|| "expected a share such as `1%`".to_owned()),
        _ => parse_duration(text)
            .map(Bound::Time)
            .map_err(|_| "expected a time such as `200ms`".to_owned()),
    }
}
