//! Rules that must hold for a run to pass: `predict: p95 < 200ms`, `chat: ttft p99 < 300ms`,
//! `failures < 1%`, `rows > 10`. And alerts, which fire where such a rule is true.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::measure::metric::Metric;
use crate::measure::sample::StepId;
use crate::schedule::{parse_duration, show_duration};

use super::errors::suggestion;

/// A rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Slo {
    /// The step that it is about; all steps together where there is none.
    pub step: Option<StepId>,
    /// Of which time, where it is about one.
    #[serde(default)]
    pub of: Timed,
    /// What is measured.
    pub measure: Measure,
    /// How it is compared with the bound.
    pub operator: Operator,
    /// The bound, of the measure's unit.
    pub bound: Bound,
    /// The rule as written.
    pub text: String,
}

/// A time that rules can be about: of requests, or rows, that succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timed {
    /// Response time: what a rule is about that names no other.
    #[default]
    ResponseTime,
    /// Another time of requests or streams.
    Metric(Metric),
    /// The time of a row: an iteration, or a row of a response.
    Row,
}

impl Timed {
    const NAMED: [(&'static str, Timed); 8] = [
        ("response", Timed::ResponseTime),
        ("service", Timed::Metric(Metric::ServiceTime)),
        ("first-byte", Timed::Metric(Metric::FirstByte)),
        ("ttft", Timed::Metric(Metric::Ttft)),
        ("first-reasoning", Timed::Metric(Metric::FirstReasoning)),
        ("inter-chunk", Timed::Metric(Metric::InterChunk)),
        ("tpot", Timed::Metric(Metric::Tpot)),
        ("row", Timed::Row),
    ];
}

/// What a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// A percentile of a time, above 0 and below 100.
    Percentile(f64),
    /// Its mean.
    Mean,
    /// The shortest.
    Min,
    /// The longest.
    Max,
    /// Requests per second.
    Rps,
    /// Share of requests that failed.
    Failures,
    /// Rows per second.
    Rows,
    /// Share of rows that failed.
    FailedRows,
    /// Good requests per second: successes within the step's limits.
    Goodput,
    /// Share of requests that were good.
    Good,
    /// Output tokens per second.
    Tokens,
    /// Growth of the target's resident memory.
    RssGrowth,
}

impl Measure {
    /// Names besides those of percentiles.
    const NAMED: [(&'static str, Measure); 11] = [
        ("mean", Measure::Mean),
        ("min", Measure::Min),
        ("max", Measure::Max),
        ("rps", Measure::Rps),
        ("failures", Measure::Failures),
        ("rows", Measure::Rows),
        ("failed rows", Measure::FailedRows),
        ("goodput", Measure::Goodput),
        ("good", Measure::Good),
        ("tokens", Measure::Tokens),
        ("rss growth", Measure::RssGrowth),
    ];
    const PERCENTILES: [&'static str; 5] = ["p50", "p90", "p95", "p99", "p99.9"];

    /// Whether it is of a time.
    fn is_of_a_time(self) -> bool {
        matches!(self, Measure::Percentile(_) | Measure::Mean | Measure::Min | Measure::Max)
    }

    /// Whether it is of the target as a whole.
    fn is_of_the_target(self) -> bool {
        self == Measure::RssGrowth
    }

    /// Whether it is of rows, which belong to no step.
    fn is_of_rows(self) -> bool {
        matches!(self, Measure::Rows | Measure::FailedRows)
    }

    /// Reads `p95`, `ttft p95` or `failed rows`.
    fn parse_with_time(text: &str) -> Result<(Timed, Measure), String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [of, statistic] = words.as_slice() else {
            return Measure::parse(text).map(|measure| (Timed::ResponseTime, measure));
        };
        if let Ok(measure) = Measure::parse(&words.join(" ")) {
            return Ok((Timed::ResponseTime, measure));
        }
        let times = || Timed::NAMED.iter().map(|(name, _)| *name);
        let Some((_, timed)) = Timed::NAMED.iter().find(|(name, _)| name == of) else {
            return Err(suggestion(of, times().chain(["failed rows"])));
        };
        match Measure::parse(statistic)? {
            measure if measure.is_of_a_time() => Ok((*timed, measure)),
            measure => Err(format!(
                "`{measure}` is not of a time: expected something like `{of} p95`, or `{measure}` alone"
            )),
        }
    }

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
        if Timed::NAMED.iter().any(|(time, _)| *time == name) {
            return Err(format!("which of it? Expected something like `{name} p95`"));
        }
        let named = Self::NAMED.iter().map(|(name, _)| *name);
        Err(suggestion(name, Self::PERCENTILES.into_iter().chain(named)))
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
    /// Of a time.
    Time(Duration),
    /// Of requests, rows or tokens per second.
    PerSecond(f64),
    /// Of a share: 0.01 is one percent.
    Share(f64),
    /// Of growth, in bytes an hour.
    BytesPerHour(f64),
    /// Of a time: so many times another figure of the same times.
    Times(f64, Measure),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bound::Time(time) => f.write_str(&show_duration(*time)),
            Bound::PerSecond(rate) => write!(f, "{rate}"),
            Bound::BytesPerHour(bytes) => write!(f, "{}MB/h", bytes / 1e6),
            Bound::Times(factor, of) => write!(f, "{factor}x {of}"),
            // Percent of a decimal number is written back as it was: 0.1% and not 0.10000000000000001%.
            Bound::Share(share) => write!(f, "{}%", (share * 1e14).round() / 1e12),
        }
    }
}

/// Something that is to be told where it is so: in an alert a rule says what is wrong, not what is
/// right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Name, unique in the scenario.
    pub name: String,
    /// When to warn.
    pub warn: Option<Slo>,
    /// When the run has failed.
    pub critical: Option<Slo>,
}

impl Alert {
    /// What a soak warns of where its scenario has no alerts: more than one row in twenty fails, the
    /// slowest percent takes twice as long as the median, memory grows by 100 MB an hour.
    pub fn defaults() -> Vec<Alert> {
        let rule = |measure, bound, text: &str| Slo {
            step: None,
            of: Timed::ResponseTime,
            measure,
            operator: Operator::Above,
            bound,
            text: text.to_owned(),
        };
        let twice = Bound::Times(2.0, Measure::Percentile(50.0));
        let rules = [
            ("row errors", rule(Measure::FailedRows, Bound::Share(0.05), "failed rows > 5%")),
            ("tail latency", rule(Measure::Percentile(99.0), twice, "p99 > 2x p50")),
            ("memory", rule(Measure::RssGrowth, Bound::BytesPerHour(1e8), "rss growth > 100MB/h")),
        ];
        let alert = |(name, warn): (&str, Slo)| Alert {
            name: name.to_owned(),
            warn: Some(warn),
            critical: None,
        };
        rules.into_iter().map(alert).collect()
    }

    /// Its rules, the worse one first.
    pub fn rules(&self) -> impl Iterator<Item = (Severity, &Slo)> {
        let critical = self.critical.iter().map(|rule| (Severity::Critical, rule));
        critical.chain(self.warn.iter().map(|rule| (Severity::Warning, rule)))
    }
}

/// How bad it is that an alert fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Someone should look.
    Warning,
    /// The run has failed.
    Critical,
}

impl Severity {
    /// As in files and reports.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Warning => "warning",
            Severity::Critical => "critical",
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
        let (of, measure) = Measure::parse_with_time(metric)
            .map_err(|label| wrong(metric, format!("there is no metric `{metric}`"), label))?;
        if step.is_some() && (of == Timed::Row || measure.is_of_rows()) {
            let message = "rows are of whole iterations, and of no step".to_owned();
            return Err(wrong(subject, message, format!("expected `{metric}` alone")));
        }
        if step.is_some() && measure.is_of_the_target() {
            let message = "memory is of the target, and of no step".to_owned();
            return Err(wrong(subject, message, format!("expected `{metric}` alone")));
        }
        let bound = parse_bound(measure, bound_text).map_err(|label| {
            wrong(bound_text, format!("`{bound_text}` is not a bound for {measure}"), label)
        })?;
        Ok(Slo { step, of, measure, operator, bound, text: text.trim().to_owned() })
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
        Measure::Rps | Measure::Rows | Measure::Goodput | Measure::Tokens => {
            number(text).map(Bound::PerSecond).ok_or_else(|| {
                let what = match measure {
                    Measure::Rows => "rows",
                    Measure::Tokens => "output tokens",
                    _ => "requests",
                };
                format!("expected {what} per second, such as `30`")
            })
        }
        Measure::Failures | Measure::FailedRows | Measure::Good => text
            .strip_suffix('%')
            .and_then(number)
            .filter(|percent| *percent <= 100.0)
            .map(|percent| Bound::Share(percent / 100.0))
            .ok_or_else(|| "expected a share such as `1%`".to_owned()),
        Measure::RssGrowth => {
            const UNITS: [(&str, f64); 3] = [("kB/h", 1e3), ("MB/h", 1e6), ("GB/h", 1e9)];
            let read =
                |(unit, bytes): &(&str, f64)| Some(number(text.strip_suffix(unit)?)? * bytes);
            let bytes = UNITS.iter().find_map(read);
            bytes.map(Bound::BytesPerHour).ok_or_else(|| "expected `100MB/h`".to_owned())
        }
        _ => match text.split_once("x ") {
            Some((factor, of)) => number(factor)
                .zip(Measure::parse(of.trim()).ok().filter(|of| of.is_of_a_time()))
                .map(|(factor, of)| Bound::Times(factor, of))
                .ok_or_else(|| "expected a multiple such as `2x p50`".to_owned()),
            None => parse_duration(text)
                .map(Bound::Time)
                .map_err(|_| "expected a time such as `200ms`, or `2x p50`".to_owned()),
        },
    }
}
