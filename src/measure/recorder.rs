//! Takes samples from many threads, and hands out one [`Interval`] a second.
//!
//! One shard per thread: recording locks an uncontended mutex (about 13 ns). The ticker locks all
//! shards at once, so that every interval is a consistent cut and the ledger must balance in it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::distribution::Distribution;
use super::interval::{Delivered, ErrorKey, ErrorRecord, Interval, Key, Phase, Traffic};
use super::ledger::Ledger;
use super::metric::Metric;
use super::numbers::Numbers;
pub use super::rows::IterationEnd;
use super::rows::{Effort, EndedIteration, Row, Rows};
use super::sample::{Offset, Outcome, Sample, StepId};
use super::summary::MeasuredWindow;

/// The borders of the measured part of a run. The end may be set while the run goes on.
#[derive(Debug)]
pub struct Window {
    start: AtomicU64,
    end: AtomicU64,
}

impl Window {
    /// A window that nothing belongs to before it is opened.
    pub fn not_yet_open() -> Self {
        Window { start: AtomicU64::new(Offset::NEVER.0), end: AtomicU64::new(Offset::NEVER.0) }
    }

    /// Sets the measured part, once the run has begun.
    pub fn open(&self, start: Offset, end: Offset) {
        self.start.store(start.0, Ordering::Relaxed);
        self.end.store(end.0, Ordering::Relaxed);
    }

    /// Ends the measured part at `end`, if it would have ended later.
    pub fn close(&self, end: Offset) {
        self.end.fetch_min(end.0, Ordering::Relaxed);
    }

    /// Begin of the measured part.
    pub fn start(&self) -> Offset {
        Offset(self.start.load(Ordering::Relaxed))
    }

    /// End of the measured part.
    pub fn end(&self) -> Offset {
        Offset(self.end.load(Ordering::Relaxed))
    }

    fn phase_of(&self, scheduled: Offset) -> Phase {
        if scheduled < self.start() {
            Phase::WarmUp
        } else if scheduled < self.end() {
            Phase::Measured
        } else {
            Phase::CoolDown
        }
    }

    fn contains(&self, moment: Offset) -> bool {
        self.start() <= moment && moment <= self.end()
    }
}

/// Why a request failed, beyond its outcome.
#[derive(Debug, Clone, Copy, Default)]
pub struct Why<'a> {
    /// HTTP status, where there was one.
    pub status: Option<u16>,
    /// One line for a person.
    pub message: &'a str,
}

/// Records what happened.
#[derive(Debug)]
pub struct Recorder {
    shards: Box<[Mutex<Shard>]>,
    spares: Mutex<Vec<Shard>>,
    window: Window,
    users: AtomicU32,
    rotation: Mutex<Rotation>,
}

#[derive(Debug, Default)]
struct Rotation {
    since: Offset,
    total: Ledger,
    done: Numbers,
}

#[derive(Debug, Default)]
struct Shard {
    /// Indexed by step, then phase and outcome.
    steps: Vec<StepShard>,
    errors: BTreeMap<ErrorKey, ErrorRecord>,
    rows: Rows,
    ledger: Ledger,
    /// Numbers of iterations that were done since the last rotation.
    done: Vec<u64>,
}

#[derive(Debug, Default)]
struct StepShard {
    groups: BTreeMap<(Phase, Outcome), Group>,
    completed: [u64; Outcome::ALL.len()],
    delivered: Delivered,
}

/// Requests of one step, phase and outcome.
#[derive(Debug, Default)]
struct Group {
    /// Indexed as [`Metric::ALL`]; made when first needed, for a histogram is large.
    metrics: [Option<Box<Distribution>>; Metric::ALL.len()],
    traffic: Traffic,
}

thread_local! {
    static SHARD: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Gives each thread a shard number of its own.
fn shard_of_this_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    SHARD.with(|shard| {
        if shard.get() == usize::MAX {
            shard.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        shard.get()
    })
}

/// A panic while a shard is locked is reported where it happens; the counts stay usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recorder {
    /// A recorder for a scenario with `steps` steps, written to by about `threads` threads.
    pub fn new(steps: usize, threads: usize, window: Window) -> Self {
        let shard = || Shard {
            steps: (0..steps).map(|_| StepShard::default()).collect(),
            ..Shard::default()
        };
        Recorder {
            shards: (0..threads.max(1)).map(|_| Mutex::new(shard())).collect(),
            spares: Mutex::new((0..threads.max(1)).map(|_| shard()).collect()),
            window,
            users: AtomicU32::new(0),
            rotation: Mutex::default(),
        }
    }

    fn shard(&self) -> MutexGuard<'_, Shard> {
        lock(&self.shards[shard_of_this_thread() % self.shards.len()])
    }

    /// The measured part of the run.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// A user became active; it stops being so when the guard is dropped.
    pub fn user(self: Arc<Self>) -> ActiveUser {
        self.users.fetch_add(1, Ordering::Relaxed);
        ActiveUser { recorder: self }
    }

    /// Users active now.
    pub fn users(&self) -> u32 {
        self.users.load(Ordering::Relaxed)
    }

    /// Requests sent that have not ended.
    pub fn in_flight(&self) -> i64 {
        let rotation = lock(&self.rotation);
        let shards: Vec<_> = self.shards.iter().map(lock).collect();
        rotation.total.in_flight + shards.iter().map(|shard| shard.ledger.in_flight).sum::<i64>()
    }

    /// A request is due and about to be sent. A guard that is dropped without
    /// [`InFlight::finish`] is a lost sample, and the ledger will not balance.
    pub fn begin(&self) -> InFlight<'_> {
        let mut shard = self.shard();
        shard.ledger.scheduled += 1;
        shard.ledger.sent += 1;
        shard.ledger.in_flight += 1;
        InFlight { recorder: self, finished: false }
    }

    /// A request was due and is not sent at all; `sample` has [`Outcome::Dropped`].
    pub fn drop_request(&self, sample: &Sample, why: Why<'_>) {
        let mut shard = self.shard();
        shard.ledger.scheduled += 1;
        shard.ledger.dropped += 1;
        shard.record(sample, why, &self.window);
    }

    /// An iteration begins.
    pub fn begin_iteration(&self) {
        self.shard().ledger.begin_iteration();
    }

    /// An iteration has ended, or was dropped. All that is counted for it comes into one cut: where
    /// gander is killed, it is done and counted, or neither.
    pub fn end_iteration(&self, ended: &EndedIteration<'_>) {
        let mut shard = self.shard();
        shard.ledger.end_iteration(ended.end);
        if ended.end != IterationEnd::Cancelled {
            shard.done.push(ended.number);
        }
        for row in &ended.rows {
            let inside = self.window.contains(row.done);
            shard.rows.record(row, self.window.phase_of(row.due), inside);
        }
        let phase = self.window.phase_of(ended.due);
        shard.rows.record_effort(phase, ended.end, ended.effort);
    }

    /// An iteration with this number was due at `due`, stood for so many data rows, and is not begun.
    pub fn drop_iteration(&self, number: u64, due: Offset, rows: u64) {
        let (end, effort) = (IterationEnd::Dropped, Effort::default());
        let row = |_| Row { end, due, done: due, effort, failure: None };
        let rows = (0..rows).map(row).collect();
        self.end_iteration(&EndedIteration { number, end, due, rows, effort });
    }

    /// Goes on at `since` where an earlier recorder of the same run was ended.
    pub fn resume(&self, since: Offset, total: Ledger, done: Numbers) {
        *lock(&self.rotation) = Rotation { since, total, done };
    }

    /// Everything recorded since the last rotation, as one consistent cut.
    pub fn rotate(&self, now: Offset) -> Interval {
        let mut rotation = lock(&self.rotation);
        let mut fresh = std::mem::take(&mut *lock(&self.spares));
        let mut taken = Vec::with_capacity(self.shards.len());
        {
            let mut shards: Vec<_> = self.shards.iter().map(lock).collect();
            for shard in &mut shards {
                let spare = fresh.pop().expect("invariant: one spare for each shard");
                taken.push(std::mem::replace(&mut **shard, spare));
            }
        }
        let mut interval = Interval {
            start: rotation.since,
            end: now,
            users: self.users(),
            window: MeasuredWindow { start: self.window.start(), end: self.window.end() },
            ..Interval::default()
        };
        for shard in &mut taken {
            shard.done.drain(..).for_each(|number| {
                rotation.done.insert(number);
            });
            shard.drain_into(&mut interval, &mut rotation.total);
        }
        interval.ledger = rotation.total;
        interval.done = rotation.done.clone();
        rotation.since = now;
        *lock(&self.spares) = taken;
        interval
    }
}

impl Shard {
    fn record(&mut self, sample: &Sample, why: Why<'_>, window: &Window) {
        let phase = window.phase_of(sample.scheduled);
        let step = &mut self.steps[usize::from(sample.step.0)];
        let group = step.groups.entry((phase, sample.outcome)).or_default();
        for (slot, metric) in group.metrics.iter_mut().zip(Metric::ALL) {
            metric.each(sample, |value| slot.get_or_insert_default().record(value));
        }
        group.traffic += Traffic::of(sample);
        if window.contains(sample.done) {
            step.completed[sample.outcome.index()] += 1;
            step.delivered += Delivered::of(sample);
        }
        if sample.outcome.is_error() {
            self.record_error(sample, why);
        }
    }

    fn record_error(&mut self, sample: &Sample, why: Why<'_>) {
        let key = ErrorKey { step: sample.step, outcome: sample.outcome, status: why.status };
        let record = self.errors.entry(key).or_insert_with(|| ErrorRecord {
            count: 0,
            first: sample.done,
            last: sample.done,
            examples: Vec::new(),
        });
        record.count += 1;
        record.first = record.first.min(sample.done);
        record.last = record.last.max(sample.done);
        record.add_example(why.message);
    }

    /// Empties this shard into `interval` and adds its counts to `total`.
    fn drain_into(&mut self, interval: &mut Interval, total: &mut Ledger) {
        total.add(&std::mem::take(&mut self.ledger));
        for (step, shard) in (0u16..).map(StepId).zip(&mut self.steps) {
            shard.drain_into(step, interval);
        }
        self.rows.drain_into(&mut interval.rows);
        for (key, record) in std::mem::take(&mut self.errors) {
            match interval.errors.get_mut(&key) {
                Some(seen) => seen.merge(&record),
                None => {
                    interval.errors.insert(key, record);
                }
            }
        }
    }
}

impl StepShard {
    fn drain_into(&mut self, step: StepId, interval: &mut Interval) {
        for (&(phase, outcome), group) in &mut self.groups {
            for (slot, metric) in group.metrics.iter_mut().zip(Metric::ALL) {
                if let Some(distribution) = slot.as_mut().filter(|found| !found.is_empty()) {
                    let key = Key { step, phase, outcome, metric };
                    interval.distributions.entry(key).or_default().merge(distribution);
                    distribution.clear();
                }
            }
            let traffic = std::mem::take(&mut group.traffic);
            if traffic != Traffic::default() {
                *interval.traffic.entry((step, phase)).or_default() += traffic;
            }
        }
        let delivered = std::mem::take(&mut self.delivered);
        if delivered != Delivered::default() {
            *interval.delivered.entry(step).or_default() += delivered;
        }
        for (outcome, count) in Outcome::ALL.into_iter().zip(&mut self.completed) {
            if *count > 0 {
                *interval.completed.entry((step, outcome)).or_default() += std::mem::take(count);
            }
        }
    }
}

/// A request that was sent and has not ended.
#[derive(Debug)]
#[must_use = "a request that is never finished is a lost sample"]
pub struct InFlight<'a> {
    recorder: &'a Recorder,
    finished: bool,
}

impl InFlight<'_> {
    /// The request ended.
    pub fn finish(mut self, sample: &Sample, why: Why<'_>) {
        self.finished = true;
        let mut shard = self.recorder.shard();
        shard.ledger.in_flight -= 1;
        shard.ledger.ended[sample.outcome.index()] += 1;
        shard.record(sample, why, &self.recorder.window);
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.recorder.shard().ledger.in_flight -= 1;
        }
    }
}

/// A user that is active.
#[derive(Debug)]
pub struct ActiveUser {
    recorder: Arc<Recorder>,
}

impl Drop for ActiveUser {
    fn drop(&mut self) {
        self.recorder.users.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::measure::sample::Bytes;

    fn sample(scheduled_ms: u64, took_ms: u64, outcome: Outcome) -> Sample {
        let at = |ms| Offset::from(Duration::from_millis(ms));
        Sample {
            step: StepId(0),
            scheduled: at(scheduled_ms),
            sent: at(scheduled_ms),
            send_lag: Duration::ZERO,
            connect: None,
            tls: None,
            first_byte: None,
            done: at(scheduled_ms + took_ms),
            bytes: Bytes { sent: 1, received: 2 },
            outcome,
            stream: None,
            tokens: None,
            good: None,
        }
    }

    fn recorder() -> Arc<Recorder> {
        let recorder = Recorder::new(1, 4, Window::not_yet_open());
        recorder.window().open(Offset::from(Duration::from_secs(1)), Offset::NEVER);
        Arc::new(recorder)
    }

    fn response_times(interval: &Interval, phase: Phase, outcome: Outcome) -> u64 {
        let key = Key { step: StepId(0), phase, outcome, metric: Metric::ResponseTime };
        interval.distributions.get(&key).map_or(0, Distribution::count)
    }

    #[test]
    fn nothing_is_lost_or_counted_twice_over_threads_and_rotations() {
        const THREADS: u64 = 8;
        const EACH: u64 = 2_000;
        let recorder = recorder();
        let mut intervals = Vec::new();
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..THREADS)
                .map(|_| {
                    scope.spawn(|| {
                        for _ in 0..EACH {
                            recorder.begin().finish(&sample(1_500, 3, Outcome::Ok), Why::default());
                        }
                    })
                })
                .collect();
            while workers.iter().any(|worker| !worker.is_finished()) {
                let interval = recorder.rotate(Offset(1));
                assert_eq!(interval.ledger.check(), Ok(()), "every cut balances");
                intervals.push(interval);
            }
        });
        intervals.push(recorder.rotate(Offset(2)));
        let recorded: u64 =
            intervals.iter().map(|i| response_times(i, Phase::Measured, Outcome::Ok)).sum();
        let completed: u64 = intervals.iter().flat_map(|i| i.completed.values()).sum();
        let received: u64 =
            intervals.iter().flat_map(|i| i.traffic.values()).map(|t| t.bytes.received).sum();
        assert_eq!(recorded, THREADS * EACH);
        assert_eq!(completed, THREADS * EACH);
        assert_eq!(received, 2 * THREADS * EACH);
        let ledger = intervals.last().map(|i| i.ledger).unwrap_or_default();
        assert_eq!((ledger.sent, ledger.ended_in(Outcome::Ok)), (THREADS * EACH, THREADS * EACH));
    }

    #[test]
    fn a_lost_sample_unbalances_the_ledger() {
        let recorder = recorder();
        drop(recorder.begin());
        assert!(recorder.rotate(Offset(1)).ledger.check().is_err());
    }

    #[test]
    fn a_request_in_flight_does_not() {
        let recorder = recorder();
        let flight = recorder.begin();
        assert_eq!(recorder.rotate(Offset(1)).ledger.check(), Ok(()));
        assert_eq!(recorder.in_flight(), 1);
        flight.finish(&sample(0, 1, Outcome::Ok), Why::default());
        assert_eq!(recorder.in_flight(), 0);
    }

    #[test]
    fn phases_go_by_the_intended_start_and_throughput_by_the_end() {
        let recorder = recorder();
        // Begins in the warm-up and ends in the measured window.
        recorder.begin().finish(&sample(900, 200, Outcome::Ok), Why::default());
        recorder.begin().finish(&sample(1_000, 200, Outcome::Ok), Why::default());
        recorder.window().close(Offset::from(Duration::from_secs(2)));
        // Begins in the measured window and ends after it.
        recorder.begin().finish(&sample(1_900, 200, Outcome::Ok), Why::default());
        recorder.begin().finish(&sample(2_000, 200, Outcome::Ok), Why::default());
        let interval = recorder.rotate(Offset(1));
        assert_eq!(response_times(&interval, Phase::WarmUp, Outcome::Ok), 1);
        assert_eq!(response_times(&interval, Phase::Measured, Outcome::Ok), 2);
        assert_eq!(response_times(&interval, Phase::CoolDown, Outcome::Ok), 1);
        assert_eq!(interval.completed.values().sum::<u64>(), 2);
    }

    #[test]
    fn failures_have_latencies_and_examples_of_their_own() {
        let recorder = recorder();
        for message in ["no room", "no room", "gone", "late", "later"] {
            let why = Why { status: Some(503), message };
            recorder.begin().finish(&sample(1_100, 5, Outcome::HttpStatus), why);
        }
        recorder.begin().finish(&sample(1_200, 7, Outcome::Ok), Why::default());
        let interval = recorder.rotate(Offset(1));
        assert_eq!(response_times(&interval, Phase::Measured, Outcome::Ok), 1);
        assert_eq!(response_times(&interval, Phase::Measured, Outcome::HttpStatus), 5);
        let (key, record) = interval.errors.first_key_value().expect("an error was recorded");
        assert_eq!((key.status, record.count), (Some(503), 5));
        assert_eq!(record.examples, ["no room", "gone", "late"]);
    }
}
