//! One run: load on one side, everything that watches it on the other.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use jiff::Zoned;
use tokio::sync::mpsc;
use url::Url;

use crate::clock::Clock;
use crate::error::Error;
use crate::flow::{Context, Earlier, Halt, Spending};
use crate::http::Pool;
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
    Ready { target, own, runtime }: Ready,
    Record { journal, earlier }: Record,
    (ends, interrupts): (mpsc::Sender<Ending>, &mut mpsc::Receiver<Ending>),
    output: &Output,
) -> Result<Option<Profiles>, Error> {
    // One shard for each worker, and one for the thread that drives the runtime.
    let threads = plan.threads + 1;
    let recorder =
        Arc::new(Recorder::new(plan.scenario.steps.len(), threads, Window::not_yet_open()));
    let mut feeder = plan.scenario.data.feeder(plan.seed);
    let halt = Halt::default();
    let mut clock = Clock::start();
    let spent = earlier.as_ref().map(|(_, _, earlier)| (earlier.requests, earlier.tokens));
    let (requests, tokens) = spent.unwrap_or_default();
    let earlier = earlier.map(|(at, mut total, earlier)| {
        total.lose_unfinished();
        recorder.resume(at, total, earlier.done.clone());
        feeder = feeder.clone().without(earlier.done.clone());
        clock = Clock::resume(at);
        earlier
    });
    let (began, wall) = (clock.now(), Zoned::now());
    let lag = TimerLag::default();
    runtime.spawn(lag.clone().watch(clock, halt.abort.clone()));

    let mut watchers = Watchers::start(&plan, launched, own, journal, &recorder, clock, lag, &ends);
    watchers.progress = output.shows_progress().then(|| {
        let wind_down = WindDown { halt: halt.clone(), clock, recorder: Arc::clone(&recorder) };
        Progress::start(watchers.monitor.snapshots.clone(), &plan.load, wind_down)
    });
    let watch = watch_target(&plan, launched, ends);
    let settle = plan.settle;
    if !settle.is_zero() {
        // Before the first connection.
        watchers.monitor.wait_for_first_look();
    }
    let is_reference = matches!(plan.target, Target::Reference(_));
    let pool = Arc::new(Pool::new(target, clock));
    let spending = Spending::new(plan.scenario.budget, requests, tokens);
    let recorded = Arc::clone(&recorder);
    let context =
        Arc::new(Context { plan, clock, recorder, pool, feeder, spending, halt, earlier });
    let outcome = runtime.block_on(engine::run(context, interrupts));
    let at = clock.now();
    let Ending { stop, reason } =
        outcome.unwrap_or_else(|error| Ending::because(Stop::Failed, error.to_string()));
    let part = recorded.window();
    let window = MeasuredWindow { start: part.start().min(at), end: part.end().min(at) };
    let clock_shift_seconds = (&Zoned::now() - &wall).total(jiff::Unit::Second).unwrap_or(f64::NAN)
        - clock.now().since(began).as_secs_f64();
    // Before the target settles: whoever is killed then has a whole run, without that look.
    watchers.tell(Entry::End(End { stop, reason, at, window, clock_shift_seconds }));
    if !settle.is_zero() && !signals::is_interrupted() {
        runtime.block_on(async { tokio::time::sleep(settle).await });
    }
    let settled = clock.now();
    drop(watch);
    runtime.shutdown_background();

    let (file, sampling) = watchers.finish();
    let mut file = file?;
    if !settle.is_zero() && !signals::is_interrupted() {
        let service = is_reference.then(|| sockets(&launched.url).ok()).flatten();
        file.append(&Entry::Settled(Settled { load_ended: at, at: settled, service }))?;
    }
    file.sync()?;
    // Last, for some samplers take their time: the run is whole by now.
    Ok(sampling.map(sampler::Session::finish))
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
