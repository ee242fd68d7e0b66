//! Whether the target leaks: what its memory, files, sockets and threads did over a run.
//!
//! The rule looks at the measured part without its first quarter (the burn-in), in 40 equal bins of
//! which each counts with its median. It is a leak where all of these hold:
//! - the lower end of the 95% interval of the slope (Theil and Sen) is above what a run of this
//!   length can be sure of ([`Resource::threshold`]),
//! - the deviate of Mann and Kendall is above 2.58, so that the growth is no accident,
//! - the second half grows at least half as fast as the first: a cache that fills up does not.
//!
//! There is no leak where the upper end of the interval is below what matters, or where this holds
//! for the second half, after the growth of the first, or for the floor, which stays where it is while
//! a garbage collector's teeth come and go, and which a leak lifts: the troughs between teeth, where
//! there are 5 of at least 6 looks each, else the least values of 8 equal parts. Everything else is too early to say; so is a leak where the load grew meanwhile, and none
//! where it fell, for what leaks with each request stops growing when the requests do.

mod load;
mod teeth;

use serde::{Deserialize, Serialize};

use crate::measure::resource::{Observed, ResourceSample};
use crate::measure::rows::IterationEnd;
use crate::stats::bootstrap::Interval;
use crate::stats::order::median;
use crate::stats::slope::{Z_95, mann_kendall, theil_sen};
use crate::store::run::Run;

use load::Load;

/// Share of the measured part that is not judged: allocators, caches and pools warm up in it.
const BURN_IN: f64 = 0.25;
/// Bins over the rest.
const BINS: usize = 40;
/// Fewer bins than this cannot be told from an accident.
const FEWEST_BINS: usize = 8;
/// Parts of which each gives its least value to the floor, where teeth are too short to be seen.
const FLOOR_PARTS: usize = 8;
/// The deviate of a two-sided 99% test.
const Z_99: f64 = 2.58;
/// From this length on, the thresholds are what matters; shorter runs can be sure of gross growth
/// alone.
const FULL_SECONDS: f64 = 600.0;
/// How the thresholds grow in shorter runs: white noise moves a slope by the power 1.5 of the length.
const SHORTENING: f64 = 1.5;

/// What is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// Resident memory, in bytes.
    Memory,
    /// Open file descriptors, sockets included.
    OpenFiles,
    /// Open sockets.
    Sockets,
    /// Threads.
    Threads,
}

impl Resource {
    /// All of them.
    pub const ALL: [Resource; 4] =
        [Resource::Memory, Resource::OpenFiles, Resource::Sockets, Resource::Threads];

    /// As it is called in reports.
    pub fn name(self) -> &'static str {
        match self {
            Resource::Memory => "Memory",
            Resource::OpenFiles => "Open files",
            Resource::Sockets => "Sockets",
            Resource::Threads => "Threads",
        }
    }

    /// The growth that matters, in units a second: 0.2 MB a minute, or one file, socket or thread
    /// in two minutes.
    pub fn matters(self) -> f64 {
        match self {
            Resource::Memory => 200_000.0 / 60.0,
            Resource::OpenFiles | Resource::Sockets | Resource::Threads => 0.5 / 60.0,
        }
    }

    /// The growth, in units a second, that the lower end of the interval must exceed in a run whose
    /// measured part lasted `seconds`: [`Resource::matters`] from ten minutes on, and
    /// `(600 s / seconds)^1.5` times as much in shorter ones, for noise moves their slope so much
    /// more. At one minute this is 6.3 MB a minute or 16 sockets a minute: growth that is gross.
    pub fn threshold(self, seconds: f64, speed: f64) -> f64 {
        let short = (FULL_SECONDS / speed / seconds).max(1.0).powf(SHORTENING);
        self.matters() * speed * short
    }

    /// The smallest step that can be told from none: allocators take memory from the system in
    /// pieces, and connections come and go.
    fn step(self) -> f64 {
        match self {
            Resource::Memory => 1e6,
            Resource::OpenFiles | Resource::Sockets | Resource::Threads => 2.0,
        }
    }

    fn of(self, look: &ResourceSample) -> Option<f64> {
        match self {
            Resource::Memory => look.rss_bytes.map(|bytes| bytes as f64),
            Resource::OpenFiles => look.open_files.map(f64::from),
            Resource::Sockets => look.sockets.map(f64::from),
            Resource::Threads => look.threads.map(f64::from),
        }
    }
}

/// Whether a resource leaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leakage {
    /// It grows steadily, and by more than matters.
    Leak,
    /// It does not grow, by less than matters, or has stopped growing.
    NoLeak,
    /// The run is too short, or its load or its growth too unsteady, to say.
    TooEarly,
    /// There are no figures, or too few.
    NotMeasured,
}

/// The verdict on one resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResourceVerdict {
    /// Which.
    pub resource: Resource,
    /// Whether it leaks.
    pub verdict: Leakage,
    /// Why, in one sentence.
    pub why: String,
    /// How it grew; `None` where that was not measured.
    pub growth: Option<Growth>,
    /// The slope in units for 1000 rows (iterations, where the scenario has no rows) that ended in
    /// the measured part; `None` where none ended or the slope is not known.
    pub per_1000_rows: Option<f64>,
}

/// How a resource grew after the burn-in. Units are bytes or counts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Growth {
    /// Length of the measured part, burn-in included, in seconds.
    pub seconds: f64,
    /// Slope in units a second.
    pub slope: f64,
    /// Its 95% interval.
    pub interval: Interval,
    /// The deviate of Mann and Kendall: above 2.58 it grows, below -2.58 it falls.
    pub deviate: f64,
    /// Slopes of the first and of the second half, in units a second.
    pub halves: [f64; 2],
    /// Upper end of the interval of the second half's slope, in units a second.
    pub second_half_at_most: f64,
    /// Upper end of the interval of the floor's slope, in units a second: that of the troughs between
    /// teeth where there are 5 that can be seen, else that of the least values of 8 equal parts. `None`
    /// where there are looks in too few parts.
    #[serde(default)]
    pub floor_at_most: Option<f64>,
    /// From the first tenth of the bins to the last tenth, in units.
    pub grown: f64,
    /// The slowest steady growth, in units a second, that a run of this length and noise would
    /// have been called a leak for: the threshold and half of the interval.
    pub detectable: f64,
}

impl Growth {
    /// How `series` (seconds, value), in order of time, grew. `speed` is how many times faster
    /// everything happens than it would in life: 1, but for short campaigns that stand for long
    /// ones. `None` of fewer than 8 bins with values.
    pub fn of(series: &[(f64, f64)], resource: Resource, speed: f64) -> Option<Growth> {
        let (start, end) = (series.first()?.0, series.last()?.0);
        let seconds = end - start;
        let from = start + seconds * BURN_IN;
        let judged = &series[series.partition_point(|(at, _)| *at < from)..];
        let bins = binned(judged.iter(), from, end, BINS, median);
        if bins.len() < FEWEST_BINS {
            return None;
        }
        let values: Vec<f64> = bins.iter().map(|(_, value)| *value).collect();
        let (first, second) = bins.split_at(bins.len() / 2);
        let whole = theil_sen(&bins, Z_95)?;
        let (first, second) = (theil_sen(first, Z_95)?, theil_sen(second, Z_95)?);
        let tenth = (values.len() / 10).max(1);
        let half_width = (whole.interval.high - whole.interval.low) / 2.0;
        Some(Growth {
            seconds,
            slope: whole.slope,
            interval: whole.interval,
            deviate: mann_kendall(&values),
            halves: [first.slope, second.slope],
            second_half_at_most: second.interval.high,
            floor_at_most: teeth::troughs_at_most(judged)
                .or_else(|| floor_at_most(judged.iter(), from, end)),
            grown: median(&values[values.len() - tenth..])? - median(&values[..tenth])?,
            detectable: resource.threshold(seconds, speed) + half_width,
        })
    }

    /// The slope in units an hour.
    pub fn per_hour(&self) -> f64 {
        self.slope * 3600.0
    }

    /// Whether this is a leak of `resource`, and why, in one sentence.
    pub fn verdict(&self, resource: Resource, speed: f64) -> (Leakage, &'static str) {
        let (threshold, matters) =
            (resource.threshold(self.seconds, speed), resource.matters() * speed);
        let [first, second] = self.halves;
        let grows = self.interval.low > threshold && self.deviate > Z_99;
        let goes_on = second >= first.max(threshold) / 2.0;
        let judged = self.seconds * (1.0 - BURN_IN);
        // Growth that matters must have had the time to show as a step.
        let would_show = matters * judged >= resource.step();
        if grows && goes_on {
            return (Leakage::Leak, "It grew steadily to the end, by more than noise explains.");
        }
        if would_show && self.interval.high <= matters {
            return (Leakage::NoLeak, "If it grows at all, then by less than matters.");
        }
        if would_show && self.second_half_at_most <= matters {
            return (Leakage::NoLeak, "It grew, and then stopped: a plateau.");
        }
        if would_show && self.floor_at_most.is_some_and(|most| most <= matters) {
            return (Leakage::NoLeak, "It comes and goes, and always falls back as far.");
        }
        if grows {
            return (
                Leakage::TooEarly,
                "It grew, and slowed down: a cache that fills up, or a leak. A longer run will tell.",
            );
        }
        if !would_show {
            return (
                Leakage::TooEarly,
                "Growth that matters would be less than the smallest step in a run this short.",
            );
        }
        (
            Leakage::TooEarly,
            "Growth that matters would not stand out of the noise of a run this long.",
        )
    }
}

/// What `count` equal bins from `from` to `end` come to, each at the middle of its bin; no bin where
/// there are no values.
fn binned<'a>(
    series: impl Iterator<Item = &'a (f64, f64)>,
    from: f64,
    end: f64,
    count: usize,
    of: impl Fn(&[f64]) -> Option<f64>,
) -> Vec<(f64, f64)> {
    let mut bins = vec![Vec::new(); count];
    let width = (end - from) / count as f64;
    for (at, value) in series {
        let index = ((at - from) / width) as usize;
        bins[index.min(count - 1)].push(*value);
    }
    let middle = |index: usize| from + (index as f64 + 0.5) * width;
    let filled = bins.iter().enumerate();
    filled.filter_map(|(index, values)| Some((middle(index), of(values)?))).collect()
}

/// Upper end of the 95% interval of the floor's slope.
fn floor_at_most<'a>(
    series: impl Iterator<Item = &'a (f64, f64)>,
    from: f64,
    end: f64,
) -> Option<f64> {
    let least = |values: &[f64]| values.iter().copied().reduce(f64::min);
    let floor = binned(series, from, end, FLOOR_PARTS, least);
    let slope = theil_sen(&floor, Z_95).filter(|_| floor.len() == FLOOR_PARTS)?;
    Some(slope.interval.high)
}

/// The verdict on each resource of the target of `run`.
pub fn judge(run: &Run) -> Vec<ResourceVerdict> {
    judge_at(run, Observed::Target, 1.0)
}

/// The verdict on each resource of `who`, in a run where everything happens `speed` times faster
/// than in life (see [`Growth::of`]).
pub fn judge_at(run: &Run, who: Observed, speed: f64) -> Vec<ResourceVerdict> {
    let window = run.window();
    let is_inside = |look: &&ResourceSample| window.start <= look.at && look.at <= window.end;
    let looks: Vec<&ResourceSample> = run.resources_of(who).filter(is_inside).collect();
    let rows_per_second = rows_per_second(run);
    let load = Load::of(run);
    let gone = gone_from(&looks).map(|at| format!("Its process was gone from {at:.0} s on."));
    let of = |resource: Resource| {
        let known = looks.iter().filter_map(|look| Some((look.at, resource.of(look)?)));
        let series: Vec<(f64, f64)> = known.map(|(at, y)| (at.as_secs_f64(), y)).collect();
        let undecided = |verdict, why: String| {
            let why = gone.clone().unwrap_or(why);
            ResourceVerdict { resource, verdict, why, growth: None, per_1000_rows: None }
        };
        if series.is_empty() {
            let why = "There is no look at it in the measured part.".to_owned();
            return undecided(Leakage::NotMeasured, why);
        }
        let Some(growth) = Growth::of(&series, resource, speed) else {
            let why = format!(
                "There are only {} looks at it: a longer run, or a shorter --observe-every.",
                series.len()
            );
            return undecided(Leakage::TooEarly, why);
        };
        let (verdict, why) = under_load(growth.verdict(resource, speed), load);
        let why = gone.clone().filter(|_| verdict == Leakage::TooEarly).unwrap_or(why);
        let per_1000_rows = rows_per_second.map(|rate| growth.slope / rate * 1000.0);
        ResourceVerdict { resource, verdict, why, growth: Some(growth), per_1000_rows }
    };
    Resource::ALL.into_iter().map(of).collect()
}

/// What is left of a verdict where the load was not steady.
fn under_load((verdict, why): (Leakage, &str), load: Load) -> (Leakage, String) {
    let why = match (verdict, load.grew, load.fell) {
        (Leakage::Leak, Some(share), _) => format!(
            "It grew, and so did the load, by {:.0}%: leaks are seen under steady load.",
            share * 100.0
        ),
        (Leakage::NoLeak, _, Some(share)) => format!(
            "It did not grow to the end, but the load fell by {:.0}%: leaks are seen under steady load.",
            share * 100.0
        ),
        _ => return (verdict, why.to_owned()),
    };
    (Leakage::TooEarly, why)
}

/// From when on, in seconds since the run's start, no look saw a process any more; `None` where the last
/// one did.
fn gone_from(looks: &[&ResourceSample]) -> Option<f64> {
    let at = looks.iter().rposition(|look| look.processes.is_some()).map_or(0, |last| last + 1);
    looks.get(at).map(|look| look.at.as_secs_f64())
}

/// Rows that ended by themselves in the measured part, a second; `None` where none did.
fn rows_per_second(run: &Run) -> Option<f64> {
    let completed = run.intervals.iter().flat_map(|interval| &interval.rows.completed);
    let by_itself = |(end, count): &(IterationEnd, u64)| end.is_by_itself().then_some(*count);
    let rows: u64 = completed.filter_map(by_itself).sum();
    let seconds = run.window().length().as_secs_f64();
    (rows > 0 && seconds > 0.0).then(|| rows as f64 / seconds)
}
