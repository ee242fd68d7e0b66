//! Once a second: takes what was recorded, writes it to the journal, and shows a snapshot. Resources
//! may be looked at more often.
//!
//! A thread of its own, for encoding histograms takes milliseconds that no request should wait.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Clock;
use crate::error::Error;
use crate::measure::distribution::Distribution;
use crate::measure::interval::Interval;
use crate::measure::ledger::Ledger;
use crate::measure::metric::Metric;
use crate::measure::recorder::Recorder;
use crate::measure::resource::{Observed, ResourceSample};
use crate::measure::rows::Effort;
use crate::measure::sample::Offset;
use crate::measure::summary::Latency;
use crate::store::entry::Entry;
use crate::store::journal::Journal;

use super::resources::Observer;

/// Length of an interval.
const SECOND: Duration = Duration::from_secs(1);
/// Seconds over which the live figures are taken.
const LIVE_SECONDS: usize = 5;

/// What a person sees while the run goes on: the last few seconds, and totals.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Time since the run's start.
    pub at: Offset,
    /// Users active.
    pub users: u32,
    /// Requests that ended per second, over the last seconds.
    pub rps: f64,
    /// Rows that ended per second, over the last seconds; `None` where each is one request.
    pub rows_per_second: Option<f64>,
    /// Latency of successes over the last seconds.
    pub latency: Option<Latency>,
    /// Totals since the start.
    pub ledger: Ledger,
    /// CPU of the target in processors, over the last second.
    pub target_cpu: Option<f64>,
    /// Resident memory of the target in bytes.
    pub target_rss: Option<u64>,
    /// CPU of gander in processors, over the last second.
    pub generator_cpu: Option<f64>,
}

/// The monitor of a run.
#[derive(Debug)]
pub struct Monitor {
    stop: Sender<()>,
    thread: JoinHandle<Result<Journal, Error>>,
    looked: Receiver<()>,
    /// What to show.
    pub snapshots: watch::Receiver<Snapshot>,
}

struct Beat {
    recorder: Arc<Recorder>,
    clock: Clock,
    journal: Journal,
    observers: Vec<Observer>,
    /// What others have to say, written with the next beat.
    others: Receiver<Entry>,
    /// From one look at resources to the next, at most a second.
    observe_every: Duration,
    /// Those taken with the last beat.
    last_resources: Vec<ResourceSample>,
    recent: VecDeque<Second>,
    shown: watch::Sender<Snapshot>,
}

/// What the live figures need of a second: an [`Interval`] holds a histogram for each step, metric
/// and outcome.
struct Second {
    start: Offset,
    /// Requests that ended by themselves.
    ended: u64,
    /// Rows that ended by themselves, and what they took.
    rows: u64,
    effort: Effort,
    /// Response times of successes.
    successes: Distribution,
}

impl From<&Interval> for Second {
    fn from(interval: &Interval) -> Self {
        let mut second = Second {
            start: interval.start,
            ended: 0,
            rows: 0,
            effort: Effort::default(),
            successes: Distribution::default(),
        };
        for (_, group) in interval.rows.groups.iter().filter(|((_, end), _)| end.is_by_itself()) {
            second.rows += group.times.count();
            second.effort += group.effort;
        }
        for (key, distribution) in &interval.distributions {
            if key.metric == Metric::ResponseTime && key.outcome.is_final() {
                second.ended += distribution.count();
                if key.outcome.is_success() {
                    second.successes.merge(distribution);
                }
            }
        }
        second
    }
}

/// Says that the monitor is gone, unless it is disarmed: whatever ends its thread, a panic too.
struct Alarm<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Alarm<F> {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl<F: FnOnce()> Drop for Alarm<F> {
    fn drop(&mut self) {
        if let Some(on_failure) = self.0.take() {
            on_failure();
        }
    }
}

impl Monitor {
    /// Starts to take a second's samples each second, and looks at resources each `observe_every`
    /// (at most a second; shorter times give looks within the second, which stays as it is).
    /// `on_failure` is called once where that ends
    /// before [`Monitor::finish`] is called (the journal cannot be written any more, or the
    /// monitor's thread panicked): the run is to end, for nothing records it.
    pub fn start(
        recorder: Arc<Recorder>,
        clock: Clock,
        journal: Journal,
        observers: Vec<Observer>,
        observe_every: Duration,
        others: Receiver<Entry>,
        on_failure: impl FnOnce() + Send + 'static,
    ) -> Monitor {
        let (stop, stopped) = channel();
        let (has_looked, looked) = channel();
        let (shown, snapshots) = watch::channel(Snapshot::default());
        let mut beat = Beat {
            recorder,
            clock,
            journal,
            observers,
            others,
            observe_every,
            last_resources: Vec::new(),
            recent: VecDeque::new(),
            shown,
        };
        let thread = std::thread::spawn(move || {
            let alarm = Alarm(Some(on_failure));
            beat.keep(&stopped, &has_looked)?;
            alarm.disarm();
            Ok(beat.journal)
        });
        Monitor { stop, thread, looked, snapshots }
    }

    /// Waits until resources were looked at for the first time.
    pub fn wait_for_first_look(&self) {
        // A monitor that has failed before ends the run by itself.
        let _ = self.looked.recv();
    }

    /// Takes what was recorded since the last second, and hands the journal back.
    pub fn finish(self) -> Result<Journal, Error> {
        // The thread has ended by itself where the journal failed.
        let _ = self.stop.send(());
        self.thread.join().unwrap_or_else(|_| {
            Err(Error::CannotRun("the monitor failed: its last second is lost".to_owned()))
        })
    }
}

impl Beat {
    fn keep(&mut self, stopped: &Receiver<()>, has_looked: &Sender<()>) -> Result<(), Error> {
        let mut begin = self.clock.now();
        self.last_resources = self.observe()?;
        // Nobody need wait for it.
        let _ = has_looked.send(());
        loop {
            let is_over = self.wait(begin, stopped)?;
            self.beat()?;
            if is_over {
                return Ok(());
            }
            while begin + SECOND <= self.clock.now() {
                begin = begin + SECOND;
            }
        }
    }

    /// Waits for the end of the second that began at `begin`, and takes the looks that are due
    /// within it; says whether the run is over before.
    fn wait(&mut self, begin: Offset, stopped: &Receiver<()>) -> Result<bool, Error> {
        for after in looks_within(self.observe_every).chain([SECOND]) {
            let due = begin + after;
            // Looks that are late because the machine was busy would only make it busier.
            if after < SECOND && due <= self.clock.now() {
                continue;
            }
            let wait = due.since(self.clock.now());
            if !matches!(stopped.recv_timeout(wait), Err(RecvTimeoutError::Timeout)) {
                return Ok(true);
            }
            if after < SECOND {
                self.observe()?;
            }
        }
        Ok(false)
    }

    fn beat(&mut self) -> Result<(), Error> {
        // Before the cut: that the load has ended is not written before all that it did.
        let told: Vec<Entry> = self.others.try_iter().collect();
        let interval = self.recorder.rotate(self.clock.now());
        self.journal.append(&Entry::Interval(Box::new((&interval).into())))?;
        let now = self.observe()?;
        let before = std::mem::replace(&mut self.last_resources, now);
        for entry in &told {
            self.journal.append(entry)?;
        }
        self.journal.sync()?;
        self.recent.push_back(Second::from(&interval));
        if self.recent.len() > LIVE_SECONDS {
            self.recent.pop_front();
        }
        self.show(&interval, &before);
        Ok(())
    }

    fn observe(&mut self) -> Result<Vec<ResourceSample>, Error> {
        let mut looks = Vec::with_capacity(self.observers.len());
        for observer in &mut self.observers {
            let sample = observer.sample(self.clock.now());
            self.journal.append(&Entry::Resource(Box::new(sample)))?;
            looks.push(sample);
        }
        Ok(looks)
    }

    fn show(&self, last: &Interval, before: &[ResourceSample]) {
        let mut latency = Distribution::default();
        self.recent.iter().for_each(|second| latency.merge(&second.successes));
        let ended: u64 = self.recent.iter().map(|second| second.ended).sum();
        let rows: u64 = self.recent.iter().map(|second| second.rows).sum();
        let mut effort = Effort::default();
        self.recent.iter().for_each(|second| effort += second.effort);
        let are_rows = effort.requests > rows || effort.in_responses > 0;
        let start = self.recent.front().map_or(last.start, |first| first.start);
        let span = last.end.since(start).as_secs_f64();
        let snapshot = Snapshot {
            at: last.end,
            users: last.users,
            rps: if span > 0.0 { ended as f64 / span } else { 0.0 },
            rows_per_second: (are_rows && span > 0.0).then(|| rows as f64 / span),
            latency: Latency::of(&latency),
            ledger: last.ledger,
            target_cpu: self.processors(before, Observed::Target),
            target_rss: self.last(Observed::Target).and_then(|sample| sample.rss_bytes),
            generator_cpu: self.processors(before, Observed::Generator),
        };
        self.shown.send_replace(snapshot);
    }

    fn last(&self, who: Observed) -> Option<&ResourceSample> {
        self.last_resources.iter().find(|sample| sample.who == who)
    }

    /// Processors that `who` kept busy since the look `before`.
    fn processors(&self, before: &[ResourceSample], who: Observed) -> Option<f64> {
        let (now, before) = (self.last(who)?, before.iter().find(|sample| sample.who == who)?);
        let seconds = now.at.since(before.at).as_secs_f64();
        (seconds > 0.0).then_some((now.cpu_seconds? - before.cpu_seconds?) / seconds)
    }
}

/// When looks are due within a second of which each end has one: multiples of `every`, but for a
/// last one closer to the end than half of it.
fn looks_within(every: Duration) -> impl Iterator<Item = Duration> {
    (1..).map(move |n: u32| every * n).take_while(move |due| *due + every / 2 <= SECOND)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use proptest::prelude::*;

    use super::*;
    use crate::measure::recorder::{Why, Window};
    use crate::measure::sample::{Bytes, Outcome, Sample, StepId};

    fn sample(outcome: Outcome) -> Sample {
        let at = |ms| Offset::from(Duration::from_millis(ms));
        Sample {
            step: StepId(0),
            scheduled: at(10),
            sent: at(10),
            send_lag: Duration::ZERO,
            connect: None,
            tls: None,
            first_byte: None,
            done: at(20),
            bytes: Bytes::default(),
            outcome,
            stream: None,
            tokens: None,
            good: None,
        }
    }

    #[test]
    fn a_snapshot_counts_what_ended_by_itself_and_times_successes() {
        let recorder = Arc::new(Recorder::new(1, 1, Window::not_yet_open()));
        let failures = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&failures);
        let folder = tempfile::tempdir().expect("a folder");
        let journal = Journal::create(folder.path()).expect("a journal");
        let on_failure = move || {
            counted.fetch_add(1, Ordering::SeqCst);
        };
        let monitor = Monitor::start(
            Arc::clone(&recorder),
            Clock::start(),
            journal,
            vec![Observer::this_process()],
            SECOND,
            channel().1,
            on_failure,
        );
        use Outcome::{Cancelled, HttpStatus, Ok};
        for outcome in [Ok, Ok, Ok, HttpStatus, Cancelled] {
            recorder.begin().finish(&sample(outcome), Why::default());
        }
        let snapshots = monitor.snapshots.clone();
        monitor.finish().expect("a journal");
        let shown = snapshots.borrow();
        assert_eq!(shown.latency.map(|latency| latency.count), Some(3));
        assert_eq!((shown.rps * shown.at.as_secs_f64()).round(), 4.0);
        assert_eq!(shown.ledger.ended_total(), 5);
        assert_eq!(failures.load(Ordering::SeqCst), 0, "it ended as it should");
    }

    proptest! {
        #[test]
        fn looks_lie_within_the_second_and_keep_their_distance(ms in 100u64..=1000) {
            let every = Duration::from_millis(ms);
            let looks: Vec<Duration> = looks_within(every).chain([SECOND]).collect();
            let ends = [Duration::ZERO].iter().chain(&looks);
            for (before, after) in ends.zip(&looks) {
                prop_assert!(*after - *before >= every / 2 && *after - *before <= every * 3 / 2);
            }
            prop_assert!(looks.is_sorted());
        }
    }

    type Boxed = Alarm<Box<dyn FnOnce() + Send>>;

    #[test]
    fn a_thread_that_panics_or_returns_early_sounds_the_alarm_once() {
        let sounded = |ends: fn(Boxed)| {
            let count = Arc::new(AtomicU32::new(0));
            let counted = Arc::clone(&count);
            let on_failure = move || {
                counted.fetch_add(1, Ordering::SeqCst);
            };
            let alarm = Alarm(Some(Box::new(on_failure) as Box<dyn FnOnce() + Send>));
            // A panic is what one of these is about.
            let _ = std::thread::spawn(move || ends(alarm)).join();
            count.load(Ordering::SeqCst)
        };
        assert_eq!(sounded(|_alarm| std::panic::resume_unwind(Box::new("broken"))), 1);
        assert_eq!(sounded(drop), 1);
        assert_eq!(sounded(Alarm::disarm), 0);
    }
}
