//! One run: load on one side, everything that watches it on the other.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use jiff::Zoned;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use url::Url;

use crate::clock::Clock;
use crate::error::Error;
use crate::flow::{Context, Earlier, Halt, Spending};
use crate::http::{HttpTarget, Pool};
use crate::measure::ledger::Ledger;
use crate::measure::recorder::{Recorder, Window};
use crate::measure::resource::Observed;
use crate::measure::sample::Offset;
use crate::measure::summary::MeasuredWindow;
use crate::observe::lag::TimerLag;
use crate::observe::monitor::Monitor;
use crate::observe::resources::Observer;
use crate::observe::scrape::Scraper;
use crate::plan::{Ending, Plan, Stop, Target};
use crate::profile::Profiles;
use crate::store::entry::{End, Entry, Event, ServiceSockets, Settled};
use crate::store::journal::Journal;
use crate::target::control::Control;
use crate::target::{Launched, Watch};
use crate::{engine, sampler};

use super::super::output::Output;
use super::super::progress::{Progress, WindDown};
use super::super::signals;
use super::ready::{Own, Ready};

/// Where a run is recorded.
pub struct Record {
    /// Its journal.
    pub journal: Journal,
    /// Where its records ended, the totals up to there, and what was done, where it goes on.
    pub earlier: Option<(Offset, Ledger, Earlier)>,
}

/// Who watches a run.
struct Watchers {
    monitor: Monitor,
    /// What is to be written besides.
    entries: Sender<Entry>,
    scraper: Option<Scraper>,
    progress: Option<Progress>,
    sampling: Option<sampler::Session>,
}

/// Applies the load; the journal holds the run, and is closed, when this returns. Profiles are
/// returned, where they are asked for.
pub fn drive(
    plan: Plan,
    launched: &Launched,
    ready: Ready,
    record: Record,
    (ends, interrupts): (mpsc::Sender<Ending>, &mut mpsc::Receiver<Ending>),
    output: &Output,
) -> Result<Option<Profiles>, Error> {
    let clock = record.earlier.as_ref().map_or_else(Clock::start, |(at, ..)| Clock::resume(*at));
    let settle = plan.settle;
    let side = Side { plan, launched, target: ready.target, own: ready.own, record };
    let (context, mut run) = side.begin(clock, &ready.runtime, &ends);
    run.watchers.progress = output.shows_progress().then(|| {
        let recorder = Arc::clone(&context.recorder);
        let wind_down = WindDown { halt: context.halt.clone(), clock, recorder };
        Progress::start(run.watchers.monitor.snapshots.clone(), &context.plan.load, wind_down)
    });
    let outcome = ready.runtime.block_on(engine::run(context, interrupts));
    let ended = run.end(&ending(outcome));
    if !settle.is_zero() && !signals::is_interrupted() {
        ready.runtime.block_on(async { tokio::time::sleep(settle).await });
    }
    run.close(ended, ready.runtime)
}

/// Applies the load of both sides at the same moments, by one generator.
pub fn drive_pair(
    sides: [Side<'_>; 2],
    runtime: Runtime,
    (ends, interrupts): (&mpsc::Sender<Ending>, &mut mpsc::Receiver<Ending>),
) -> Result<(), Error> {
    let clock = Clock::start();
    let [(base, of_base), (head, of_head)] = sides.map(|side| side.begin(clock, &runtime, ends));
    let ending = ending(runtime.block_on(engine::run_pair([base, head], interrupts)));
    of_base.end(&ending);
    of_head.end(&ending);
    runtime.shutdown_background();
    let written = of_base.written();
    of_head.written().and(written)
}

/// How a run ended; an error of the engine is one way.
fn ending(outcome: Result<Ending, Error>) -> Ending {
    outcome.unwrap_or_else(|error| Ending::because(Stop::Failed, error.to_string()))
}

/// What a run at one target begins with.
pub struct Side<'a> {
    /// What is done.
    pub plan: Plan,
    /// The target.
    pub launched: &'a Launched,
    /// Where requests go.
    pub target: Arc<HttpTarget>,
    /// Where it shows its own numbers.
    pub own: Own,
    /// Where the run is recorded.
    pub record: Record,
}

/// A run at one target, under way.
struct Underway<'a> {
    launched: &'a Launched,
    watchers: Watchers,
    watch: Watch,
    recorder: Arc<Recorder>,
    clock: Clock,
    began: Offset,
    wall: Zoned,
    settles: bool,
    is_reference: bool,
}

impl<'a> Side<'a> {
    /// Starts everything that watches the run; the load is yet to come.
    fn begin(
        self,
        clock: Clock,
        runtime: &Runtime,
        ends: &mpsc::Sender<Ending>,
    ) -> (Arc<Context>, Underway<'a>) {
        let Side { plan, launched, target, own, record } = self;
        let Record { journal, earlier } = record;
        // One shard for each worker, and one for the thread that drives the runtime.
        let threads = plan.threads + 1;
        let recorder =
            Arc::new(Recorder::new(plan.scenario.steps.len(), threads, Window::not_yet_open()));
        let mut feeder = plan.scenario.data.feeder(plan.seed);
        let halt = Halt::default();
        let spent = earlier.as_ref().map(|(_, _, earlier)| (earlier.requests, earlier.tokens));
        let (requests, tokens) = spent.unwrap_or_default();
        let earlier = earlier.map(|(at, mut total, earlier)| {
            total.lose_unfinished();
            recorder.resume(at, total, earlier.done.clone());
            feeder = feeder.clone().without(earlier.done.clone());
            earlier
        });
        let (began, wall) = (clock.now(), Zoned::now());
        let lag = TimerLag::default();
        runtime.spawn(lag.clone().watch(clock, halt.abort.clone()));
        let watchers = Watchers::start(&plan, launched, own, journal, &recorder, clock, lag, ends);
        let watch = watch_target(&plan, launched, ends.clone());
        let settles = !plan.settle.is_zero();
        if settles {
            // Before the first connection.
            watchers.monitor.wait_for_first_look();
        }
        let is_reference = matches!(plan.target, Target::Reference(_));
        let pool = Arc::new(Pool::new(target, clock));
        let spending = Spending::new(plan.scenario.budget, requests, tokens);
        let run = Underway {
            launched,
            watchers,
            watch,
            recorder: Arc::clone(&recorder),
            clock,
            began,
            wall,
            settles,
            is_reference,
        };
        let context =
            Arc::new(Context { plan, clock, recorder, pool, feeder, spending, halt, earlier });
        (context, run)
    }
}

impl Underway<'_> {
    /// Writes down how the load ended, and says when. Before the target settles: whoever is killed then
    /// has a whole run, without that look.
    fn end(&self, ending: &Ending) -> Offset {
        let at = self.clock.now();
        let Ending { stop, reason } = ending.clone();
        let part = self.recorder.window();
        let window = MeasuredWindow { start: part.start().min(at), end: part.end().min(at) };
        let clock_shift_seconds =
            (&Zoned::now() - &self.wall).total(jiff::Unit::Second).unwrap_or(f64::NAN)
                - self.clock.now().since(self.began).as_secs_f64();
        self.watchers.tell(Entry::End(End { stop, reason, at, window, clock_shift_seconds }));
        at
    }

    /// Closes the journal.
    fn written(self) -> Result<(), Error> {
        drop(self.watch);
        self.watchers.finish().0?.sync()
    }

    /// Closes the journal after a last look at the target, where it has settled.
    fn close(self, load_ended: Offset, runtime: Runtime) -> Result<Option<Profiles>, Error> {
        let settled = self.clock.now();
        drop(self.watch);
        runtime.shutdown_background();
        let (file, sampling) = self.watchers.finish();
        let mut file = file?;
        if self.settles && !signals::is_interrupted() {
            let service = self.is_reference.then(|| sockets(&self.launched.url).ok()).flatten();
            file.append(&Entry::Settled(Settled { load_ended, at: settled, service }))?;
        }
        file.sync()?;
        // Last, for some samplers take their time: the run is whole by now.
        Ok(sampling.map(sampler::Session::finish))
    }
}

impl Watchers {
    #[allow(clippy::too_many_arguments, reason = "each is something else that a run is made of")]
    fn start(
        plan: &Plan,
        launched: &Launched,
        own: Own,
        journal: Journal,
        recorder: &Arc<Recorder>,
        clock: Clock,
        lag: TimerLag,
        ends: &mpsc::Sender<Ending>,
    ) -> Watchers {
        let mut observers = vec![Observer::this_process().with_timer_lag(lag)];
        observers.extend(launched.record.pid.map(|pid| Observer::tree(Observed::Target, pid)));
        let ends = ends.clone();
        let on_failure = move || {
            // Full only where the run is ending already.
            let _ = ends.try_send(Stop::Failed.into());
        };
        let every = plan.observe_every;
        let (entries, told) = std::sync::mpsc::channel();
        let taken = Arc::clone(recorder);
        let monitor = Monitor::start(taken, clock, journal, observers, every, told, on_failure);
        let scraper = scraper(plan, own, clock, entries.clone());
        let sampling = plan.profile.as_ref().map(|options| {
            let recorder = Arc::clone(recorder);
            sampler::Session::start(options, &launched.record, &launched.url, clock, recorder)
        });
        Watchers { monitor, entries, scraper, progress: None, sampling }
    }

    /// Has `entry` written with the next second.
    fn tell(&self, entry: Entry) {
        // The monitor listens, or the run has failed.
        let _ = self.entries.send(entry);
    }

    /// Hands the journal back, and the samplers, which may still be at work.
    fn finish(self) -> (Result<Journal, Error>, Option<sampler::Session>) {
        if let Some(scraper) = self.scraper {
            scraper.finish();
        }
        let file = self.monitor.finish();
        if let Some(progress) = self.progress {
            progress.finish();
        }
        (file, self.sampling)
    }
}

/// Asks for the target's own numbers, where they are wanted; says why not, where they cannot be had.
fn scraper(plan: &Plan, own: Own, clock: Clock, entries: Sender<Entry>) -> Option<Scraper> {
    for why in own.missing {
        let text = format!("the target's own numbers were not measured: {why}");
        // The monitor listens, or the run has failed.
        let _ = entries.send(Entry::Event(Event { at: clock.now(), text }));
    }
    let rules = plan.scrape.as_ref().filter(|_| !own.places.is_empty())?.rules.clone();
    Some(Scraper::start(own.places, rules, clock, entries))
}

/// Ends the run where the target ends before it.
fn watch_target(plan: &Plan, launched: &Launched, ends: mpsc::Sender<Ending>) -> Watch {
    let redactions = plan.scenario.redactions().clone();
    launched.watch(move |said| {
        let said = redactions.redact(&said);
        let reason = format!("the target ended during the run{said}");
        let _ = ends.try_send(Ending::because(Stop::TargetEnded, reason));
    })
}

/// The connections of a reference service, as it counts them itself.
fn sockets(url: &Url) -> Result<ServiceSockets, Error> {
    let ledger = Control::of(url)?.ledger()?;
    Ok(ServiceSockets {
        accepted: ledger.sockets.accepted,
        open: ledger.sockets.open,
        upstream_clients: ledger.upstream.clients,
    })
}
