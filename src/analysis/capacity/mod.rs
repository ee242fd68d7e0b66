//! What the points of a sweep say together: how throughput grows with the load, and up to which
//! load the rules hold.

pub mod search;

use crate::measure::metric::Metric;
use crate::measure::summary::{Figures, samples_needed};
use crate::plan::Stop;
use crate::scenario::slo::{Measure, Slo};
use crate::stats::order::{median, spread};
use crate::stats::usl;
use crate::store::run::Run;
use crate::store::sweep::{Dimension, PointRecord, SweepEnd, SweepRecord};

use super::verdicts::{self, Times};
use super::{Assessment, Ruling, Verdict};
use search::{Judged, Ladder, Next, Outcome, Tried, next};

/// A gain in throughput that is worth a recommendation.
pub const WORTH_IT: f64 = 1.5;
/// Within this share of the highest throughput, more adds nothing that counts.
const LEVELLED_OFF: f64 = 0.05;

/// A point of a sweep: what a run says.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Where on the axes, and why.
    pub record: PointRecord,
    /// Its figures.
    pub figures: PointFigures,
    /// One verdict for each rule of the sweep.
    pub verdicts: Vec<Verdict>,
    /// What speaks against the figures, the rules that could not be judged left out.
    pub reasons: Vec<String>,
    /// Why the run was cut short, where it was.
    pub partial: Option<Stop>,
    /// How many times longer the run must be for each rule to rest on enough data; at most 1 where
    /// it was long enough, infinite where nothing succeeded.
    pub lengthen: f64,
}

/// The figures of a point. `None` is what was not measured.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PointFigures {
    /// Requests per second that ended in the measured part.
    pub rps: Option<f64>,
    /// Response times of successes, in milliseconds.
    pub mean_ms: Option<f64>,
    /// The median.
    pub p50_ms: Option<f64>,
    /// 95th percentile.
    pub p95_ms: Option<f64>,
    /// 99th percentile.
    pub p99_ms: Option<f64>,
    /// Requests that ended.
    pub count: u64,
    /// Of these, failures.
    pub failed: u64,
    /// Successes in flight on average, by Little's law: successes per second times their mean
    /// response time (Little 1961, L = lambda W).
    pub in_flight: Option<f64>,
}

impl PointFigures {
    /// Those of a run.
    pub fn of(total: &Figures) -> PointFigures {
        let latency = total.latency(Metric::ResponseTime);
        PointFigures {
            rps: total.rps,
            mean_ms: latency.map(|latency| latency.mean_ms),
            p50_ms: latency.map(|latency| latency.p50_ms),
            p95_ms: latency.map(|latency| latency.p95_ms),
            p99_ms: latency.map(|latency| latency.p99_ms),
            count: total.count(),
            failed: total.failed(),
            in_flight: total.ok_rps.zip(latency).map(|(ok, l)| ok * l.mean_ms / 1000.0),
        }
    }
}

impl Point {
    /// The point `record` of a sweep with these rules.
    pub fn of(record: PointRecord, until: &[Slo], run: &Run, assessment: &Assessment) -> Point {
        let verdicts = verdicts::of(until, &assessment.evidence(run));
        let undecided: Vec<String> =
            assessment.verdicts.iter().map(|v| format!("{}: {}", v.rule, v.measured)).collect();
        let reasons = &assessment.validity.reasons;
        let reasons = reasons.iter().filter(|reason| !undecided.contains(reason));
        let partial = match &run.end {
            None => Some(Stop::Failed),
            // What is left of a sweep's budget is no length that was planned for a point.
            Some(end) => Some(end.stop).filter(|s| !s.is_planned() || *s == Stop::Budget),
        };
        Point {
            record,
            figures: PointFigures::of(&assessment.summary.total),
            verdicts,
            reasons: reasons.cloned().collect(),
            partial,
            lengthen: lengthen(until, assessment),
        }
    }

    /// Whether requests ended, and none of them succeeded.
    pub fn only_failures(&self) -> bool {
        self.figures.count > 0 && self.figures.failed == self.figures.count
    }

    /// Whether a request succeeded.
    pub fn has_successes(&self) -> bool {
        self.figures.count > self.figures.failed
    }

    /// Whether its figures may be used.
    pub fn is_valid(&self) -> bool {
        self.reasons.is_empty() && self.partial.is_none()
    }

    /// What it says about its load.
    pub fn judged(&self) -> Judged {
        let any = |ruling| self.verdicts.iter().any(|verdict| verdict.ruling == ruling);
        // A target that answers nothing needs no percentile to be judged.
        if self.partial.is_none() && self.only_failures() {
            return Judged::Broke;
        }
        match (self.is_valid(), any(Ruling::Failed), any(Ruling::Unknown)) {
            (false, ..) => Judged::Undecided,
            (true, true, _) => Judged::Broke,
            (true, false, true) => Judged::Undecided,
            (true, false, false) => Judged::Held,
        }
    }
}

fn lengthen(until: &[Slo], assessment: &Assessment) -> f64 {
    let factors = until.iter().filter_map(|slo| {
        let Measure::Percentile(percentile) = slo.measure else { return None };
        let times = Times::of(slo, &assessment.merged).distribution;
        Some(samples_needed(percentile / 100.0) as f64 / times.count() as f64)
    });
    factors.fold(0.0, f64::max)
}

/// All runs of one place on the axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Level {
    /// Its value on the first axis.
    pub value: String,
    /// That value as a number, where it is one.
    pub number: Option<f64>,
    /// Medians over its valid runs; over all its whole runs, where none is valid.
    pub figures: PointFigures,
    /// Difference of its runs' throughputs as a share of their median.
    pub spread: Option<f64>,
    /// Runs that the figures are from, of all.
    pub used: search::Of,
    /// Whether the figures may be used.
    pub is_valid: bool,
    /// Throughput over that of the first level.
    pub speed_up: Option<f64>,
    /// Speed-up over the growth of the load: 1 is linear. `None` where the value is no number.
    pub efficiency: Option<f64>,
    /// Runs that broke a rule, of those that could be judged.
    pub broke: search::Of,
}

/// The levels that share a value of the second axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// That value; `None` with one axis.
    pub other: Option<String>,
    /// Levels in the order of the first axis.
    pub levels: Vec<Level>,
    /// The Universal Scalability Law over valid runs; or why it was not fitted.
    pub fit: Result<usl::Fit, String>,
    /// The cheapest level that is worth it, where one is.
    pub gain: Option<Gain>,
}

/// A level that serves much more than the first.
#[derive(Debug, Clone, PartialEq)]
pub struct Gain {
    /// Value of the first level.
    pub from: String,
    /// The smallest value whose throughput is within 5% of the highest.
    pub to: String,
    /// Its throughput over that of the first level: above [`WORTH_IT`].
    pub times: f64,
    /// The largest value that was measured.
    pub largest: String,
}

/// What a sweep says.
#[derive(Debug, Clone, PartialEq)]
pub struct Capacity {
    /// Groups, in the order of the second axis.
    pub groups: Vec<Group>,
    /// All points, in the order in which they were measured.
    pub points: Vec<Point>,
    /// The answer of the search, where there was one and it came to an end.
    pub answer: Option<Outcome>,
}

/// Puts the points of a sweep together.
pub fn assess(record: &SweepRecord, points: Vec<Point>) -> Capacity {
    let others: Vec<Option<&String>> = match record.axes.get(1) {
        Some(axis) => axis.values.iter().map(Some).collect(),
        None => vec![None],
    };
    let groups = others.into_iter().map(|other| group(record, &points, other));
    let groups = groups.filter(|group| !group.levels.is_empty()).collect();
    let is_done = record.end == Some(SweepEnd::Done);
    let answer = ladder(record).filter(|_| is_done).and_then(|ladder| {
        match next(&ladder, &tried(&points)) {
            Next::Done(outcome) => Some(outcome),
            Next::Try(..) => None,
        }
    });
    Capacity { groups, points, answer }
}

/// The ladder of a search; `None` where the sweep is none.
pub fn ladder(record: &SweepRecord) -> Option<Ladder> {
    let axis = record.axes.first().filter(|_| !record.until.is_empty())?;
    let mut loads: Vec<f64> = axis.values.iter().filter_map(|value| number(value)).collect();
    loads.sort_by(f64::total_cmp);
    Some(Ladder { loads, resolution: record.resolution, confirmations: record.trials })
}

/// What a search has seen. A run that was repeated for want of data is not counted twice: it is
/// the last one of its load and stage that counts, where those before could not be judged.
pub fn tried(points: &[Point]) -> Vec<Tried> {
    let mut all: Vec<Tried> = Vec::new();
    for point in points {
        let Some(load) = point.record.at.first().and_then(|value| number(value)) else { continue };
        let stage = point.record.stage;
        let repeats = |last: &Tried| {
            last.judged == Judged::Undecided && last.load == load && last.stage == stage
        };
        if all.last().is_some_and(repeats) {
            all.pop();
        }
        all.push(Tried { load, stage, judged: point.judged() });
    }
    all
}

fn number(value: &str) -> Option<f64> {
    value.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0)
}

fn group(record: &SweepRecord, points: &[Point], other: Option<&String>) -> Group {
    let of_group: Vec<&Point> =
        points.iter().filter(|point| point.record.at.get(1) == other).collect();
    let mut values: Vec<&String> = Vec::new();
    for point in &of_group {
        if let Some(value) = point.record.at.first().filter(|value| !values.contains(value)) {
            values.push(value);
        }
    }
    if values.iter().all(|value| number(value).is_some()) {
        values
            .sort_by(|a, b| number(a).partial_cmp(&number(b)).unwrap_or(std::cmp::Ordering::Equal));
    }
    let mut levels: Vec<Level> = values.into_iter().map(|value| level(&of_group, value)).collect();
    let first = levels.iter().find(|level| level.is_valid && level.figures.rps > Some(0.0));
    if let Some((base, base_rps)) = first.and_then(|first| Some((first.number, first.figures.rps?)))
    {
        for level in levels.iter_mut().filter(|level| level.is_valid) {
            level.speed_up = level.figures.rps.map(|rps| rps / base_rps);
            let growth = level.number.zip(base).map(|(number, base)| number / base);
            level.efficiency = level.speed_up.zip(growth).map(|(speed_up, by)| speed_up / by);
        }
    }
    let fit = fit(record, &of_group);
    let gain = gain(&levels);
    Group { other: other.cloned(), levels, fit, gain }
}

fn level(points: &[&Point], value: &str) -> Level {
    let here: Vec<&Point> = points
        .iter()
        .copied()
        .filter(|point| point.record.at.first().is_some_and(|at| at == value))
        .collect();
    let valid: Vec<&Point> = here.iter().copied().filter(|point| point.is_valid()).collect();
    let is_valid = !valid.is_empty();
    let used = if is_valid { valid } else { here.clone() };
    let values = |of: fn(&PointFigures) -> Option<f64>| -> Vec<f64> {
        used.iter().filter_map(|point| of(&point.figures)).collect()
    };
    let middle = |of| median(&values(of));
    let judged = |as_: Judged| here.iter().filter(|point| point.judged() == as_).count() as u32;
    let (held, broke) = (judged(Judged::Held), judged(Judged::Broke));
    Level {
        value: value.to_owned(),
        number: number(value),
        figures: PointFigures {
            rps: middle(|f| f.rps),
            mean_ms: middle(|f| f.mean_ms),
            p50_ms: middle(|f| f.p50_ms),
            p95_ms: middle(|f| f.p95_ms),
            p99_ms: middle(|f| f.p99_ms),
            in_flight: middle(|f| f.in_flight),
            count: used.iter().map(|point| point.figures.count).sum(),
            failed: used.iter().map(|point| point.figures.failed).sum(),
        },
        spread: spread(&values(|f| f.rps)),
        used: search::Of { did: used.len() as u32, all: here.len() as u32 },
        is_valid,
        speed_up: None,
        efficiency: None,
        broke: search::Of { did: broke, all: held + broke },
    }
}

/// Fits the law to each valid run in which something succeeded.
fn fit(record: &SweepRecord, points: &[&Point]) -> Result<usl::Fit, String> {
    match record.axes.first().map(|axis| &axis.dimension) {
        Some(Dimension::Rate) => {
            return Err("arrivals do not wait for each other: their rate is no concurrency".into());
        }
        Some(Dimension::Service(_))
            if points.iter().any(|p| p.record.at.first().is_none_or(|v| number(v).is_none())) =>
        {
            return Err("the values are no numbers".into());
        }
        _ => {}
    }
    let used = points.iter().filter(|point| point.is_valid() && !point.only_failures());
    let measured: Vec<(f64, f64)> = used
        .filter_map(|point| Some((number(point.record.at.first()?)?, point.figures.rps?)))
        .collect();
    usl::fit(&measured, record.seed)
}

fn gain(levels: &[Level]) -> Option<Gain> {
    let valid = || levels.iter().filter(|level| level.is_valid);
    let most = valid().filter_map(|level| level.speed_up).fold(0.0, f64::max);
    let first = valid().find(|level| level.speed_up.is_some())?;
    let enough =
        valid().find(|level| level.speed_up.is_some_and(|up| up >= most * (1.0 - LEVELLED_OFF)))?;
    let largest = valid().next_back()?.value.clone();
    let times = enough.speed_up.filter(|times| *times > WORTH_IT)?;
    Some(Gain { from: first.value.clone(), to: enough.value.clone(), times, largest })
}
