//! What every command that applies load does: start the target once, then make one run after
//! another, each with a run folder of its own.

mod drive;
pub mod pair;
mod ready;

use std::io::{Write, stderr};

use jiff::Zoned;
use tokio::sync::mpsc;
use url::Url;

use crate::error::Error;
use crate::flow::Earlier;
use crate::measure::sample::Offset;
use crate::observe::environment::environment;
use crate::plan::{Ending, Plan, Target};
use crate::report::format;
use crate::schedule::{Arrivals, LoadModel, show_duration};
use crate::store;
use crate::store::entry::{Entry, Resumed, SCHEMA_VERSION, Start};
use crate::store::folder::RunFolder;
use crate::store::journal::Journal;
use crate::store::run::Run;
use crate::target::Launched;

use super::output::Output;
use super::signals;
use drive::{Record, drive};
use ready::Ready;

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
        let ready = Ready::of(&plan, &self.launched)?;
        let (folder, journal) = open_folder(name, &plan, &self.launched)?;
        self.drive(plan, ready, Record { journal, earlier: None }, &folder, output)?;
        Ok(folder)
    }

    /// Goes on with the run in `folder`, which was killed or interrupted.
    pub fn go_on(&mut self, plan: Plan, folder: &RunFolder, output: &Output) -> Result<(), Error> {
        let ready = Ready::of(&plan, &self.launched)?;
        let (earlier, mut journal, away) = Journal::reopen(folder.path())?;
        let at = earlier.intervals.last().map_or(Offset::default(), |last| last.end);
        let record = plan.record(self.launched.record.clone());
        journal.append(&Entry::Resumed(Resumed {
            at,
            resumed_at: Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            away_seconds: away.map(|away| away.as_secs_f64()),
            killed: Some(earlier.end.is_none()),
            target: record.target,
        }))?;
        let record =
            Record { journal, earlier: Some((at, earlier.ledger(), of_earlier(&earlier))) };
        self.drive(plan, ready, record, folder, output)
    }

    fn drive(
        &mut self,
        plan: Plan,
        ready: Ready,
        record: Record,
        folder: &RunFolder,
        output: &Output,
    ) -> Result<(), Error> {
        if output.shows_progress() {
            announce(&plan, &self.launched, folder, self.files);
        }
        let ends = (self.ends.clone(), &mut self.interrupts);
        match drive(plan, &self.launched, ready, record, ends, output)? {
            Some(profiles) => store::profiles::write(folder, &profiles),
            None => Ok(()),
        }
    }

    /// Base URL of the target.
    pub fn url(&self) -> &Url {
        &self.launched.url
    }

    /// That of the service which a reference service calls, where gander started it.
    pub fn behind(&self) -> Option<&Url> {
        self.launched.behind.as_ref()
    }

    /// Stops a target that gander started.
    pub fn take_down(self) {
        self.launched.stop();
    }
}

/// What of a run was done before it went on.
fn of_earlier(run: &Run) -> Earlier {
    let ledger = run.ledger();
    Earlier {
        began: run.began(),
        done: run.done(),
        iterations_started: ledger.iterations_started,
        requests: ledger.sent,
        tokens: run.tokens(),
    }
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
        working_directory: std::env::current_dir().ok().map(|it| it.display().to_string()),
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
