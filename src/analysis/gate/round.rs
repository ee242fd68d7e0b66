//! One round of a gate: both versions, loaded at the same moments with the same inputs; one value a
//! figure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::analysis::compare::{Quantity, Scale, Statistic};
use crate::analysis::group::Group;
use crate::analysis::resources::Resources;
use crate::measure::distribution::{Damaged, Distribution};
use crate::measure::interval::Phase;
use crate::measure::metric::Metric;
use crate::measure::resource::Observed;
use crate::measure::sample::StepId;
use crate::measure::summary::{Figures, ms};
use crate::stats::order::hodges_lehmann;
use crate::store::run::Run;

use super::Subject;
use super::judge::off_scale;

/// A round: its values, and what the failures are shares of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Its number, from 1.
    pub number: u32,
    /// A value for each figure.
    pub values: Vec<Value>,
}

/// A figure in a round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Value {
    /// Which.
    pub subject: Subject,
    /// Of the base; `None` where it was not measured.
    pub base: Option<f64>,
    /// Of the head.
    pub head: Option<f64>,
    /// Head less base: of the logarithms, or of shares. `None` where one side is not known, or too
    /// little is.
    pub difference: Option<f64>,
    /// Why there is none.
    pub lacks: Option<String>,
    /// Of shares: hits and of how many, base and head.
    pub counts: Option<[(u64, u64); 2]>,
}

impl Value {
    /// The change from base to head: a share of the base, or points.
    pub fn change(&self) -> Option<f64> {
        Some(off_scale(self.subject.quantity.scale(), self.difference?))
    }
}

/// Values beyond a percentile that a round must have on each side: with fewer, its one or two largest
/// values say where it is, and rounds scatter so much that the percentile keeps a gate from ending.
const BEYOND: f64 = 3.0;
/// The same for a stretch of a round.
const BEYOND_IN_BLOCK: f64 = 2.0;
/// Stretches of a round at most.
const MOST_BLOCKS: u64 = 8;

/// Values without which a round has no percentile `q`.
pub fn values_needed(q: f64) -> u64 {
    (BEYOND / (1.0 - q)).round().max(10.0) as u64
}

impl Round {
    /// What the runs of `base` and `head` say of `subjects`.
    ///
    /// # Errors
    ///
    /// A histogram that cannot be decoded.
    pub fn of(number: u32, sides: [&Run; 2], subjects: &[Subject]) -> Result<Round, Damaged> {
        let [base, head] = [Side::of(sides[0])?, Side::of(sides[1])?];
        let value = |subject: &Subject| value(&base, &head, subject);
        Ok(Round { number, values: subjects.iter().map(value).collect() })
    }

    /// The value of `subject`.
    pub fn value(&self, subject: &Subject) -> Option<&Value> {
        self.values.iter().find(|value| value.subject == *subject)
    }
}

/// Latencies of the measured part, by step and for all steps, in the order of seconds: where in the
/// measured part (0 to 1) each was recorded.
type Seconds = Vec<(f64, BTreeMap<(Option<StepId>, Metric), Distribution>)>;

/// One version in a round.
struct Side {
    names: Vec<String>,
    group: Group,
    resources: Resources,
    seconds: Seconds,
}

impl Side {
    fn of(run: &Run) -> Result<Side, Damaged> {
        let window = run.window();
        let length = window.length().as_secs_f64();
        let mut seconds = Vec::new();
        for interval in run.intervals() {
            let interval = interval?;
            let middle = (interval.start.as_secs_f64() + interval.end.as_secs_f64()) / 2.0;
            let at = ((middle - window.start.as_secs_f64()) / length).clamp(0.0, 1.0);
            let mut all: BTreeMap<_, Distribution> = BTreeMap::new();
            for (key, times) in &interval.distributions {
                if key.phase == Phase::Measured && key.outcome.is_success() {
                    for step in [Some(key.step), None] {
                        all.entry((step, key.metric)).or_default().merge(times);
                    }
                }
            }
            seconds.push((at, all));
        }
        let group = Group::of(vec![run.clone()])?;
        let resources = group.resources(Observed::Target);
        let names = run.start.plan.steps.iter().map(|step| step.name.clone()).collect();
        Ok(Side { names, group, resources, seconds })
    }

    fn step(&self, subject: &Subject) -> Option<StepId> {
        let name = subject.step.as_ref()?;
        let place = self.names.iter().position(|other| other == name)?;
        Some(StepId(place as u16))
    }

    fn figures(&self, subject: &Subject) -> Option<&Figures> {
        match &subject.step {
            None => Some(&self.group.summary.total),
            Some(_) => self.group.summary.steps.get(usize::from(self.step(subject)?.0)),
        }
    }

    /// The figure over the whole round.
    fn figure(&self, subject: &Subject) -> Option<f64> {
        let figures = self.figures(subject)?;
        match subject.quantity {
            Quantity::Time(metric, statistic) => figures.latency(metric).map(|it| statistic.of(it)),
            Quantity::Throughput => figures.ok_rps.filter(|rps| *rps > 0.0),
            Quantity::Failures => figures.failure_share(),
            Quantity::CpuPerRequest => self.resources.cpu_ms_per_request,
            Quantity::Memory => self.resources.rss_peak_bytes.map(|bytes| bytes as f64),
            Quantity::OutputTokens => figures.output_tokens_per_s.filter(|rate| *rate > 0.0),
            // No figure of a gate.
            Quantity::Rows | Quantity::RowTime(_) | Quantity::Connections | Quantity::Cpu => None,
        }
    }

    /// The latencies of a subject in `count` stretches of equal length.
    fn blocks(&self, subject: &Subject, metric: Metric, count: u64) -> Vec<Distribution> {
        let mut blocks = vec![Distribution::default(); count as usize];
        let key = (self.step(subject), metric);
        for (at, all) in &self.seconds {
            if let Some(times) = all.get(&key) {
                let block = ((at * count as f64) as usize).min(count as usize - 1);
                blocks[block].merge(times);
            }
        }
        blocks
    }
}

fn value(base: &Side, head: &Side, subject: &Subject) -> Value {
    let figures = [base.figure(subject), head.figure(subject)];
    let mut value = Value {
        subject: subject.clone(),
        base: figures[0],
        head: figures[1],
        difference: None,
        lacks: None,
        counts: None,
    };
    let made = match (figures, subject.quantity) {
        ([Some(_), Some(_)], Quantity::Time(metric, statistic)) => {
            between_times([base, head], subject, metric, statistic)
        }
        ([Some(was), Some(is)], quantity) => match quantity.scale() {
            Scale::Points => Ok(is - was),
            Scale::Relative => Ok((is / was).ln()),
        },
        ([None, None], _) => Err("not measured".to_owned()),
        ([None, _], _) => Err("not measured of the base".to_owned()),
        ([_, None], _) => Err("not measured of the head".to_owned()),
    };
    match made {
        Ok(difference) if difference.is_finite() => value.difference = Some(difference),
        Ok(_) => value.lacks = Some("it is nothing on one side".to_owned()),
        Err(why) => value.lacks = Some(why),
    }
    if subject.quantity == Quantity::Failures {
        let counts = |side: &Side| {
            side.figures(subject).map_or((0, 0), |figures| (figures.failed(), figures.count()))
        };
        value.counts = Some([counts(base), counts(head)]);
    }
    value
}

/// The Hodges-Lehmann estimate over the stretches of a round of the logarithm of head over base: what
/// disturbs one stretch does not move it. Stretches are as long as a percentile needs.
fn between_times(
    sides: [&Side; 2],
    subject: &Subject,
    metric: Metric,
    statistic: Statistic,
) -> Result<f64, String> {
    let q = statistic.quantile().unwrap_or(0.5);
    let count = |side: &Side| {
        side.figures(subject).and_then(|it| it.latency(metric)).map_or(0, |latency| latency.count)
    };
    let fewest = count(sides[0]).min(count(sides[1]));
    let needed = values_needed(q);
    if fewest < needed {
        return Err(format!("{fewest} values in a round, fewer than {needed}"));
    }
    let seconds = sides[0].group.summary.window.length().as_secs().max(1);
    let in_block = (BEYOND_IN_BLOCK / (1.0 - q)).round().max(10.0) as u64;
    let blocks = (fewest / in_block).clamp(1, MOST_BLOCKS.min(seconds));
    let [was, is] = sides.map(|side| side.blocks(subject, metric, blocks));
    let of = |times: &Distribution| match statistic.quantile() {
        Some(q) => times.quantile(q).map(ms),
        None => times.mean().map(ms),
    };
    let pairs = was.iter().zip(&is).filter_map(|(was, is)| of(was).zip(of(is)));
    let ratios: Vec<f64> = pairs.map(|(was, is)| (is / was).ln()).collect();
    hodges_lehmann(&ratios).ok_or_else(|| "no stretch has values of both".to_owned())
}
