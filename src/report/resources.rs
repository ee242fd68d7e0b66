//! What a process tree used during the measured part of a run.

use std::time::Duration;

use crate::measure::resource::{Observed, ResourceSample};
use crate::measure::summary::MeasuredWindow;
use crate::store::run::Run;

/// Looks closer together than this say nothing about CPU use: its clock ticks every 10 ms.
const SHORTEST_SPAN_SECONDS: f64 = 0.25;
/// A look this far outside of the measured part still tells of its edge: looks are a second apart.
const EDGE: Duration = Duration::from_millis(1_500);

/// Figures of one resource series. `None` where there was nothing to make the figure from.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Resources {
    /// Looks taken in the measured part, and at most one on either side of it.
    pub looks: usize,
    /// Processor time used in the measured part, as far as looks cover it, in seconds. What was
    /// used between two looks on either side of an edge counts by the share of that time inside.
    pub cpu_seconds: Option<f64>,
    /// That over the time it was used in, in percent of one processor.
    pub cpu_mean_percent: Option<f64>,
    /// The same between two looks, the largest; at least half of the time between them is measured.
    pub cpu_peak_percent: Option<f64>,
    /// Processor time a second over requests ended a second, in milliseconds.
    pub cpu_ms_per_request: Option<f64>,
    /// Resident memory at the first look, in bytes.
    pub rss_start_bytes: Option<u64>,
    /// The most resident memory, in bytes.
    pub rss_peak_bytes: Option<u64>,
    /// Resident memory at the last look less that at the first, in bytes.
    pub rss_growth_bytes: Option<i64>,
    /// The most processes.
    pub processes: Option<u32>,
    /// The most threads.
    pub threads: Option<u32>,
    /// The most open file descriptors.
    pub open_files: Option<u32>,
    /// The most open sockets.
    pub sockets: Option<u32>,
    /// The latest that a timer of gander fired after its time, in milliseconds.
    pub timer_lag_max_ms: Option<f64>,
}

impl Resources {
    /// The figures of `who` in `window`, in which `rps` requests ended a second. There are none of
    /// a window without length.
    pub fn of(run: &Run, who: Observed, window: MeasuredWindow, rps: Option<f64>) -> Resources {
        if window.length().is_zero() {
            return Resources::default();
        }
        let looks = looks(run, who, window);
        let spans: Vec<CpuSpan> = cpu_spans(looks.iter().copied()).collect();
        let used: f64 =
            spans.iter().map(|span| span.cpu_seconds * span.inside(window) / span.seconds()).sum();
        let elapsed: f64 = spans.iter().map(|span| span.inside(window)).sum();
        let mean = (elapsed > 0.0).then(|| used / elapsed);
        let is_measured = |span: &&CpuSpan| span.inside(window) * 2.0 >= span.seconds();
        let rss = || looks.iter().filter_map(|look| look.rss_bytes);
        Resources {
            looks: looks.len(),
            cpu_seconds: mean.map(|_| used),
            cpu_mean_percent: mean.map(|mean| mean * 100.0),
            cpu_peak_percent: spans
                .iter()
                .filter(is_measured)
                .map(CpuSpan::percent)
                .reduce(f64::max),
            cpu_ms_per_request: mean.zip(rps.filter(|rps| *rps > 0.0)).map(|(m, r)| m / r * 1000.0),
            rss_start_bytes: rss().next(),
            rss_peak_bytes: rss().max(),
            rss_growth_bytes: rss().next().zip(rss().next_back()).map(|(first, last)| {
                i64::try_from(i128::from(last) - i128::from(first)).unwrap_or(i64::MAX)
            }),
            processes: looks.iter().filter_map(|look| look.processes).max(),
            threads: looks.iter().filter_map(|look| look.threads).max(),
            open_files: looks.iter().filter_map(|look| look.open_files).max(),
            sockets: looks.iter().filter_map(|look| look.sockets).max(),
            // A look tells of the time since the one before it.
            timer_lag_max_ms: looks
                .iter()
                .filter(|look| look.at > window.start)
                .filter_map(|look| look.timer_lag_max_ms)
                .reduce(f64::max),
        }
    }
}

/// The looks in `window`, between the nearest ones at or outside of its edges. The first look of a
/// run lies before the first request: without it a process that grows at once would seem not to.
fn looks(run: &Run, who: Observed, window: MeasuredWindow) -> Vec<&ResourceSample> {
    let all = || run.resources_of(who);
    let before = all().filter(|look| look.at <= window.start).max_by_key(|look| look.at);
    let after = all().filter(|look| look.at >= window.end).min_by_key(|look| look.at);
    let inside = all().filter(|look| window.start < look.at && look.at < window.end);
    before
        .filter(|look| window.start.since(look.at) <= EDGE)
        .into_iter()
        .chain(inside)
        .chain(after.filter(|look| look.at.since(window.end) <= EDGE))
        .collect()
}

/// Processor time used between two looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CpuSpan {
    /// First look, in seconds since the run's start.
    pub from: f64,
    /// Second look.
    pub to: f64,
    /// Processor time used between them.
    pub cpu_seconds: f64,
}

impl CpuSpan {
    fn seconds(&self) -> f64 {
        self.to - self.from
    }

    /// How much of it lies in `window`, in seconds.
    fn inside(&self, window: MeasuredWindow) -> f64 {
        let (start, end) = (window.start.as_secs_f64(), window.end.as_secs_f64());
        (self.to.min(end) - self.from.max(start)).max(0.0)
    }

    /// Use of processors, in percent of one.
    pub fn percent(&self) -> f64 {
        self.cpu_seconds / self.seconds() * 100.0
    }
}

/// The spans between looks that know the processor time. Where it falls (a process of the tree
/// ended and took its time along) nothing can be said, and the span is left out.
pub fn cpu_spans<'a>(
    looks: impl Iterator<Item = &'a ResourceSample>,
) -> impl Iterator<Item = CpuSpan> {
    let mut before: Option<(f64, f64)> = None;
    looks.filter_map(move |look| {
        let now = (look.at.as_secs_f64(), look.cpu_seconds?);
        let (from, used) = *before.get_or_insert(now);
        if now.0 - from < SHORTEST_SPAN_SECONDS {
            return None;
        }
        before = Some(now);
        (now.1 >= used).then_some(CpuSpan { from, to: now.0, cpu_seconds: now.1 - used })
    })
}
