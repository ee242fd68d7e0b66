//! What every command that applies load does: start the target once, then make one run after
//! another, each with a run folder of its own.

use std::io::{Write, stderr};
use std::sync::Arc;

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
use crate::observe::environment::environment;
use crate::observe::lag::TimerLag;
use crate::observe::monitor::Monitor;
use crate::observe::resources::Observer;
use crate::plan::{Ending, Plan, Stop, Target};
use crate::profile::Profiles;
use crate::report::format;
use crate::schedule::{Arrivals, LoadModel, show_duration};
use crate::store;
use crate::store::entry::{End, Entry, Resumed, SCHEMA_VERSION, ServiceSockets, Settled, Start};
use crate::store::folder::RunFolder;
use crate::store::journal::Journal;
use crate::store::run::Run;
use crate::target::Launched;
use crate::target::control::Control;
use crate::{engine, measure::summary::MeasuredWindow, sampler};

use super::output::Output;
use super::progress::{Progress, WindDown};
use super::signals;

/// A target, and the signals that end a run against it.
pub struct Bench {
    launched: Launched,
    ends: mpsc::Sender<Ending>,
    interrupts: mpsc::Receiver<Ending>,
    /// Open files that this process may have.
    files: Option<u64>,
}

impl Bench {
    /// Takes the signals over and starts the target. To be called once in a process.
    pub fn set_up(target: &Target) -> Result<Bench, Error> {
        let (ends, interrupts) = signals::install()?;
        let files = allow_many_files();
        let launched = Launched::start(target, &signals::is_interrupted);
        signals::check()?;
        Ok(Bench { launched: launched?, ends, interrupts, files })
    }

    /// Stops a target that gander started, and starts `target`: each run of a sweep over its
    /// settings has a fresh one.
    pub fn relaunch(&mut self, target: &Target) -> Result<(), Error> {
        let fresh = Launched::start(target, &signals::is_interrupted);
        signals::check()?;
        std::mem::replace(&mut self.launched, fresh?).stop();
        // That the old one is gone must not end the next run.
        while self.interrupts.try_recv().is_ok() {}
        signals::check()
    }

    /// Makes one run; its run folder is whole, but for the report, when this returns. A run that was
    /// interrupted is no error.
    pub fn measure(&mut self, plan: Plan, output: &Output) -> Result<RunFolder, Error> {
        let name = dated(&plan.scenario.name);
        self.measure_as(&name, plan, output)
    }

    /// The same, with a name for the run folder.
    pub fn measure_as(
        &mut self,
        name: &str,
        plan: Plan,
        output: &Output,
    ) -> Result<RunFolder, Error> {
        let launched = &self.launched;
        let target = Arc::new(HttpTarget::new(&launched.url, plan.http.clone())?);
        if plan.profile.is_some() {
            // Before there are threads that allocate.
            sampler::make_ready();
        }
        let runtime = runtime(plan.threads)?;
        let probed = runtime.block_on(target.probe());
        if let Err(error) = signals::check().and(probed) {
            // Dropped, it would wait for a name that is still being resolved.
            runtime.shutdown_background();
            return Err(error);
        }
        let (folder, journal) = open_folder(name, &plan, launched)?;
        if output.shows_progress() {
            announce(&plan, launched, &folder, self.files);
        }
        let ends = (self.ends.clone(), &mut self.interrupts);
        let record = Record { journal, earlier: None };
        let ended = drive(plan, launched, target, &runtime, record, ends, output);
        runtime.shutdown_background();
        if let Some(profiles) = ended? {
            store::profiles::write(&folder, &profiles)?;
        }
        Ok(folder)
    }

    /// Goes on with the run in `folder`, which was killed or interrupted.
    pub fn go_on(&mut self, plan: Plan, folder: &RunFolder, output: &Output) -> Result<(), Error> {
        let launched = &self.launched;
        let target = Arc::new(HttpTarget::new(&launched.url, plan.http.clone())?);
        let runtime = runtime(plan.threads)?;
        let probed = runtime.block_on(target.probe());
        if let Err(error) = signals::check().and(probed) {
            runtime.shutdown_background();
            return Err(error);
        }
        let (earlier, mut journal, away) = Journal::reopen(folder.path())?;
        let at = earlier.intervals.last().map_or(Offset::default(), |last| last.end);
        let record = plan.record(launched.record.clone());
        journal.append(&Entry::Resumed(Resumed {
            at,
            resumed_at: Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            away_seconds: away.map(|away| away.as_secs_f64()),
            target: record.target,
        }))?;
        if output.shows_progress() {
            announce(&plan, launched, folder, self.files);
        }
        let ends = (self.ends.clone(), &mut self.interrupts);
        let record =
            Record { journal, earlier: Some((at, earlier.ledger(), of_earlier(&earlier))) };
        let ended = drive(plan, launched, target, &runtime, record, ends, output);
        runtime.shutdown_background();
        if let Some(profiles) = ended? {
            store::profiles::write(folder, &profiles)?;
        }
        Ok(())
    }

    /// Base URL of the target.
    pub fn url(&self) -> &Url {
        &self.launched.url
    }

    /// Stops a target that gander started.
    pub fn take_down(self) {
        self.launched.stop();
    }
}

/// Where a run is recorded.
struct Record {
    journal: Journal,
    /// Where its records ended, the totals up to there, and what was done, where it goes on.
    earlier: Option<(Offset, Ledger, Earlier)>,
}

/// What of a run was done before it went on.
fn of_earlier(run: &Run) -> Earlier {
    let iterations_started = run.ledger().iterations_started;
    Earlier { began: run.began(), done: run.done(), iterations_started }
}

fn runtime(threads: usize) -> Result<Runtime, Error> {
    let runtime = match threads {
        // Cheaper than a pool of one: no hand-over between threads.
        1 => tokio::runtime::Builder::new_current_thread().enable_all().build(),
        _ => {
            tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()
        }
    };
    runtime.map_err(|e| Error::CannotRun(format!("cannot start the generator's threads: {e}")))
}

/// Raises the limit on open files as far as this process may; says what it is then.
fn allow_many_files() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Where it is refused, the old limit stays, and running out of it is reported as such.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Nofile).current
}

/// A folder's name: the time, and what it holds.
pub fn dated(what: &str) -> String {
    format!("{}-{what}", Zoned::now().strftime("%Y-%m-%dT%H-%M-%S"))
}

fn open_folder(
    name: &str,
    plan: &Plan,
    launched: &Launched,
) -> Result<(RunFolder, Journal), Error> {
    let now = Zoned::now();
    let folder = RunFolder::create(&plan.reports, name)?;
    let mut journal = Journal::create(folder.path())?;
    journal.append(&Entry::Start(Box::new(Start {
        schema_version: SCHEMA_VERSION,
        started_at: now.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        plan: plan.record(launched.record.clone()),
        environment: environment(),
    })))?;
    journal.sync()?;
    Ok((folder, journal))
}

fn announce(plan: &Plan, launched: &Launched, folder: &RunFolder, files: Option<u64>) {
    let load = &plan.load;
    let until = match load.iterations() {
        Some(iterations) => format::counted(iterations, "iteration", "iterations"),
        None => show_duration(load.duration()),
    };
    let size = match load {
        LoadModel::Closed(load) => format::counted(u64::from(load.peak_users()), "user", "users"),
        LoadModel::Open(load) => {
            let rates = match &load.arrivals {
                Arrivals::Rates { stages, spread } => {
                    let rates: Vec<_> = stages.iter().map(|stage| stage.rate.to_string()).collect();
                    format!("{} ({})", rates.join(", then "), spread.name())
                }
                Arrivals::Recorded(recorded) => format!("arrivals of {}", recorded.file),
            };
            format!("open load, {rates}, at most {} in flight,", load.max_in_flight)
        }
    };
    let mut text = format!(
        "{}: {size} for {until} against {} ({}); recording to {}\n",
        plan.scenario.name,
        launched.url,
        launched.record.origin,
        folder.path().display(),
    );
    if plan.http.insecure && launched.url.scheme() == "https" {
        text += "warning: certificates are NOT verified (--insecure): whoever answers is taken for \
                 the target\n";
    }
    let connections = load.most_in_flight().min(plan.http.shared.unwrap_or(u32::MAX));
    let needed = u64::from(connections) + 64;
    if let Some(files) = files.filter(|files| *files < needed) {
        text += &format!(
            "warning: {needed} open files are needed and {files} are allowed: raise the limit with \
             `ulimit -n {needed}`\n"
        );
    }
    // Standard error that is closed must not end the run.
    let _ = stderr().write_all(text.as_bytes());
}

/// Applies the load; the journal holds the run, and is closed, when this returns. Profiles are
/// returned, where they are asked for.
fn drive(
    plan: Plan,
    launched: &Launched,
    target: Arc<HttpTarget>,
    runtime: &Runtime,
    Record { journal, earlier }: Record,
    (ends, interrupts): (mpsc::Sender<Ending>, &mut mpsc::Receiver<Ending>),
    output: &Output,
) -> Result<Option<Profiles>, Error> {
    let load = plan.load.clone();
    // One shard for each worker, and one for the thread that drives the runtime.
    let threads = plan.threads + 1;
    let recorder =
        Arc::new(Recorder::new(plan.scenario.steps.len(), threads, Window::not_yet_open()));
    let mut feeder = plan.scenario.data.feeder(plan.seed);
    let halt = Halt::default();
    let mut clock = Clock::start();
    let earlier = earlier.map(|(at, mut total, earlier)| {
        total.lose_unfinished();
        recorder.resume(at, total, earlier.done.clone());
        feeder = feeder.clone().without(earlier.done.clone());
        clock = Clock::resume(at);
        earlier
    });
    let began = clock.now();
    let pool = Arc::new(Pool::new(target, clock));
    let wall = Zoned::now();

    let lag = TimerLag::default();
    runtime.spawn(lag.clone().watch(clock, halt.abort.clone()));
    let mut observers = vec![Observer::this_process().with_timer_lag(lag)];
    observers.extend(launched.record.pid.map(|pid| Observer::tree(Observed::Target, pid)));
    let on_failure = ends.clone();
    let on_failure = move || {
        // Full only where the run is ending already.
        let _ = on_failure.try_send(Stop::Failed.into());
    };
    let every = plan.observe_every;
    let monitor =
        Monitor::start(Arc::clone(&recorder), clock, journal, observers, every, on_failure);
    let redactions = plan.scenario.redactions().clone();
    let watch = launched.watch(move |said| {
        let said = redactions.redact(&said);
        let reason = format!("the target ended during the run{said}");
        let _ = ends.try_send(Ending::because(Stop::TargetEnded, reason));
    });
    let progress = output.shows_progress().then(|| {
        let (halt, recorder) = (halt.clone(), Arc::clone(&recorder));
        let wind_down = WindDown { halt, clock, recorder };
        Progress::start(monitor.snapshots.clone(), &load, wind_down)
    });

    let sampling = plan.profile.as_ref().map(|options| {
        let recorder = Arc::clone(&recorder);
        sampler::Session::start(options, &launched.record, &launched.url, clock, recorder)
    });

    let settle = plan.settle;
    if !settle.is_zero() {
        look_before(runtime, &monitor);
    }
    let recorded = Arc::clone(&recorder);
    let is_reference = matches!(plan.target, Target::Reference(_));
    let spending = Spending::new(plan.scenario.budget);
    let context =
        Arc::new(Context { plan, clock, recorder, pool, feeder, spending, halt, earlier });
    let outcome = runtime.block_on(engine::run(context, interrupts));
    let at = clock.now();
    if !settle.is_zero() && !signals::is_interrupted() {
        runtime.block_on(async { tokio::time::sleep(settle).await });
    }
    let settled = clock.now();
    drop(watch);
    let file = monitor.finish();
    if let Some(progress) = progress {
        progress.finish();
    }
    let mut file = file?;
    if !settle.is_zero() && !signals::is_interrupted() {
        let service = is_reference.then(|| sockets(&launched.url).ok()).flatten();
        file.append(&Entry::Settled(Settled { load_ended: at, at: settled, service }))?;
    }
    let Ending { stop, reason } =
        outcome.unwrap_or_else(|error| Ending::because(Stop::Failed, error.to_string()));
    let part = recorded.window();
    let window = MeasuredWindow { start: part.start().min(at), end: part.end().min(at) };
    let clock_shift_seconds = (&Zoned::now() - &wall).total(jiff::Unit::Second).unwrap_or(f64::NAN)
        - clock.now().since(began).as_secs_f64();
    file.append(&Entry::End(End { stop, reason, at, window, clock_shift_seconds }))?;
    file.sync()?;
    Ok(sampling.map(sampler::Session::finish))
}

/// Waits until the target was looked at for the first time, before its first connection.
fn look_before(runtime: &Runtime, monitor: &Monitor) {
    let mut shown = monitor.snapshots.clone();
    // A monitor that has failed ends the run by itself.
    let _ = runtime.block_on(shown.changed());
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
