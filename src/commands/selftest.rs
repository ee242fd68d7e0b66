//! `gander selftest`: how far gander's own figures are off on this machine. A reference service is
//! driven with several loads, and what gander measured is held against the service's own ledger.

use std::io::{Write, stderr};
use std::path::PathBuf;
use std::time::Duration;

use jiff::Zoned;

use crate::analysis::accuracy::{Accuracy, Cost, Trial};
use crate::analysis::resources::Resources;
use crate::error::{Error, Exit};
use crate::http::HttpOptions;
use crate::measure::resource::Observed;
use crate::observe::environment::environment;
use crate::plan::{OBSERVE_EVERY, Plan, Purpose, Stop, Target};
use crate::report;
use crate::report::model::Section;
use crate::scenario::Scenario;
use crate::schedule::{
    Arrivals, ClosedLoad, LoadModel, OpenLoad, Rate, RateStage, Spread, Stage, show_duration,
};
use crate::store::folder::RunFolder;
use crate::store::selftest::{
    self as stored, Applied, RunRecord, SCHEMA_VERSION, SelftestRecord, Work,
};
use crate::target::control::Control;

use super::bench::{Bench, dated};
use super::output::Output;
use super::report::{read, save};
use super::{pages, signals};

const ANSWERS: &str = include_str!("selftest/answers.toml");
const STREAMS: &str = include_str!("selftest/streams.toml");

/// Users start within this time, evenly: all at once, their connections would wait to be accepted,
/// which no ledger sees.
const RAMP: Duration = Duration::from_secs(1);
/// How long requests in flight may take to end.
const DRAIN: Duration = Duration::from_secs(10);
/// Iterations at the same time, at most: far more than the service keeps at any of the rates, while
/// it keeps up.
const MOST_IN_FLIGHT: u32 = 1_000;
/// What a run takes besides its load: starting, ending, its report.
const BESIDES: Duration = Duration::from_secs(1);
/// The draws of a self-test need not differ from one to the next.
const SEED: u64 = 42;

/// What is to be tested.
#[derive(Debug)]
pub struct Selftest {
    /// Numbers of users, rising.
    pub users: Vec<u32>,
    /// Arrivals a second, rising.
    pub rates: Vec<Rate>,
    /// Length of each run: whole seconds, more than the time in which users start.
    pub each: Duration,
    /// Worker threads of the generator.
    pub threads: usize,
    /// Where the folder goes.
    pub reports: PathBuf,
    /// The command line as given.
    pub command_line: Vec<String>,
}

impl Selftest {
    /// The runs, the smallest loads first.
    fn runs(&self) -> Vec<(Work, Applied)> {
        let users = self.users.iter().flat_map(|users| {
            [Work::Answers, Work::Streams].map(|work| (work, Applied::Users(*users)))
        });
        let rates = self.rates.iter().map(|rate| (Work::Answers, Applied::Rate(rate.per_second)));
        users.chain(rates).collect()
    }

    fn load(&self, load: Applied) -> LoadModel {
        let nothing = Duration::ZERO;
        match load {
            Applied::Users(users) => {
                let ramp = if users > 1 { RAMP } else { nothing };
                LoadModel::Closed(ClosedLoad {
                    stages: vec![Stage { users, ramp, hold: self.each.saturating_sub(ramp) }],
                    warm_up: nothing,
                    cool_down: nothing,
                    iterations: None,
                    drain: DRAIN,
                })
            }
            Applied::Rate(per_second) => {
                let rate = Rate { per_second };
                let stages = vec![RateStage { rate, ramp: nothing, hold: self.each }];
                LoadModel::Open(OpenLoad {
                    arrivals: Arrivals::Rates { stages, spread: Spread::Constant },
                    duration: self.each,
                    warm_up: nothing,
                    cool_down: nothing,
                    iterations: None,
                    max_in_flight: MOST_IN_FLIGHT,
                    drain: DRAIN,
                })
            }
        }
    }
}

/// Carries the self-test out, and shows its report.
pub fn selftest(test: Selftest, output: Output) -> Result<Exit, Error> {
    let answers = Scenario::of_text("selftest-answers", ANSWERS)?;
    let streams = Scenario::of_text("selftest-streams", STREAMS)?;
    let service = streams
        .service
        .clone()
        .ok_or_else(|| Error::CannotRun("the self-test's scenario names no service".to_owned()))?;
    let target = Target::Reference(service);
    let runs = test.runs();
    announce(&test, runs.len(), &output);
    let mut bench = Bench::set_up(&target)?;
    let control = Control::of(bench.url())?;
    let folder = RunFolder::create(&test.reports, &dated("selftest"))?;
    let mut record = SelftestRecord {
        schema_version: SCHEMA_VERSION,
        started_at: Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        command_line: test.command_line.clone(),
        environment: environment(),
        threads: test.threads,
        each: test.each,
        planned: runs.len(),
        runs: Vec::new(),
    };
    for (number, (work, load)) in (1..).zip(runs) {
        if signals::is_interrupted() {
            break;
        }
        say(&output, &format!("run {number} of {}: {load}, {}", record.planned, work.name()));
        let scenario = match work {
            Work::Answers => answers.clone(),
            Work::Streams => streams.clone(),
        };
        let plan = Plan {
            scenario,
            load: test.load(load),
            target: target.clone(),
            seed: SEED,
            threads: test.threads,
            http: HttpOptions::default(),
            reports: folder.path().join("points"),
            command_line: test.command_line.clone(),
            purpose: Purpose::Load,
            profile: None,
            scrape: None,
            observe_every: OBSERVE_EVERY,
            settle: Duration::ZERO,
        };
        control.reset()?;
        let name = format!("{number:02}-{}-{}", load_in_name(load), work.name());
        let run = bench.measure_as(&name, plan, &output)?;
        stored::write_ledger(&run, &control.ledger()?)?;
        let saved = save(&run, output.dialect)?;
        // What was cut short says nothing about a whole run.
        if !saved.run.end.as_ref().is_some_and(|end| end.stop == Stop::Duration) {
            break;
        }
        record.runs.push(RunRecord { work, load, folder: format!("points/{name}") });
        stored::write(&folder, &record, serde_json::Value::Null)?;
    }
    bench.take_down();
    finish_record(&folder, &record, &output)
}

fn load_in_name(load: Applied) -> String {
    match load {
        Applied::Users(users) => format!("users-{users}"),
        Applied::Rate(rate) => format!("rate-{rate}"),
    }
}

fn announce(test: &Selftest, runs: usize, output: &Output) {
    let total = (test.each + BESIDES) * u32::try_from(runs).unwrap_or(u32::MAX);
    say(
        output,
        &format!(
            "{runs} runs of {} against gander's own llm service: about {} s",
            show_duration(test.each),
            total.as_secs()
        ),
    );
}

fn say(output: &Output, line: &str) {
    if output.shows_progress() {
        // Standard error that is closed must not end the self-test.
        let _ = writeln!(stderr(), "{line}");
    }
}

/// `gander report FOLDER` of a self-test: makes its report again from its runs.
pub fn finish(folder: &RunFolder, output: &Output) -> Result<Exit, Error> {
    finish_record(folder, &stored::read(folder.path())?, output)
}

/// Holds the runs against the service's ledgers, and writes and shows the report.
fn finish_record(
    folder: &RunFolder,
    record: &SelftestRecord,
    output: &Output,
) -> Result<Exit, Error> {
    let mut dialects = Vec::new();
    let mut trials = Vec::new();
    for of in &record.runs {
        let place = folder.path().join(&of.folder);
        let (run, assessment) = read(&RunFolder::open(&place))?;
        let ledger = stored::read_ledger(&place)?;
        let rps = assessment.summary.total.rps;
        let used = Resources::of(&run, Observed::Generator, run.window(), rps);
        let cost = cost(&used, rps, record.threads);
        let trial = Trial::of(&run, &assessment.validity, &ledger, (of.work, of.load), cost);
        trials.push(
            trial.map_err(|damaged| Error::BadInput(format!("{}: {damaged}", place.display())))?,
        );
        if let Some(dialect) = output.dialect.filter(|_| of.work == Work::Streams) {
            let section = dialect.section(&run.start.plan, &assessment.summary);
            dialects.push(Section { title: format!("{}: {}", section.title, of.load), ..section });
        }
    }
    let is_whole = trials.len() == record.planned;
    let accuracy = Accuracy { trials, is_whole };
    let summary = report::selftest::json::summary(&accuracy);
    stored::write(folder, record, summary.clone())?;
    let mut report = report::selftest::build(record, &accuracy);
    report.sections.extend(dialects);
    let report = pages::save(folder, "report", report)?;
    output.show(&report, summary, folder)?;
    Ok(match (signals::exit(), accuracy.passes()) {
        (Some(interrupted), _) => interrupted,
        (None, true) => Exit::Passed,
        // Nothing was found to be wrong, but not all was looked at.
        (None, false) if !is_whole && accuracy.is_exact() => Exit::Invalid,
        (None, false) => Exit::Failed,
    })
}

fn cost(used: &Resources, rps: Option<f64>, threads: usize) -> Cost {
    Cost {
        rps,
        cpu_ms: used.cpu_ms_per_request,
        busy: used.cpu_mean_percent.map(|percent| percent / 100.0 / threads as f64),
    }
}
