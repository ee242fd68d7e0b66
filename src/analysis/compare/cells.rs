//! A group cut into stretches of time: what a resampling of time draws from.

use std::collections::BTreeMap;

use crate::analysis::group::Group;
use crate::analysis::resources::{Resources, cpu_spans};
use crate::measure::distribution::{Damaged, Distribution};
use crate::measure::interval::{Interval, Phase};
use crate::measure::metric::Metric;
use crate::measure::resource::Observed;
use crate::measure::rows::IterationEnd;
use crate::measure::sample::{Offset, Outcome, StepId};
use crate::measure::summary::{MeasuredWindow, ms};
use crate::stats::blocks::Layout;
use crate::store::run::Run;

use super::quantity::Statistic;

/// Cells of a run at most: a longer run has longer cells.
const MOST_CELLS: usize = 240;
/// An interval that lies in the measured part for less than this many seconds has no cell of its own.
const SHORTEST: f64 = 0.5;

/// What a series is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Times(Metric),
    RowTimes,
    Throughput,
    Failures,
    OutputTokens,
    Rows,
    Connections,
    CpuPerRequest,
    Cpu,
}

/// A figure's parts, cell by cell.
#[derive(Debug, Clone)]
pub(super) enum Series {
    /// Sums: the figure is the first over the second.
    Ratio(Vec<(f64, f64)>),
    /// Durations.
    Times(Times),
}

/// Durations, cell by cell: which of `values` how often.
#[derive(Debug, Clone, Default)]
pub(super) struct Times {
    /// Rising, in milliseconds.
    values: Vec<f64>,
    cells: Vec<Vec<(u32, u32)>>,
    /// Sum in milliseconds and count, exact.
    sums: Vec<(f64, f64)>,
}

impl Series {
    /// The figures where cell `i` is there `weights[i]` times: one of a ratio, [`Statistic::ALL`] of
    /// durations. Not finite where there is nothing to make one from.
    pub(super) fn figures(&self, weights: &[u32]) -> Vec<f64> {
        match self {
            Series::Ratio(cells) => vec![mean(cells, weights)],
            Series::Times(times) => times.figures(weights),
        }
    }
}

fn mean(cells: &[(f64, f64)], weights: &[u32]) -> f64 {
    let (mut above, mut below) = (0.0, 0.0);
    for ((a, b), weight) in cells.iter().zip(weights) {
        above += a * f64::from(*weight);
        below += b * f64::from(*weight);
    }
    above / below
}

impl Times {
    fn figures(&self, weights: &[u32]) -> Vec<f64> {
        let mut counts = vec![0u64; self.values.len()];
        for (cell, weight) in self.cells.iter().zip(weights).filter(|(_, weight)| **weight > 0) {
            for (value, count) in cell {
                counts[*value as usize] += u64::from(*count) * u64::from(*weight);
            }
        }
        let all: u64 = counts.iter().sum();
        let quantiles = Statistic::ALL.into_iter().filter_map(Statistic::quantile);
        let mut rest = counts.iter().zip(&self.values);
        let mut below = 0;
        let mut at = f64::NAN;
        let mut found = vec![mean(&self.sums, weights)];
        for q in quantiles {
            // A product such as 0.07 * 100 may come out a little above a whole number.
            let rank = (q * all as f64 - 1e-6).ceil().max(1.0) as u64;
            while below < rank {
                let Some((count, value)) = rest.next() else { break };
                below += count;
                at = *value;
            }
            found.push(at);
        }
        found
    }
}

/// Durations as they are gathered: nanoseconds and how many, in the order of cells.
#[derive(Debug, Default)]
struct Gathered {
    values: Vec<(usize, u64, u32)>,
    sums: BTreeMap<usize, (f64, f64)>,
}

impl Gathered {
    fn add(&mut self, cell: usize, times: &Distribution) {
        for (upper, count) in times.buckets() {
            let ns = u64::try_from(upper.as_nanos()).unwrap_or(u64::MAX);
            self.values.push((cell, ns, u32::try_from(count).unwrap_or(u32::MAX)));
        }
        if let Some(mean) = times.mean() {
            let (sum, count) = self.sums.entry(cell).or_default();
            *sum += ms(mean) * times.count() as f64;
            *count += times.count() as f64;
        }
    }

    fn into_times(self, cells: usize) -> Times {
        let mut distinct: Vec<u64> = self.values.iter().map(|(_, ns, _)| *ns).collect();
        distinct.sort_unstable();
        distinct.dedup();
        let mut times = Times {
            values: distinct.iter().map(|ns| *ns as f64 / 1e6).collect(),
            cells: vec![Vec::new(); cells],
            sums: vec![(0.0, 0.0); cells],
        };
        for (cell, ns, count) in self.values {
            if let Ok(value) = distinct.binary_search(&ns) {
                times.cells[cell].push((value as u32, count));
            }
        }
        for (cell, sum) in self.sums {
            times.sums[cell] = sum;
        }
        times
    }
}

/// The step that a series is of; `None` for all of them together.
pub(super) type Of = (Option<StepId>, Kind);

/// A group in cells.
#[derive(Debug)]
pub(super) struct Cells {
    /// Cells of each run.
    pub(super) layout: Layout,
    /// The mean length of a cell, in seconds.
    pub(super) cell_seconds: f64,
    series: BTreeMap<Of, Series>,
    /// The most resident memory of each run, in bytes.
    pub(super) peaks: Vec<f64>,
}

impl Cells {
    /// `group` in cells, drawn in blocks at least twice as long as a response takes on average:
    /// requests that are in flight at once share what disturbs them.
    pub(super) fn of(group: &Group) -> Result<Cells, Damaged> {
        let mut gathering = Gathering::default();
        let mut runs = Vec::new();
        for run in &group.runs {
            runs.push(gathering.add(run)?);
        }
        let cells: usize = runs.iter().sum();
        let seconds = group.summary.window.length().as_secs_f64();
        let cell_seconds = if cells > 0 { seconds / cells as f64 } else { 0.0 };
        let response = group.summary.total.latency(Metric::ResponseTime);
        let response = response.map_or(0.0, |latency| latency.mean_ms / 1000.0);
        let shortest =
            if cell_seconds > 0.0 { (2.0 * response / cell_seconds).ceil() as usize } else { 1 };
        let peak = |run: &Run| {
            let window = run.window();
            let used = Resources::of(run, Observed::Target, window, None);
            used.rss_peak_bytes.map(|bytes| bytes as f64)
        };
        Ok(Cells {
            layout: Layout::of(runs, shortest),
            cell_seconds,
            series: gathering.into_series(cells),
            peaks: group.runs.iter().filter_map(peak).collect(),
        })
    }

    pub(super) fn series(&self, of: Of) -> Option<&Series> {
        self.series.get(&of)
    }
}

#[derive(Debug, Default)]
struct Gathering {
    times: BTreeMap<Of, Gathered>,
    ratios: BTreeMap<Of, BTreeMap<usize, (f64, f64)>>,
    /// Cells of the runs before.
    before: usize,
}

impl Gathering {
    /// Adds the measured part of `run`; says how many cells it takes.
    fn add(&mut self, run: &Run) -> Result<usize, Damaged> {
        let window = run.window();
        let grid = Grid::of(run, window);
        for (index, interval) in run.intervals().enumerate() {
            let interval = interval?;
            let cell = self.before + grid.cell(index);
            self.add_times(cell, &interval);
            let seconds = overlap(interval.start, interval.end, window);
            self.add_counts(cell, &interval, seconds, run.start.plan.steps.len());
        }
        self.add_processors(run, &grid, window);
        self.before += grid.cells;
        Ok(grid.cells)
    }

    fn add_times(&mut self, cell: usize, interval: &Interval) {
        for (key, times) in &interval.distributions {
            if key.phase != Phase::Measured {
                continue;
            }
            let steps = [Some(key.step), None];
            if key.outcome.is_success() {
                for step in steps {
                    let of = (step, Kind::Times(key.metric));
                    self.times.entry(of).or_default().add(cell, times);
                }
            }
            if key.metric == Metric::ResponseTime && key.outcome.is_final() {
                let (count, fails) = (times.count() as f64, key.outcome.is_failure());
                for step in steps {
                    self.sum((step, Kind::Failures), cell, (f64::from(fails) * count, count));
                    self.sum((step, Kind::Connections), cell, (0.0, count));
                }
            }
        }
        if let Some(rows) = interval.rows.groups.get(&(Phase::Measured, IterationEnd::Ok)) {
            self.times.entry((None, Kind::RowTimes)).or_default().add(cell, &rows.times);
        }
    }

    /// Counts of what ended, each over the `seconds` of the measured part that the interval covers.
    fn add_counts(&mut self, cell: usize, interval: &Interval, seconds: f64, steps: usize) {
        for step in (0..steps).map(|step| Some(StepId(step as u16))).chain([None]) {
            self.sum((step, Kind::Throughput), cell, (0.0, seconds));
            self.sum((step, Kind::OutputTokens), cell, (0.0, seconds));
        }
        for (&(step, outcome), count) in &interval.completed {
            for of in [Some(step), None] {
                if outcome.is_success() {
                    self.sum((of, Kind::Throughput), cell, (*count as f64, 0.0));
                }
            }
            if outcome.is_final() && outcome != Outcome::Dropped {
                self.sum((None, Kind::CpuPerRequest), cell, (0.0, *count as f64));
            }
        }
        for (&step, delivered) in &interval.delivered {
            let tokens = delivered.output.unwrap_or(0) as f64;
            for of in [Some(step), None] {
                self.sum((of, Kind::OutputTokens), cell, (tokens, 0.0));
            }
        }
        for (&(step, phase), traffic) in &interval.traffic {
            if phase == Phase::Measured {
                for of in [Some(step), None] {
                    let opened = traffic.connections_opened as f64;
                    self.sum((of, Kind::Connections), cell, (opened, 0.0));
                }
            }
        }
        let rows = interval.rows.completed.get(&IterationEnd::Ok).copied().unwrap_or(0);
        self.sum((None, Kind::Rows), cell, (rows as f64, seconds));
    }

    /// Processor time between looks, spread evenly over that time.
    fn add_processors(&mut self, run: &Run, grid: &Grid, window: MeasuredWindow) {
        let spans: Vec<_> = cpu_spans(run.resources_of(Observed::Target)).collect();
        for (index, interval) in run.intervals.iter().enumerate() {
            let (start, end) = (interval.start.max(window.start), interval.end.min(window.end));
            let measured = MeasuredWindow { start, end };
            for span in &spans {
                let inside = span.inside(measured);
                if inside > 0.0 {
                    let used = span.cpu_inside(measured);
                    let cell = self.before + grid.cell(index);
                    self.sum((None, Kind::CpuPerRequest), cell, (used * 1000.0, 0.0));
                    self.sum((None, Kind::Cpu), cell, (used * 100.0, inside));
                }
            }
        }
    }

    fn sum(&mut self, of: Of, cell: usize, (above, below): (f64, f64)) {
        let sums = self.ratios.entry(of).or_default().entry(cell).or_default();
        sums.0 += above;
        sums.1 += below;
    }

    fn into_series(self, cells: usize) -> BTreeMap<Of, Series> {
        let times = self.times.into_iter();
        let times = times.map(|(of, gathered)| (of, Series::Times(gathered.into_times(cells))));
        let ratios = self.ratios.into_iter().map(|(of, sums)| {
            let mut all = vec![(0.0, 0.0); cells];
            sums.into_iter().for_each(|(cell, sum)| all[cell] = sum);
            (of, Series::Ratio(all))
        });
        times.chain(ratios).collect()
    }
}

/// Which intervals of a run belong to which cell. What was recorded before the first or after the last
/// measured one belongs to that: a slow response ends after the measured part, and is of it.
#[derive(Debug)]
struct Grid {
    first: usize,
    last: usize,
    /// Intervals in a cell.
    joined: usize,
    cells: usize,
}

impl Grid {
    fn of(run: &Run, window: MeasuredWindow) -> Grid {
        let inside = |shortest: f64| -> Vec<usize> {
            let all = run.intervals.iter().enumerate();
            let inside = all.filter(|(_, it)| overlap(it.start, it.end, window) > shortest);
            inside.map(|(index, _)| index).collect()
        };
        let whole = inside(SHORTEST);
        let indices = if whole.is_empty() { inside(0.0) } else { whole };
        let first = indices.first().copied().unwrap_or(0);
        let last = indices.last().copied().unwrap_or(first);
        let count = last - first + 1;
        let joined = count.div_ceil(MOST_CELLS);
        Grid { first, last, joined, cells: count.div_ceil(joined) }
    }

    fn cell(&self, interval: usize) -> usize {
        (interval.clamp(self.first, self.last) - self.first) / self.joined
    }
}

/// Seconds of the time from `start` to `end` that lie in `window`.
fn overlap(start: Offset, end: Offset, window: MeasuredWindow) -> f64 {
    (end.min(window.end).as_secs_f64() - start.max(window.start).as_secs_f64()).max(0.0)
}
