//! What the profiles of a run mean: seconds of functions, how far they may be trusted, and whether
//! the target's requests waited or computed.

use std::time::Duration;

use serde::Serialize;

use crate::measure::metric::Metric;
use crate::measure::resource::{Observed, ResourceSample};
use crate::measure::sample::Offset;
use crate::measure::summary::MeasuredWindow;
use crate::profile::table::Table;
use crate::profile::{Counts, Folded, Missing, ProfileRecord, Profiles, frame};
use crate::store::entry::StoredInterval;
use crate::store::run::Run;

/// Fewer samples than this say little: a function with a tenth of them is off by a fifth.
const FEW_SAMPLES: u64 = 200;
/// A sampler that cannot walk this share of the stacks does not see what it cannot walk.
const MANY_EMPTY: f64 = 0.10;
/// Where threads wait for a processor for this share of the time in which they could run, others crowd
/// them out, unless they use up themselves what they may use.
const CROWDED: f64 = 0.2;
/// Of the samples asked for: with fewer, what was missed is not known.
const MOST_MISSED: f64 = 0.2;
/// With so many times more samples than the measured processor time has room for, one of both is wrong.
const MOST_MORE: f64 = 2.0;
/// A look at the target this far from an edge of the profile still tells of it, in seconds.
const EDGE: f64 = 1.5;
/// Requests that wait for so much of their time wait for something outside of the target …
const WAITING: f64 = 0.70;
/// … unless its processors are so busy,
const PROCESSORS_BUSY: f64 = 0.70;
/// or as much as one thread that never rests.
const ONE_THREAD: f64 = 0.90;
/// Requests that compute for so much of their time are bound by it.
const COMPUTING: f64 = 0.50;

/// What all profiles of a run say.
#[derive(Debug, Clone, Default)]
pub struct ProfileFindings {
    /// Profiles.
    pub taken: Vec<Profiled>,
    /// What is not there.
    pub missing: Vec<Missing>,
    /// What the target's requests did; `None` where its processor time was not measured, or no
    /// request ended.
    pub waiting: Option<Waiting>,
}

impl ProfileFindings {
    /// What `profiles`, taken during `run`, say.
    pub fn of(profiles: &Profiles, run: &Run) -> ProfileFindings {
        let taken: Vec<Profiled> = profiles
            .taken
            .iter()
            .map(|(record, folded)| Profiled::of(record, folded, run))
            .collect();
        let of_target = taken.iter().find(|profiled| profiled.record.who == Observed::Target);
        let window = of_target.map_or(run.window(), |profiled| profiled.record.window());
        let mut waiting = Waiting::of(run, window);
        if let Some(waiting) =
            waiting.as_mut().filter(|_| of_target.is_some_and(Profiled::disagrees))
        {
            waiting.bound = Bound::Contradicted;
        }
        ProfileFindings { waiting, missing: profiles.missing.clone(), taken }
    }

    /// The same; `None` where no profile was taken.
    pub fn if_taken(&self) -> Option<&ProfileFindings> {
        (!self.taken.is_empty()).then_some(self)
    }

    /// The profile of the target's processor time.
    pub fn target_cpu(&self) -> Option<&Profiled> {
        self.taken.iter().find(|profiled| {
            profiled.record.who == Observed::Target && profiled.record.counts == Counts::Cpu
        })
    }
}

/// A profile and the figures of the time in which it was taken.
#[derive(Debug, Clone)]
pub struct Profiled {
    /// What is known beside its stacks.
    pub record: ProfileRecord,
    /// Its stacks, functions by their names.
    pub folded: Folded,
    /// Its functions.
    pub functions: Table,
    /// Its modules.
    pub modules: Table,
    /// Processor time that who was sampled used while the profile was taken, in seconds.
    pub cpu_seconds: Option<f64>,
    /// Requests (attempts) that ended in that time.
    pub requests: f64,
    /// Rows, or iterations where there are no rows, that ended by themselves in that time.
    pub rows: f64,
    /// Samples for each second of processor time: what came of the frequency that was asked for.
    pub effective_frequency: Option<f64>,
    /// Why no conclusions should be drawn from it; empty where they may.
    pub weaknesses: Vec<String>,
}

impl Profiled {
    fn of(record: &ProfileRecord, folded: &Folded, run: &Run) -> Profiled {
        let window = record.window();
        let folded = frame::named(folded);
        let cpu_seconds = cpu_seconds(run, record.who, window);
        let length = window.length().as_secs_f64();
        let sampled_share = (record.sampled.as_secs_f64() / length).min(1.0);
        let effective_frequency = cpu_seconds
            .filter(|_| record.counts == Counts::Cpu)
            .map(|seconds| record.samples as f64 / (seconds * sampled_share))
            .filter(|frequency| frequency.is_finite());
        let mut profiled = Profiled {
            functions: Table::of_functions(&folded),
            modules: Table::of_modules(&folded),
            requests: served(run, window).0,
            rows: rows(run, window),
            record: record.clone(),
            weaknesses: Vec::new(),
            folded,
            cpu_seconds,
            effective_frequency,
        };
        profiled.weaknesses = profiled.weaknesses();
        let waited = used(run, record.who, window, runnable);
        // Who uses up what there is waits for itself: that is a finding, and no fault of the profile.
        let is_itself = Use::of(run, record.who, window).is_some_and(|used| used.is_all());
        if let Some((waited, ran)) = waited.zip(cpu_seconds)
            && waited > CROWDED * (waited + ran)
            && !is_itself
        {
            profiled.weaknesses.push(format!(
                "its threads waited for a processor for {:.0}% of the time in which they could run, and others used it: give the machine fewer tasks",
                waited / (waited + ran) * 100.0
            ));
        }
        profiled
    }

    fn weaknesses(&self) -> Vec<String> {
        let record = &self.record;
        let mut reasons = Vec::new();
        if self.total() < FEW_SAMPLES {
            reasons.push(format!(
                "{} samples, at least {FEW_SAMPLES} are needed: profile for longer, or under more load",
                self.total()
            ));
        }
        let empty = self.share(record.empty);
        if empty > MANY_EMPTY {
            reasons.push(format!(
                "{:.0}% of the samples have no stack: build the target with frame pointers or debug information",
                empty * 100.0
            ));
        }
        if let Some(effective) = self.effective_frequency
            && effective < record.frequency * MOST_MISSED
        {
            reasons.push(format!(
                "{effective:.1} samples a second of processor time, {} were asked for: most were missed",
                record.frequency
            ));
        }
        if let Some(seconds) = self.cpu_seconds.filter(|_| self.disagrees()) {
            reasons.push(format!(
                "{} samples in {seconds:.2} s of measured processor time: one of them is wrong, or others were sampled besides",
                record.samples
            ));
        }
        reasons
    }

    /// Whether there are many more samples than the measured processor time has room for.
    fn disagrees(&self) -> bool {
        let record = &self.record;
        let room = self.cpu_seconds.map(|seconds| seconds * record.frequency * MOST_MORE);
        record.counts == Counts::Cpu && room.is_some_and(|room| record.samples as f64 > room)
    }

    /// Time that a sample stands for: measured processor time over samples, else what the frequency
    /// that was asked for says.
    pub fn period(&self) -> Option<Duration> {
        let measured = self.seconds(1).or_else(|| Some(1.0 / self.record.frequency));
        measured.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    }

    /// Whether conclusions may be drawn.
    pub fn is_sound(&self) -> bool {
        self.weaknesses.is_empty()
    }

    /// All samples, those without a stack too.
    pub fn total(&self) -> u64 {
        self.functions.total + self.record.empty
    }

    /// Share (0 to 1) of all samples.
    pub fn share(&self, samples: u64) -> f64 {
        if self.total() == 0 { 0.0 } else { samples as f64 / self.total() as f64 }
    }

    /// Processor time that `samples` stand for: their share x measured processor time, in seconds.
    /// `None` where samples count the time of threads that wait, too.
    pub fn seconds(&self, samples: u64) -> Option<f64> {
        self.cpu_seconds
            .filter(|_| self.record.counts == Counts::Cpu)
            .map(|seconds| seconds * self.share(samples))
    }

    /// The same for each request that ended meanwhile, in milliseconds.
    pub fn ms_per_request(&self, samples: u64) -> Option<f64> {
        self.ms_per(self.requests, samples)
    }

    /// The same for each row, in milliseconds.
    pub fn ms_per_row(&self, samples: u64) -> Option<f64> {
        self.ms_per(self.rows, samples)
    }

    fn ms_per(&self, count: f64, samples: u64) -> Option<f64> {
        let seconds = self.seconds(samples).filter(|_| count > 0.0)?;
        Some(seconds / count * 1000.0)
    }
}

/// What bounds the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Its requests wait, and its processors are free.
    Io,
    /// It computes.
    Cpu,
    /// One thread computes without rest, and the others wait for it.
    OneThread,
    /// Some of both.
    Mixed,
    /// It uses about one processor of several: one thread that never rests, or several that do.
    Unclear,
    /// Its profile has far more samples than its measured processor time has room for.
    Contradicted,
}

/// What the target's requests did with their time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Waiting {
    /// Processor time of the target, in seconds.
    pub cpu_seconds: f64,
    /// Sum of the service times of the requests that ended meanwhile, in seconds.
    pub request_seconds: f64,
    /// Requests (attempts) that ended meanwhile.
    pub requests: f64,
    /// Time that its threads were ready to run and waited for a processor, in seconds; `None` where
    /// it was not measured.
    pub runnable_seconds: Option<f64>,
    /// `1 - (processor time + waiting for a processor) / service times`, from 0 to 1.
    pub wait_share: f64,
    /// Processors that the target used of those that it may use.
    #[serde(flatten)]
    pub processors: Use,
    /// What follows.
    pub bound: Bound,
}

impl Waiting {
    fn of(run: &Run, window: MeasuredWindow) -> Option<Waiting> {
        let cpu_seconds = cpu_seconds(run, Observed::Target, window)?;
        let (requests, request_seconds) = served(run, window);
        if request_seconds <= 0.0 {
            return None;
        }
        let processors = Use::of(run, Observed::Target, window)?;
        let runnable_seconds = used(run, Observed::Target, window, runnable);
        let busy = cpu_seconds + runnable_seconds.unwrap_or(0.0);
        let mut waiting = Waiting {
            cpu_seconds,
            request_seconds,
            requests,
            runnable_seconds,
            wait_share: (1.0 - busy / request_seconds).max(0.0),
            processors,
            bound: Bound::Mixed,
        };
        waiting.bound = waiting.judged();
        Some(waiting)
    }

    fn judged(&self) -> Bound {
        let used = &self.processors;
        let is_about_one = used.processors_used >= ONE_THREAD;
        match self.wait_share {
            _ if used.are_busy() => Bound::Cpu,
            _ if used.has_busy_thread() => Bound::OneThread,
            wait if 1.0 - wait >= COMPUTING => Bound::Cpu,
            _ if is_about_one && used.busiest_thread.is_none() => Bound::Unclear,
            wait if wait >= WAITING => Bound::Io,
            _ => Bound::Mixed,
        }
    }
}

/// How much of the processors processes used, on average.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Use {
    /// Processors that they used.
    pub processors_used: f64,
    /// Processors that they may use: those of the machine, as far as affinity and the limit of their
    /// control group allow.
    pub processors: f64,
    /// Share of one processor that their busiest thread used; `None` where it was not measured.
    pub busiest_thread: Option<f64>,
}

impl Use {
    /// `None` where processor time was not measured.
    fn of(run: &Run, who: Observed, window: MeasuredWindow) -> Option<Use> {
        let cores = run.start.environment.cores as f64;
        let limits = run.resources_of(who).find_map(|look| look.limits).unwrap_or_default();
        let allowed = limits.affinity.map(f64::from).into_iter().chain(limits.cpus);
        Some(Use {
            processors_used: cpu_seconds(run, who, window)? / window.length().as_secs_f64(),
            processors: allowed.fold(cores, f64::min),
            busiest_thread: busiest_thread(run, who, window),
        })
    }

    fn are_busy(&self) -> bool {
        self.processors_used >= PROCESSORS_BUSY * self.processors
    }

    fn has_busy_thread(&self) -> bool {
        self.busiest_thread.is_some_and(|share| share >= ONE_THREAD)
    }

    /// Whether there is nothing left that they could use.
    fn is_all(&self) -> bool {
        self.are_busy() || self.has_busy_thread()
    }
}

/// Share (0 to 1) of what lies between `from` and `to` that lies in `window`.
fn inside(from: Offset, to: Offset, window: MeasuredWindow) -> f64 {
    let part = to.min(window.end).since(from.max(window.start)).as_secs_f64();
    let whole = to.since(from).as_secs_f64();
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// Processor time of `who` in `window`, in seconds.
fn cpu_seconds(run: &Run, who: Observed, window: MeasuredWindow) -> Option<f64> {
    used(run, who, window, |look| look.cpu_seconds)
}

fn runnable(look: &ResourceSample) -> Option<f64> {
    look.detail?.runnable_seconds
}

/// What `who` used of something that only grows: of what was used between two looks the share of
/// that time inside `window`. `None` where looks do not reach to its edges. Where it falls (a process
/// ended and took its own along), nothing is known between these two looks, and that time counts like
/// the rest.
fn used(
    run: &Run,
    who: Observed,
    window: MeasuredWindow,
    figure: fn(&ResourceSample) -> Option<f64>,
) -> Option<f64> {
    let looks: Vec<(Offset, f64)> =
        run.resources_of(who).filter_map(|look| Some((look.at, figure(look)?))).collect();
    let (first, last) = (looks.first()?.0, looks.last()?.0);
    let is_far = first.since(window.start).as_secs_f64() > EDGE
        || window.end.since(last).as_secs_f64() > EDGE;
    if is_far || window.length().is_zero() {
        return None;
    }
    let (mut used, mut covered) = (0.0, 0.0);
    for (&(from, before), &(to, after)) in looks.iter().zip(looks.iter().skip(1)) {
        if after >= before {
            let share = inside(from, to, window);
            used += (after - before) * share;
            covered += to.since(from).as_secs_f64() * share;
        }
    }
    (covered > 0.0).then(|| used / covered * window.length().as_secs_f64())
}

/// Mean use of one processor by the busiest thread of `who`.
fn busiest_thread(run: &Run, who: Observed, window: MeasuredWindow) -> Option<f64> {
    let looks = run.resources_of(who);
    let inside = looks.filter(|look| window.start < look.at && look.at <= window.end);
    let shares: Vec<f64> = inside.filter_map(|look| look.detail?.busiest_thread).collect();
    (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
}

/// Requests that ended in `window`, and the sum of their service times in seconds. The seconds at
/// its edges count by their share inside.
fn served(run: &Run, window: MeasuredWindow) -> (f64, f64) {
    let (mut requests, mut seconds) = (0.0, 0.0);
    for interval in &run.intervals {
        let share = inside(interval.start, interval.end, window);
        for (key, stored) in &interval.distributions {
            if share > 0.0 && key.metric == Metric::ServiceTime {
                requests += stored.count as f64 * share;
                let sum_ns: f64 = stored.sum_ns.parse().unwrap_or(0.0);
                seconds += sum_ns / 1e9 * share;
            }
        }
    }
    (requests, seconds)
}

/// Rows that ended by themselves in `window`, counted as requests are.
fn rows(run: &Run, window: MeasuredWindow) -> f64 {
    let of = |interval: &StoredInterval| {
        let groups = interval.rows.groups.iter().filter(|(_, end, _, _)| end.is_by_itself());
        groups.map(|(_, _, times, _)| times.count).sum::<u64>() as f64
    };
    run.intervals.iter().map(|it| of(it) * inside(it.start, it.end, window)).sum()
}
