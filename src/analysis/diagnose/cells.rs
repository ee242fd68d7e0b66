//! The measured part of a run, cut into stretches of time whose sums can be drawn again.

use std::collections::BTreeMap;

use crate::analysis::resources::{CpuSpan, cpu_spans};
use crate::measure::distribution::Damaged;
use crate::measure::interval::{Interval, Phase};
use crate::measure::metric::Metric;
use crate::measure::resource::Observed;
use crate::measure::sample::{Offset, Outcome, StepId};
use crate::measure::summary::{MeasuredWindow, ms};
use crate::stats::order::{median, quantile};
use crate::store::run::Run;

/// Stretches of a run at most: those of a longer run are longer.
const MOST: usize = 120;
/// An interval that lies in the measured part for less than this many seconds is left out.
const SHORTEST: f64 = 0.5;
/// A response this many times slower than the median of its step was held up …
const SLOW: f64 = 2.5;
/// … in a stretch that pauses if that is so of this share of those in flight,
const HELD_UP: f64 = 0.5;
/// and no more than this share of the usual number ended in it or the one before.
const FEWER: f64 = 0.85;
/// Fewer than so many in flight may all be slow by chance.
const FLYING: f64 = 3.0;
/// A stream whose other stretches differ by more than this share (the middle 80% of them) is not
/// steady: there is no usual number.
const UNSTEADY: f64 = 0.5;

/// What ended in a stretch of time, as sums: two stretches together have the sums of both.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sums {
    /// Its length.
    pub seconds: f64,
    /// Requests that ended, by outcome ([`Outcome::index`]).
    pub ended: [f64; Outcome::ALL.len()],
    /// Successes by step: how many, and the sum of their service times in milliseconds.
    pub steps: Vec<(f64, f64)>,
    /// Connections opened.
    pub opened: f64,
    /// Requests that were due.
    pub due: f64,
    /// Processor time of the target in seconds, and the time that looks at it cover.
    pub cpu: (f64, f64),
    /// 1 where everything paused.
    pub pauses: f64,
}

impl Sums {
    /// Adds `other`, `times` times.
    pub fn add(&mut self, other: &Sums, times: f64) {
        self.seconds += other.seconds * times;
        for (sum, more) in self.ended.iter_mut().zip(&other.ended) {
            *sum += more * times;
        }
        self.steps.resize(self.steps.len().max(other.steps.len()), (0.0, 0.0));
        for (sum, more) in self.steps.iter_mut().zip(&other.steps) {
            sum.0 += more.0 * times;
            sum.1 += more.1 * times;
        }
        self.opened += other.opened * times;
        self.due += other.due * times;
        self.cpu.0 += other.cpu.0 * times;
        self.cpu.1 += other.cpu.1 * times;
        self.pauses += other.pauses * times;
    }

    /// Requests that ended as `outcome`.
    pub fn of(&self, outcome: Outcome) -> f64 {
        self.ended[outcome.index()]
    }

    /// Requests that were sent and ended by themselves: the last attempt of each.
    pub fn finished(&self) -> f64 {
        let sent = |outcome: &Outcome| outcome.is_final() && outcome.was_sent();
        Outcome::ALL.into_iter().filter(sent).map(|outcome| self.of(outcome)).sum()
    }

    /// Exchanges with the target: requests, and attempts that were made again.
    pub fn attempts(&self) -> f64 {
        self.finished() + self.of(Outcome::Retried)
    }

    /// Processors that the target used; `None` where that was not measured.
    pub fn processors(&self) -> Option<f64> {
        (self.cpu.1 > 0.0).then(|| self.cpu.0 / self.cpu.1)
    }
}

/// A stretch before it is judged by its neighbours.
struct Stretch {
    sums: Sums,
    /// Responses that were held up.
    slow: f64,
    /// In flight at its end.
    in_flight: f64,
}

/// The stretches of the measured part of `run` after `from`, in the order of time; `medians` are those
/// of the service times of its steps, in milliseconds.
pub fn cells(run: &Run, from: Offset, medians: &[Option<f64>]) -> Result<Vec<Sums>, Damaged> {
    let window = run.window();
    let spans: Vec<CpuSpan> = cpu_spans(run.resources_of(Observed::Target)).collect();
    let mut stretches = Vec::new();
    let mut due_before = 0;
    let inside = |interval: &Interval| {
        let (begin, end) = (interval.start.max(window.start), interval.end.min(window.end));
        interval.start >= from && end.since(begin).as_secs_f64() >= SHORTEST
    };
    for interval in run.intervals() {
        let interval = interval?;
        let due = interval.ledger.scheduled.saturating_sub(due_before) as f64;
        due_before = interval.ledger.scheduled;
        if inside(&interval) {
            stretches.push(stretch(&interval, due, medians, &spans));
        }
    }
    let judged = judged(stretches);
    let each = judged.len().div_ceil(MOST).max(1);
    let together = |part: &[Sums]| {
        let mut sums = Sums::default();
        part.iter().for_each(|cell| sums.add(cell, 1.0));
        sums
    };
    Ok(judged.chunks(each).map(together).collect())
}

fn stretch(interval: &Interval, due: f64, medians: &[Option<f64>], spans: &[CpuSpan]) -> Stretch {
    let mut sums = Sums {
        seconds: interval.end.since(interval.start).as_secs_f64(),
        steps: vec![(0.0, 0.0); medians.len()],
        due,
        ..Sums::default()
    };
    for ((_, outcome), count) in &interval.completed {
        sums.ended[outcome.index()] += *count as f64;
    }
    let measured = interval.traffic.iter().filter(|((_, phase), _)| *phase == Phase::Measured);
    sums.opened = measured.map(|(_, traffic)| traffic.connections_opened as f64).sum();
    let mut slow = 0.0;
    let times = interval.distributions.iter().filter(|(key, _)| {
        key.metric == Metric::ServiceTime
            && key.outcome.is_success()
            && key.phase != Phase::CoolDown
    });
    for (key, times) in times {
        let StepId(step) = key.step;
        let Some(of_step) = sums.steps.get_mut(usize::from(step)) else { continue };
        let mean = times.mean().map_or(0.0, ms);
        of_step.0 += times.count() as f64;
        of_step.1 += mean * times.count() as f64;
        if let Some(Some(median)) = medians.get(usize::from(step)) {
            let held_up = times.buckets().filter(|(time, _)| ms(*time) > SLOW * median);
            slow += held_up.map(|(_, count)| count as f64).sum::<f64>();
        }
    }
    let whole = MeasuredWindow { start: interval.start, end: interval.end };
    for span in spans {
        sums.cpu.0 += span.cpu_inside(whole);
        sums.cpu.1 += span.inside(whole);
    }
    Stretch { sums, slow, in_flight: interval.ledger.in_flight.max(0) as f64 }
}

/// Marks the stretches in which everything paused: in a steady stream of responses hardly any came,
/// and those that were in flight came late, all together.
fn judged(stretches: Vec<Stretch>) -> Vec<Sums> {
    let rates: Vec<f64> = stretches.iter().map(|of| of.sums.finished() / of.sums.seconds).collect();
    let in_flight: Vec<f64> = stretches.iter().map(|of| of.in_flight).collect();
    let (usual, flying) = (median(&rates).unwrap_or(0.0), median(&in_flight).unwrap_or(0.0));
    let is_few = |index: usize| rates.get(index).is_some_and(|rate| *rate <= FEWER * usual);
    let pauses: Vec<bool> = stretches
        .iter()
        .enumerate()
        .map(|(index, of)| {
            let few = is_few(index) || index.checked_sub(1).is_some_and(is_few);
            let stands = of.sums.finished() == 0.0 && of.in_flight >= 1.0 && usual >= 2.0;
            stands || (few && flying >= FLYING && of.slow >= HELD_UP * flying)
        })
        .collect();
    let others = rates.iter().zip(&pauses).filter(|(_, paused)| !**paused).map(|(rate, _)| *rate);
    let others: Vec<f64> = others.collect();
    let at = |q| quantile(&others, q).unwrap_or(0.0);
    let is_steady = at(0.9) - at(0.1) <= UNSTEADY * usual;
    let mut cells: Vec<Sums> = stretches.into_iter().map(|of| of.sums).collect();
    // What is slow from the beginning is no pause: a cache that fills up, a service that warms up.
    let moving = pauses.iter().position(|paused| !paused).unwrap_or(pauses.len());
    for (cell, paused) in cells.iter_mut().zip(pauses).skip(moving) {
        cell.pauses = f64::from(u8::from(paused && is_steady));
    }
    cells
}

/// Errors of the run by class of status, for the words in which the target says what is wrong.
pub fn messages(run: &Run) -> BTreeMap<(Outcome, Option<u16>), (u64, Vec<String>)> {
    let mut all: BTreeMap<(Outcome, Option<u16>), (u64, Vec<String>)> = BTreeMap::new();
    for (key, record) in run.errors() {
        let (count, examples) = all.entry((key.outcome, key.status)).or_default();
        *count += record.count;
        examples.extend(record.examples);
    }
    all
}
