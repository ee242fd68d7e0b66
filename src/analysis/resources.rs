//! What a process tree used during the measured part of a run.

use std::time::Duration;

use super::sizing::{Memory, Used};
use crate::measure::resource::{Detail, Limits, Observed, ResourceSample, TcpSockets};
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
    /// The part of the measured time that looks at the processor time cover, in seconds.
    pub covered_seconds: f64,
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
    /// Mean of the resident memory at all looks, in bytes.
    pub rss_mean_bytes: Option<f64>,
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
    /// CPU time of gander that looking took, in percent of one processor.
    pub cost_percent: Option<f64>,
    /// What is looked at once a second at most.
    pub detail: DetailFigures,
    /// What it may use at most; `None` where that is not known.
    pub limits: Option<Limits>,
}

/// Figures of the details of a resource series.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct DetailFigures {
    /// Mean memory in bytes, pages that processes share counted in parts.
    pub pss_mean_bytes: Option<f64>,
    /// The most of it, in bytes.
    pub pss_peak_bytes: Option<u64>,
    /// Threads that waited for a processor, on average.
    pub waiting_threads: Option<f64>,
    /// CPU of the busiest thread between two looks, the largest, in percent of one processor.
    pub busiest_thread_percent: Option<f64>,
    /// Times a second that threads gave the processor up.
    pub voluntary_per_s: Option<f64>,
    /// Times a second that it was taken from them.
    pub involuntary_per_s: Option<f64>,
    /// The most TCP sockets in each state, not all of them at the same look.
    pub tcp: Option<TcpSockets>,
    /// Time in which the control group was not let run, in seconds.
    pub throttled_seconds: Option<f64>,
}

impl DetailFigures {
    fn of(looks: &[&ResourceSample]) -> DetailFigures {
        let details: Vec<(f64, Detail)> =
            looks.iter().filter_map(|look| Some((look.at.as_secs_f64(), look.detail?))).collect();
        // What a total grew by, and over which time.
        let grown = |total: fn(&Detail) -> Option<f64>| {
            let mut known = details.iter().filter_map(|(at, d)| Some((*at, total(d)?)));
            let ((from, first), (to, last)) = (known.next()?, known.next_back()?);
            (to > from).then_some((last - first, to - from))
        };
        let rate = |total| grown(total).map(|(more, seconds)| more / seconds);
        let all = || details.iter().map(|(_, detail)| detail);
        let pss: Vec<f64> = all().filter_map(|d| d.pss_bytes).map(|bytes| bytes as f64).collect();
        DetailFigures {
            pss_mean_bytes: (!pss.is_empty()).then(|| pss.iter().sum::<f64>() / pss.len() as f64),
            pss_peak_bytes: all().filter_map(|detail| detail.pss_bytes).max(),
            waiting_threads: rate(|detail| detail.runnable_seconds),
            busiest_thread_percent: all()
                .skip(1)
                .filter_map(|detail| Some(detail.busiest_thread? * 100.0))
                .reduce(f64::max),
            voluntary_per_s: rate(|detail| Some(detail.voluntary_switches? as f64)),
            involuntary_per_s: rate(|detail| Some(detail.involuntary_switches? as f64)),
            tcp: all().filter_map(|detail| detail.tcp).reduce(TcpSockets::most),
            throttled_seconds: grown(|detail| detail.throttled_seconds).map(|(more, _)| more),
        }
    }
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
        let used: f64 = spans.iter().map(|span| span.cpu_inside(window)).sum();
        let elapsed: f64 = spans.iter().map(|span| span.inside(window)).sum();
        let mean = (elapsed > 0.0).then(|| used / elapsed);
        let is_measured = |span: &&CpuSpan| span.inside(window) * 2.0 >= span.seconds();
        let rss = || looks.iter().filter_map(|look| look.rss_bytes);
        Resources {
            looks: looks.len(),
            covered_seconds: elapsed,
            cpu_seconds: mean.map(|_| used),
            cpu_mean_percent: mean.map(|mean| mean * 100.0),
            cpu_peak_percent: spans
                .iter()
                .filter(is_measured)
                .map(CpuSpan::percent)
                .reduce(f64::max),
            cpu_ms_per_request: mean.zip(rps.filter(|rps| *rps > 0.0)).map(|(m, r)| m / r * 1000.0),
            rss_start_bytes: rss().next(),
            rss_mean_bytes: (rss().count() > 0)
                .then(|| rss().map(|bytes| bytes as f64).sum::<f64>() / rss().count() as f64),
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
            cost_percent: cost_percent(&looks),
            detail: DetailFigures::of(&looks),
            limits: run.resources_of(who).find_map(|look| look.limits),
        }
    }
}

impl Resources {
    /// What is held against what was chosen for it.
    pub fn used(&self) -> Used {
        let cpus = |percent: Option<f64>| percent.map(|percent| percent / 100.0);
        Used {
            cpus: (cpus(self.cpu_mean_percent), cpus(self.cpu_peak_percent)),
            memory: self.memory(),
            limits: self.limits,
        }
    }

    /// Memory as a limit counts it, each page once: of one process what is resident, of several the
    /// proportional size. Where the latter was not measured, the resident memory of all of them is the
    /// most that it can be.
    pub fn memory(&self) -> Memory {
        let bytes = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64);
        let are_several = self.processes.is_some_and(|processes| processes > 1);
        match self.detail.pss_peak_bytes.filter(|_| are_several) {
            Some(peak) => Memory {
                mean_bytes: self.detail.pss_mean_bytes,
                peak_bytes: bytes(Some(peak)),
                is_at_most: false,
            },
            None => Memory {
                mean_bytes: self.rss_mean_bytes,
                peak_bytes: bytes(self.rss_peak_bytes),
                is_at_most: are_several,
            },
        }
    }

    /// The figures of several runs as those of one, each with the requests that ended in it. What was
    /// used is added, means are weighted with the time they are of, processor time a request with the
    /// requests, and of everything else that is a most, a start or a growth the largest is taken. A
    /// figure that only some of the runs have is made from those.
    pub fn together(parts: &[(Resources, f64)]) -> Resources {
        type Of<T> = fn(&Resources) -> Option<T>;
        let all = || parts.iter().map(|(part, _)| part);
        let sum = |of: Of<f64>| all().filter_map(of).reduce(|a, b| a + b);
        let highest = |of: Of<f64>| all().filter_map(of).reduce(f64::max);
        let most = |of: Of<u32>| all().filter_map(of).max();
        let most_bytes = |of: Of<u64>| all().filter_map(of).max();
        let weighted = |of: Of<f64>, weight: fn(&(Resources, f64)) -> f64| {
            let known = parts.iter().filter_map(|part| Some((of(&part.0)?, weight(part))));
            let (total, weights) =
                known.fold((0.0, 0.0), |(t, w), (value, weight)| (t + value * weight, w + weight));
            (weights > 0.0).then(|| total / weights)
        };
        let mean = |of: Of<f64>| weighted(of, |(part, _)| part.covered_seconds);
        Resources {
            looks: all().map(|part| part.looks).sum(),
            covered_seconds: all().map(|part| part.covered_seconds).sum(),
            cpu_seconds: sum(|part| part.cpu_seconds),
            cpu_mean_percent: mean(|part| part.cpu_mean_percent),
            cpu_peak_percent: highest(|part| part.cpu_peak_percent),
            cpu_ms_per_request: weighted(|part| part.cpu_ms_per_request, |(_, requests)| *requests),
            rss_start_bytes: most_bytes(|part| part.rss_start_bytes),
            rss_mean_bytes: mean(|part| part.rss_mean_bytes),
            rss_peak_bytes: most_bytes(|part| part.rss_peak_bytes),
            rss_growth_bytes: all().filter_map(|part| part.rss_growth_bytes).max(),
            processes: most(|part| part.processes),
            threads: most(|part| part.threads),
            open_files: most(|part| part.open_files),
            sockets: most(|part| part.sockets),
            timer_lag_max_ms: highest(|part| part.timer_lag_max_ms),
            cost_percent: mean(|part| part.cost_percent),
            detail: DetailFigures {
                pss_mean_bytes: mean(|part| part.detail.pss_mean_bytes),
                pss_peak_bytes: most_bytes(|part| part.detail.pss_peak_bytes),
                waiting_threads: mean(|part| part.detail.waiting_threads),
                busiest_thread_percent: highest(|part| part.detail.busiest_thread_percent),
                voluntary_per_s: mean(|part| part.detail.voluntary_per_s),
                involuntary_per_s: mean(|part| part.detail.involuntary_per_s),
                tcp: all().filter_map(|part| part.detail.tcp).reduce(TcpSockets::most),
                throttled_seconds: sum(|part| part.detail.throttled_seconds),
            },
            limits: all().find_map(|part| part.limits),
        }
    }
}

/// What the looks after the first cost over the time since the first.
fn cost_percent(looks: &[&ResourceSample]) -> Option<f64> {
    let (first, rest) = looks.split_first()?;
    let seconds = rest.last()?.at.since(first.at).as_secs_f64();
    let cost: u64 = rest.iter().map(|look| look.cost_us).sum::<Option<u64>>()?;
    (seconds > 0.0).then(|| cost as f64 / 1e6 / seconds * 100.0)
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

    /// Processor time used in `window`, in seconds: it is spread evenly over the span.
    pub fn cpu_inside(&self, window: MeasuredWindow) -> f64 {
        self.cpu_seconds * self.inside(window) / self.seconds()
    }

    /// How much of it lies in `window`, in seconds.
    pub fn inside(&self, window: MeasuredWindow) -> f64 {
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
