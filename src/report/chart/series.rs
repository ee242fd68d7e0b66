//! The charts of a run.

use std::time::Duration;

use crate::analysis::resources::cpu_spans;
use crate::measure::resource::{Observed, ResourceSample};
use crate::measure::summary::{MeasuredWindow, samples_needed};
use crate::report::format;
use crate::report::model::Chart;
use crate::report::timeline::{Bin, BinLatency, Timeline};
use crate::schedule::OpenLoad;
use crate::store::run::Run;

use super::look::palette;
use super::plot::{Panel, Plot, Point, Series, Shape, ticks_of};
use super::scale::Scale;
use super::svg::Stroke;

/// From this ratio of largest to smallest value on, an axis is logarithmic.
pub(super) const LOG_FROM_RATIO: f64 = 30.0;
/// More points than this cannot be told apart.
const MOST_POINTS: usize = 300;
pub(super) const MAIN: f64 = 230.0;
const HALF: f64 = 150.0;
const QUARTER: f64 = 75.0;

pub(super) const P50: Stroke = Stroke { colour: palette::BLUE, width: 2.2, dash: "" };
pub(super) const P95: Stroke = Stroke { colour: palette::ORANGE, width: 2.0, dash: "7 3" };
pub(super) const P99: Stroke = Stroke { colour: palette::VERMILLION, width: 2.2, dash: "2.5 2.5" };

/// A horizontal axis of time since the run's start, in a unit that suits its length.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeAxis {
    /// Its end, in its unit.
    pub(super) end: f64,
    unit_seconds: f64,
    unit: &'static str,
}

impl TimeAxis {
    pub(super) fn up_to(end_seconds: f64) -> Self {
        let (unit_seconds, unit) = match end_seconds {
            s if s <= 300.0 => (1.0, "s"),
            s if s <= 2.0 * 3600.0 => (60.0, "min"),
            _ => (3600.0, "h"),
        };
        TimeAxis { end: end_seconds / unit_seconds, unit_seconds, unit }
    }

    pub(super) fn point(&self, from: f64, to: f64, y: Option<f64>) -> Point {
        Point { from: from / self.unit_seconds, to: to / self.unit_seconds, y }
    }

    /// Its name and unit.
    pub(super) fn label(&self) -> String {
        format!("Time since the start of the run ({})", self.unit)
    }

    fn points(&self, bins: &[Bin], y: impl Fn(&Bin) -> Option<f64>) -> Vec<Point> {
        bins.iter().map(|bin| self.point(bin.from, bin.to, y(bin))).collect()
    }

    fn plot(&self, title: &str, subtitle: String, window: MeasuredWindow) -> Plot {
        let second = |seconds: f64| seconds / self.unit_seconds;
        Plot {
            title: title.to_owned(),
            subtitle,
            flag: None,
            x_label: self.label(),
            x: Scale::Linear { min: 0.0, max: self.end.max(f64::MIN_POSITIVE) },
            measured: Some((second(window.start.as_secs_f64()), second(window.end.as_secs_f64()))),
            panels: Vec::new(),
        }
    }
}

pub(super) fn chart(plot: Plot, file_stem: &str, flag: Option<&str>, alt: String) -> Chart {
    let plot = Plot { flag: flag.map(str::to_owned), ..plot };
    let svg = plot.draw(&alt);
    let marked = |text: &str| match flag {
        Some(flag) => format!("{text} ({flag})"),
        None => text.to_owned(),
    };
    Chart {
        folder: "charts",
        file_stem: file_stem.to_owned(),
        title: marked(&plot.title),
        alt: marked(&alt),
        svg,
    }
}

pub(super) fn series(name: &str, stroke: Stroke, shape: Shape, points: Vec<Point>) -> Series {
    Series { name: name.to_owned(), stroke, shape, points }
}

pub(super) fn panel(label: &str, height: f64, y: Scale, series: Vec<Series>) -> Panel {
    Panel { label: label.to_owned(), height, y, series, markers: Vec::new() }
}

/// A scale from zero with a little room above the highest point.
pub(super) fn scale_of(series: &[Series], at_least: f64, height: f64) -> Scale {
    let highest = series.iter().flat_map(|s| &s.points).filter_map(|point| point.y);
    let highest = highest.fold(0.0, f64::max);
    Scale::from_zero((highest * 1.04).max(at_least), ticks_of(height))
}

/// `second`, `minute`, or `30 s`: the length of a bin after "each".
fn each(width: f64) -> String {
    match width {
        1.0 => "second".to_owned(),
        60.0 => "minute".to_owned(),
        _ => format::duration(Duration::from_secs_f64(width)),
    }
}

/// p50, p95 and p99 of the response time of successes over time, failures below. `None` where no
/// request ended.
pub fn latency(time: &Timeline, window: MeasuredWindow, flag: Option<&str>) -> Option<Chart> {
    let what = OverTime {
        name: "Response time",
        of: "Successful requests",
        file_stem: "latency",
        value: |bin| bin.latency,
        count: |bin| bin.ok,
    };
    what.chart(time, window, flag)
}

/// The same of the time to the first token of streams. `None` where no stream succeeded.
pub fn first_token(time: &Timeline, window: MeasuredWindow, flag: Option<&str>) -> Option<Chart> {
    let what = OverTime {
        name: "Time to first token",
        of: "Successful streams",
        file_stem: "ttft",
        value: |bin| bin.ttft,
        count: |bin| bin.streams,
    };
    what.chart(time, window, flag)
}

/// A time of successes, which is drawn over the time of the run.
struct OverTime {
    name: &'static str,
    /// Whose time it is.
    of: &'static str,
    file_stem: &'static str,
    value: fn(&Bin) -> Option<BinLatency>,
    /// How many there are of it.
    count: fn(&Bin) -> u64,
}

impl OverTime {
    fn chart(&self, time: &Timeline, window: MeasuredWindow, flag: Option<&str>) -> Option<Chart> {
        let axis = TimeAxis::up_to(time.end());
        let OverTime { name, of, value, count, .. } = *self;
        let known = || time.bins.iter().filter_map(value);
        let lowest = known().map(|latency| latency.p50_ms).reduce(f64::min)?;
        let highest = known().map(|latency| latency.p99_ms).reduce(f64::max)?;
        let lines = vec![
            series("p99", P99, Shape::Line, axis.points(&time.bins, |b| Some(value(b)?.p99_ms))),
            series("p95", P95, Shape::Line, axis.points(&time.bins, |b| Some(value(b)?.p95_ms))),
            series("p50", P50, Shape::Line, axis.points(&time.bins, |b| Some(value(b)?.p50_ms))),
        ];
        let is_log = lowest > 0.0 && highest / lowest > LOG_FROM_RATIO;
        let (unit, scale) = match is_log {
            true => ("ms, log scale", Scale::Log { min: lowest / 1.3, max: highest * 1.3 }),
            false => ("ms", scale_of(&lines, 0.0, MAIN)),
        };
        let each = each(time.width);
        let mut subtitle = format!("{of} that ended in each {each}");
        let few = samples_needed(0.99);
        if time.bins.iter().any(|bin| (1..few).contains(&count(bin))) {
            subtitle += &format!("; of fewer than {few}, p99 is the slowest");
        }
        let mut plot = axis.plot(&format!("{name} over time"), subtitle, window);
        plot.panels.push(panel(&format!("{name} ({unit})"), MAIN, scale, lines));
        let failed: u64 = time.bins.iter().map(|bin| bin.failed).sum();
        if failed > 0 {
            plot.panels.push(failures(&axis, time));
        }
        let alt = format!(
            "Lines of p50, p95 and p99 {} for each {each}. p50 is at least {} ms, p99 at most {} ms; {}.",
            name.to_lowercase(),
            format::millis(lowest),
            format::millis(highest),
            match failed {
                0 => "no request failed".to_owned(),
                n => format::counted(n, "request failed", "requests failed"),
            },
        );
        Some(chart(plot, self.file_stem, flag, alt))
    }
}

fn failures(axis: &TimeAxis, time: &Timeline) -> Panel {
    let stroke = Stroke { colour: palette::VERMILLION, width: 2.0, dash: "" };
    let bars = axis.points(&time.bins, |bin| bin.rate(bin.failed));
    let bars = vec![series("failed", stroke, Shape::Bars, bars)];
    panel("Failed/s", QUARTER, scale_of(&bars, 1.0, QUARTER), bars)
}

/// Requests a second and active users over time; in open load, iterations in flight, and how many
/// were planned to start each second. `None` where nothing was recorded.
pub fn throughput(
    time: &Timeline,
    window: MeasuredWindow,
    flag: Option<&str>,
    open: Option<&OpenLoad>,
) -> Option<Chart> {
    let is_open = open.is_some();
    let (one, many, title, active) = match is_open {
        true => ("iteration in flight", "in flight", "In flight", "iterations in flight"),
        false => ("user", "users", "Users", "users active"),
    };
    let axis = TimeAxis::up_to(time.end());
    let rates = || time.bins.iter().filter_map(|bin| bin.rate(bin.ok + bin.failed));
    let fastest = rates().reduce(f64::max)?;
    // Below what was answered: where both are the same, that is what is seen.
    let mut rps: Vec<Series> =
        open.map(|load| planned(&axis, time, window, load)).into_iter().collect();
    rps.push(series(
        "successful",
        Stroke { colour: palette::BLUE, width: 2.2, dash: "" },
        Shape::Line,
        axis.points(&time.bins, |bin| bin.rate(bin.ok)),
    ));
    if time.bins.iter().any(|bin| bin.failed > 0) {
        let stroke = Stroke { colour: palette::VERMILLION, width: 2.0, dash: "2 3" };
        let points = axis.points(&time.bins, |bin| bin.rate(bin.failed));
        rps.push(series("failed", stroke, Shape::Line, points));
    }
    let users = vec![series(
        many,
        Stroke { colour: palette::GREEN, width: 2.2, dash: "" },
        Shape::Steps,
        axis.points(&time.bins, |bin| (bin.recorded > 0.0).then_some(f64::from(bin.users))),
    )];
    let most_users = time.bins.iter().map(|bin| bin.users).max().unwrap_or(0);
    let users_scale = Scale::from_zero(f64::from(most_users.max(2)), ticks_of(HALF - 40.0));
    let each = each(time.width);
    let subtitle = format!("Requests that ended in each {each}; most {active} in it");
    let title_of_all = format!("Throughput and {many}");
    let mut plot = axis.plot(&title_of_all, subtitle, window);
    plot.panels.push(panel(
        "Requests per second",
        HALF + 40.0,
        scale_of(&rps, 1.0, HALF + 40.0),
        rps,
    ));
    plot.panels.push(panel(title, HALF - 40.0, users_scale, users));
    let alt = format!(
        "Lines of successful and failed requests a second, {}and of {}. At most {} requests a second and {}.",
        if is_open { "of the iterations that were planned to start each second, " } else { "" },
        if is_open { active } else { "active users" },
        format::rate(fastest),
        format::counted(u64::from(most_users), one, if is_open { active } else { many }),
    );
    Some(chart(plot, "throughput", flag, alt))
}

/// Iterations that were planned to start each second.
fn planned(axis: &TimeAxis, time: &Timeline, window: MeasuredWindow, load: &OpenLoad) -> Series {
    let began = window.start.as_secs_f64() - load.warm_up.as_secs_f64();
    let since = |moment: f64| Duration::from_secs_f64((moment - began).max(0.0));
    let bins: Vec<Bin> =
        time.bins.iter().filter(|bin| since(bin.from) < load.duration).cloned().collect();
    let points = axis
        .points(&bins, |bin| load.planned_rate(since(bin.from), since(bin.to).min(load.duration)));
    let stroke = Stroke { colour: palette::ORANGE, width: 3.0, dash: "7 3" };
    series("planned iterations", stroke, Shape::Line, points)
}

/// CPU and memory of the target and of gander over time. `None` where neither was measured.
pub fn resources(run: &Run, window: MeasuredWindow, flag: Option<&str>) -> Option<Chart> {
    let end = run.resources.last()?.at.max(run.intervals.last()?.end).as_secs_f64();
    let axis = TimeAxis::up_to(end);
    let (mut cpu, mut memory, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for (who, name, stroke) in [
        (Observed::Target, "target", Stroke { colour: palette::BLUE, width: 2.2, dash: "" }),
        (
            Observed::Generator,
            "gander",
            Stroke { colour: palette::ORANGE, width: 2.0, dash: "7 3" },
        ),
    ] {
        let looks: Vec<_> = run.resources_of(who).collect();
        let (used, resident) = (cpu_points(&axis, &looks), peak_points(&axis, &looks, mebibytes));
        if [&used, &resident].into_iter().flatten().all(|point| point.y.is_none()) {
            missing.push(name);
            continue;
        }
        cpu.push(series(name, stroke, Shape::Line, used));
        memory.push(series(name, stroke, Shape::Line, resident));
    }
    if cpu.is_empty() {
        return None;
    }
    let mut subtitle = "Whole process trees; 100% is one processor".to_owned();
    if !missing.is_empty() {
        subtitle += &format!("; not measured: {}", missing.join(", "));
    }
    let most = |series: &[Series]| {
        let values = series.iter().flat_map(|s| &s.points).filter_map(|point| point.y);
        values.fold(0.0, f64::max)
    };
    let alt = format!(
        "Lines of CPU use and resident memory of the target and of gander. CPU is at most {} of one processor, memory at most {} MiB.",
        format::cpu(most(&cpu)),
        format::rate(most(&memory)),
    );
    let mut plot = axis.plot("CPU and memory", subtitle, window);
    plot.panels.push(panel("CPU (%)", HALF, scale_of(&cpu, 5.0, HALF), cpu));
    plot.panels.push(panel("Memory (MiB)", HALF, scale_of(&memory, 4.0, HALF), memory));
    Some(chart(plot, "resources", flag, alt))
}

fn step_for(points: usize) -> usize {
    points.div_ceil(MOST_POINTS).max(1)
}

/// Looks further apart than this many times the usual distance leave a gap.
const GAP: f64 = 3.0;

/// The usual distance between neighbours, in seconds.
fn usual_distance(moments: &[f64]) -> f64 {
    let mut distances: Vec<f64> = moments.windows(2).map(|pair| pair[1] - pair[0]).collect();
    distances.sort_by(f64::total_cmp);
    distances.get(distances.len() / 2).copied().unwrap_or(f64::INFINITY)
}

/// CPU use between looks; a gap where nothing is known in between.
fn cpu_points(axis: &TimeAxis, looks: &[&ResourceSample]) -> Vec<Point> {
    let thinned: Vec<_> = looks.iter().copied().step_by(step_for(looks.len())).collect();
    let moments: Vec<f64> = thinned.iter().map(|look| look.at.as_secs_f64()).collect();
    let longest = usual_distance(&moments) * GAP;
    let mut points: Vec<Point> = Vec::new();
    for span in cpu_spans(thinned.into_iter()) {
        let is_known = span.to - span.from <= longest;
        let point = axis.point(span.from, span.to, is_known.then(|| span.percent()));
        if points.last().is_some_and(|last| last.to < point.from) {
            points.push(Point { y: None, ..point });
        }
        points.push(point);
    }
    points
}

/// What `value` finds at looks, the largest of neighbours where there are many.
fn peak_points(
    axis: &TimeAxis,
    looks: &[&ResourceSample],
    value: fn(&ResourceSample) -> Option<f64>,
) -> Vec<Point> {
    let largest =
        |chunk: &[&ResourceSample]| chunk.iter().filter_map(|look| value(look)).reduce(f64::max);
    let chunks = looks.chunks(step_for(looks.len()));
    let thinned: Vec<(f64, Option<f64>)> =
        chunks.filter_map(|chunk| Some((chunk.last()?.at.as_secs_f64(), largest(chunk)))).collect();
    let moments: Vec<f64> = thinned.iter().map(|(moment, _)| *moment).collect();
    let longest = usual_distance(&moments) * GAP;
    let mut points = Vec::new();
    let mut before = f64::INFINITY;
    for (moment, found) in thinned {
        if moment - before > longest {
            points.push(axis.point(before, moment, None));
        }
        points.push(axis.point(moment, moment, found));
        before = moment;
    }
    points
}

fn mebibytes(look: &ResourceSample) -> Option<f64> {
    Some(look.rss_bytes? as f64 / f64::from(1 << 20))
}

/// Threads, open files and sockets of the target over time. `None` where none was measured.
pub fn counts(run: &Run, window: MeasuredWindow, flag: Option<&str>) -> Option<Chart> {
    let end = run.resources.last()?.at.max(run.intervals.last()?.end).as_secs_f64();
    let axis = TimeAxis::up_to(end);
    let looks: Vec<_> = run.resources_of(Observed::Target).collect();
    let stroke = |colour, dash| Stroke { colour, width: 2.0, dash };
    type Count = fn(&ResourceSample) -> Option<f64>;
    let counted: [(&str, Stroke, Count); 3] = [
        ("open files", stroke(palette::BLUE, ""), |look| look.open_files.map(f64::from)),
        ("sockets", stroke(palette::ORANGE, "7 3"), |look| look.sockets.map(f64::from)),
        ("threads", stroke(palette::GREEN, "2.5 2.5"), |look| look.threads.map(f64::from)),
    ];
    let lines = counted.map(|(name, stroke, count)| {
        series(name, stroke, Shape::Line, peak_points(&axis, &looks, count))
    });
    let is_known = |line: &Series| line.points.iter().any(|point| point.y.is_some());
    let lines: Vec<Series> = lines.into_iter().filter(is_known).collect();
    let most = |line: &Series| line.points.iter().filter_map(|point| point.y).fold(0.0, f64::max);
    let said: Vec<String> = lines
        .iter()
        .map(|line| format!("at most {} {}", format::count(most(line) as u64), line.name))
        .collect();
    if lines.is_empty() {
        return None;
    }
    let alt = format!("Lines of what the target held: {}.", said.join(", "));
    let subtitle = "Of the target's whole process tree; sockets are open files too".to_owned();
    let mut plot = axis.plot("Files, sockets and threads", subtitle, window);
    plot.panels.push(panel("Count", MAIN, scale_of(&lines, 4.0, MAIN), lines));
    Some(chart(plot, "counts", flag, alt))
}
