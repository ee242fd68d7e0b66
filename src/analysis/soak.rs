//! What a long run shows: what drifts over its windows, what leaks, what is left open, and where it
//! was interrupted.

use std::time::Duration;

use serde::Serialize;

use crate::measure::distribution::Damaged;
use crate::measure::metric::Metric;
use crate::measure::resource::{Observed, ResourceSample};
use crate::measure::rows::RowFigures;
use crate::measure::sample::Offset;
use crate::measure::summary::{MeasuredWindow, Merged, Summary};
use crate::stats::bootstrap::Interval;
use crate::stats::order::median;
use crate::stats::slope::{Z_95, mann_kendall, theil_sen};
use crate::store::entry::{ServiceSockets, StoredInterval};
use crate::store::run::Run;

use super::alerts::AlertVerdict;
use super::leak::{self, Leakage, Resource, ResourceVerdict};
use super::verdicts::Evidence;

/// The shortest window, and the most of them.
const SHORTEST: Duration = Duration::from_secs(10);
const MOST: u32 = 60;
/// Fewer windows than this show no trend.
const FEWEST: usize = 8;
/// The deviate of a two-sided 99% test.
const Z_99: f64 = 2.58;
/// A change over the whole run by less than this share of the median is none that matters; of
/// shares: by less than this share of all rows.
const MATTERS: f64 = 0.05;

/// What a soak shows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Soak {
    /// The measured part in equal windows.
    pub windows: Vec<Window>,
    /// What changes over them.
    pub drifts: Vec<Drift>,
    /// Whether the target leaks.
    pub resources: Vec<ResourceVerdict>,
    /// The resources are judged from here on, where the target was started again during the run.
    #[serde(rename = "resources_since_s")]
    pub resources_since: Option<f64>,
    /// What was open before the load, and some time after it.
    pub returned: Vec<Returned>,
    /// From the end of the load to the last look, in seconds; `None` where there was none.
    pub settled_seconds: Option<f64>,
    /// What a reference service says of its connections then.
    pub service: Option<ServiceSockets>,
}

/// A stretch of the measured part.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Window {
    /// Begin.
    #[serde(rename = "start_s", serialize_with = "seconds")]
    pub start: Offset,
    /// End.
    #[serde(rename = "end_s", serialize_with = "seconds")]
    pub end: Offset,
    /// Rows, or iterations, that ended in it by themselves.
    pub rows: u64,
    /// These a second.
    pub rows_per_second: Option<f64>,
    /// Median response time of successes, in milliseconds.
    pub p50_ms: Option<f64>,
    /// Its 95th percentile.
    pub p95_ms: Option<f64>,
    /// Its 99th percentile.
    pub p99_ms: Option<f64>,
    /// Failed rows as a share of those that ended by themselves.
    pub failed_share: Option<f64>,
}

/// Moments as every other key of the summary has them: seconds since the run's start.
fn seconds<S: serde::Serializer>(moment: &Offset, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(moment.as_secs_f64())
}

/// Whether something changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trend {
    /// It grows, by more than matters.
    Rising,
    /// It falls, by more than matters.
    Falling,
    /// If it changes, then by about 5% or less over the run.
    Steady,
    /// There are too few windows, or they differ too much.
    TooEarly,
}

impl Trend {
    /// In reports.
    pub fn name(self) -> &'static str {
        match self {
            Trend::Rising => "rising",
            Trend::Falling => "falling",
            Trend::Steady => "steady",
            Trend::TooEarly => "too early to say",
        }
    }
}

/// How one figure changes over the windows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Drift {
    /// Of what.
    pub figure: &'static str,
    /// Its unit: `ms`, `rows/s` or `share`.
    pub unit: &'static str,
    /// Windows that have it.
    pub windows: usize,
    /// Its median over the windows.
    pub median: Option<f64>,
    /// Slope in units an hour (Theil and Sen).
    pub per_hour: Option<f64>,
    /// Its 95% interval: low and high.
    pub interval: Option<[f64; 2]>,
    /// In a word.
    pub trend: Trend,
}

/// What a resource of the target was before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Returned {
    /// Which.
    pub resource: Resource,
    /// Before the load.
    pub before: Option<u32>,
    /// At the last look, after the load.
    pub after: Option<u32>,
}

impl Returned {
    /// Whether no more are open than before; `None` where it was not measured.
    pub fn is_back(&self) -> Option<bool> {
        Some(self.after? <= self.before?)
    }
}

impl Soak {
    /// Whether something leaks.
    pub fn leaks(&self) -> bool {
        self.resources.iter().any(|resource| resource.verdict == Leakage::Leak)
    }
}

/// What `run` shows; `alerts` are judged in its windows as well.
pub fn of(run: &Run, alerts: &mut [AlertVerdict]) -> Result<Soak, Damaged> {
    let mut windows = Vec::new();
    for intervals in split(run) {
        let (Some(first), Some(last)) = (intervals.first(), intervals.last()) else { continue };
        let mut merged = Merged::default();
        for interval in &intervals {
            merged.add(&interval.decode()?);
        }
        let whole = run.window();
        let part =
            MeasuredWindow { start: first.start.max(whole.start), end: last.end.min(whole.end) };
        let summary = Summary::of(&merged, run.start.plan.steps.len(), part);
        let evidence = Evidence { merged: &merged, summary: &summary, run: None };
        alerts.iter_mut().for_each(|alert| alert.add_window(&evidence, part.start, part.end));
        windows.push(window(part, &summary));
    }
    let one_target = run.of_one_target();
    let since = one_target.window().start;
    let settled = run.settled.as_ref();
    Ok(Soak {
        drifts: drifts(&windows),
        windows,
        resources: leak::judge(&one_target),
        resources_since: Some(since)
            .filter(|since| *since > run.window().start)
            .map(Offset::as_secs_f64),
        returned: returned(run),
        settled_seconds: settled.map(|look| look.at.since(look.load_ended).as_secs_f64()),
        service: settled.and_then(|look| look.service),
    })
}

/// The intervals of the measured part, in windows; each belongs to the one that holds its middle.
fn split(run: &Run) -> Vec<Vec<&StoredInterval>> {
    let whole = run.window();
    let width = (whole.length() / MOST).max(SHORTEST);
    let count = ((whole.length().as_secs_f64() / width.as_secs_f64()).floor() as usize).max(1);
    let mut windows: Vec<Vec<&StoredInterval>> = vec![Vec::new(); count];
    for interval in &run.intervals {
        let middle = Offset(interval.start.0.midpoint(interval.end.0));
        if whole.start <= middle && middle < whole.end {
            let at = middle.since(whole.start).as_secs_f64() / width.as_secs_f64();
            // What is left at the end, shorter than a window, belongs to the last.
            windows[(at as usize).min(count - 1)].push(interval);
        }
    }
    windows
}

fn window(part: MeasuredWindow, summary: &Summary) -> Window {
    let latency = summary.total.latency(Metric::ResponseTime);
    let rows = summary.rows.as_ref();
    Window {
        start: part.start,
        end: part.end,
        rows: rows.map_or(0, RowFigures::count),
        rows_per_second: rows.and_then(|rows| rows.per_second),
        p50_ms: latency.map(|latency| latency.p50_ms),
        p95_ms: latency.map(|latency| latency.p95_ms),
        p99_ms: latency.map(|latency| latency.p99_ms),
        failed_share: rows.and_then(RowFigures::failure_share),
    }
}

fn drifts(windows: &[Window]) -> Vec<Drift> {
    type Figure = fn(&Window) -> Option<f64>;
    let figures: [(&str, &str, Figure); 5] = [
        ("Response time, p50", "ms", |window| window.p50_ms),
        ("Response time, p95", "ms", |window| window.p95_ms),
        ("Response time, p99", "ms", |window| window.p99_ms),
        ("Throughput", "rows/s", |window| window.rows_per_second),
        ("Failed rows", "share", |window| window.failed_share),
    ];
    let drift = |(figure, unit, value): (&'static str, &'static str, Figure)| {
        let points = windows.iter().filter_map(|window| {
            let middle = window.start.0.midpoint(window.end.0);
            Some((Offset(middle).as_secs_f64() / 3600.0, value(window)?))
        });
        Drift::of(figure, unit, &points.collect::<Vec<_>>())
    };
    figures.into_iter().map(drift).collect()
}

impl Drift {
    /// That of `points` (hours, value).
    fn of(figure: &'static str, unit: &'static str, points: &[(f64, f64)]) -> Drift {
        let values: Vec<f64> = points.iter().map(|(_, value)| *value).collect();
        let median = median(&values);
        let slope = theil_sen(points, Z_95).filter(|_| points.len() >= FEWEST);
        let mut drift = Drift {
            figure,
            unit,
            windows: points.len(),
            median,
            per_hour: slope.map(|found| found.slope),
            interval: slope.map(|found| [found.interval.low, found.interval.high]),
            trend: Trend::TooEarly,
        };
        if let (Some(found), Some(median), [first, .., last]) = (slope, median, points) {
            let matters = if unit == "share" { MATTERS } else { MATTERS * median };
            let (hours, deviate) = (last.0 - first.0, mann_kendall(&values));
            drift.trend =
                trend(found.slope * hours, times(found.interval, hours), matters, deviate);
        }
        drift
    }
}

fn times(interval: Interval, factor: f64) -> [f64; 2] {
    [interval.low * factor, interval.high * factor]
}

/// What a change over the whole run, which lies in an interval, is called.
fn trend(change: f64, [low, high]: [f64; 2], matters: f64, deviate: f64) -> Trend {
    if low > 0.0 && deviate > Z_99 && change > matters {
        Trend::Rising
    } else if high < 0.0 && deviate < -Z_99 && change < -matters {
        Trend::Falling
    } else if -2.0 * matters <= low && high <= 2.0 * matters {
        Trend::Steady
    } else {
        Trend::TooEarly
    }
}

/// Sockets, files and threads of the target before the load that it got since it was started, and
/// at the last look after it.
fn returned(run: &Run) -> Vec<Returned> {
    let one_target = run.of_one_target();
    let since = run.resumed.last().filter(|part| part.at <= one_target.window().start);
    let since = since.map_or(Offset::default(), |part| part.at);
    let looks: Vec<&ResourceSample> =
        run.resources_of(Observed::Target).filter(|look| look.at >= since).collect();
    let settled = run.settled.as_ref();
    let before = looks.first().copied().filter(|_| settled.is_some());
    let after = looks.last().copied().zip(settled);
    let after = after.and_then(|(look, settled)| (look.at > settled.load_ended).then_some(look));
    type Count = fn(&ResourceSample) -> Option<u32>;
    let of: [(Resource, Count); 3] = [
        (Resource::Sockets, |look| look.sockets),
        (Resource::OpenFiles, |look| look.open_files),
        (Resource::Threads, |look| look.threads),
    ];
    let of = of.into_iter().map(|(resource, value)| Returned {
        resource,
        before: before.and_then(value),
        after: after.and_then(value),
    });
    of.collect()
}
