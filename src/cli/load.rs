//! `gander load`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::commands::output::Output;
use crate::error::{Error, Exit};
use crate::http::{HttpOptions, HttpVersion};
use crate::plan::{Plan, Purpose};
use crate::scenario::model::Scenario;
use crate::schedule::{Arrivals, ClosedLoad, LoadModel, OpenLoad, Stage, Stages, show_duration};

use super::OutputArgs;
use super::budget::BudgetOptions;
use super::open::{Given, OpenOptions, Rows, rows};
use super::parse::{Connections, connections, duration};
use super::profile::ProfilingOptions;
use super::scenarios::ScenarioOptions;
use super::target::TargetOptions;

/// Where the command line and the scenario name no load.
pub(super) const DEFAULT_USERS: u32 = 10;
const DEFAULT_DURATION: Duration = Duration::from_secs(30);
pub(super) const DEFAULT_DRAIN: Duration = Duration::from_secs(30);
/// With `--iterations` alone, the time after which a run ends in any case.
const ITERATIONS_WITHIN: Duration = Duration::from_secs(24 * 3600);

/// Drive load at a service, watch it, and report.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gander load --users 10                                    the reference inference service
  gander load inference-single --service engine=blocking    the same, before the fix
  gander load inference-single --rate 50 --duration 1m      open load: 50 a second, whether answered or not
  gander load inference-mix --target http://127.0.0.1:8000  a service that runs already
  gander load chat@3 chat-stream@1                          three users of one for each one of the other
  gander load my.toml --spawn 'uvicorn app:app --port {port}' --ready /health")]
pub struct LoadArgs {
    #[command(flatten)]
    scenarios: ScenarioOptions,
    #[command(flatten)]
    load: LoadOptions,
    #[command(flatten)]
    target: TargetOptions,
    #[command(flatten)]
    budget: BudgetOptions,
    #[command(flatten)]
    client: ClientOptions,
    #[command(flatten)]
    profiling: ProfilingOptions,
    #[command(flatten)]
    output: OutputArgs,
}

/// How much load, and for how long.
#[derive(Debug, Args)]
#[command(next_help_heading = "Load")]
struct LoadOptions {
    /// Closed load: users, each of which waits for its response before it goes on [default: the scenario's, or 10]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "stages")]
    users: Option<u32>,
    #[command(flatten)]
    open: OpenOptions,
    /// Closed load: users started per second [default: all at once]
    #[arg(long, value_name = "RATE", conflicts_with = "stages")]
    start_rate: Option<f64>,
    /// Numbers of users over time, as `10u:30s,50u:1m/20s`: 10 for 30 s, then 50 for 1 m after 20 s of
    /// ramp (closed load); or rates, as `50/s:30s,200/s:1m/20s` (open load)
    #[arg(long, value_name = "STAGES", conflicts_with = "duration")]
    stages: Option<String>,
    /// Measured time [default: the scenario's, or 30s]
    #[arg(short, long, value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,
    /// End after this many iterations over all users, or arrivals
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    iterations: Option<u64>,
    /// End after this many rows of the scenario's data, or `all` of them; beyond the last one they
    /// begin again
    #[arg(long, value_name = "N|all", value_parser = rows, conflicts_with = "iterations")]
    rows: Option<Rows>,
    /// Load before the measured time, recorded apart; with --stages, their beginning
    #[arg(long, value_name = "TIME", value_parser = duration)]
    warm_up: Option<Duration>,
    /// Load after the measured time, recorded apart; with --stages, their end
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "0s")]
    cool_down: Duration,
    /// How long requests in flight may take to end after the run's end
    /// [default: 30s, or the longest timeout of a step]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    drain: Option<Duration>,
    /// Source of all random draws: the same seed draws the same work
    #[arg(long, value_name = "N", default_value_t = 42)]
    seed: u64,
}

/// Limits and permissions of the client.
#[derive(Debug, Args)]
#[command(next_help_heading = "Client")]
pub(super) struct ClientOptions {
    /// Host that may be loaded although it is not a loopback address; may be repeated
    #[arg(long, value_name = "HOST")]
    allow_host: Vec<String>,
    /// PEM file of a certificate authority to trust as well
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Accept any certificate, of anyone: what is measured may be an impostor
    #[arg(long, conflicts_with = "ca_file")]
    insecure: bool,
    /// Speak HTTP/2: over https:// as agreed in the TLS handshake, over http:// at once
    #[arg(long)]
    http2: bool,
    /// Whose connections: `user`, each user's own; `shared:N`, N for all users. Over HTTP/1.1 one
    /// request at a time uses a connection, and others wait for it; over HTTP/2 many do
    #[arg(long, value_name = "user|shared:N", value_parser = connections, default_value = "user")]
    connections: Connections,
    /// Largest response body that is read, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = HttpOptions::default().max_body)]
    max_body: u64,
    /// Worker threads of the generator
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// Folder for run folders
    #[arg(long, value_name = "DIR", default_value = "reports")]
    reports: PathBuf,
}

impl LoadArgs {
    /// How results are shown.
    pub(super) fn output(&self) -> Output {
        self.output.output()
    }

    /// The process of a running target that was named.
    pub(super) fn pid(&self) -> Option<u32> {
        self.target.pid()
    }

    /// How the target is profiled.
    pub(super) fn profiling(&self) -> &ProfilingOptions {
        &self.profiling
    }

    /// Carries the command out.
    pub fn run(self, command_line: Vec<String>) -> Result<Exit, Error> {
        let output = self.output();
        crate::commands::load::load(self.plan(command_line)?, output)
    }

    /// Whether the arguments or the scenario say when the run ends.
    pub(super) fn say_how_long(&self) -> Result<bool, Error> {
        Ok(self.load.say_how_long(&self.scenario()?))
    }

    /// Whether the arguments alone say when the run ends.
    pub(super) fn give_an_end(&self) -> bool {
        let load = &self.load;
        let is_timed = load.duration.is_some() || load.stages.is_some();
        is_timed || load.rows.is_some() || load.iterations.is_some() || load.open.ends_by_itself()
    }

    fn scenario(&self) -> Result<Scenario, Error> {
        let has_target = self.target.is_given();
        self.scenarios.load(&self.budget, has_target)
    }

    /// What the arguments ask for.
    pub(super) fn plan(self, command_line: Vec<String>) -> Result<Plan, Error> {
        if self.scenarios.are_several() && self.load.rows.is_some() {
            return Err(Error::BadInput(
                "--rows: the iterations of several scenarios are no rows of one kind; give \
                 --iterations or --duration, or run the scenario whose rows are meant alone"
                    .to_owned(),
            ));
        }
        let mut scenario = self.scenario()?;
        scenario.budget = self.budget.over(&scenario)?;
        // Finds what shows only when a template is filled in, such as a variable that is not set.
        scenario.preview(self.load.seed)?;
        let load = self.load.load(&scenario)?;
        if let Some(rows) = self.load.row_limit(&scenario) {
            scenario = scenario.with_row_limit(rows);
        }
        let scrape = self.target.scrape(&scenario)?;
        let target = self.target.target(&scenario)?;
        let observe_every = self.target.observe_every();
        Ok(Plan {
            load,
            target,
            seed: self.load.seed,
            threads: self.client.threads(),
            http: self.client.http(),
            reports: self.client.reports(),
            command_line,
            purpose: Purpose::Load,
            profile: self.profiling.asked(),
            scrape,
            observe_every,
            settle: Duration::ZERO,
            scenario,
        })
    }
}

impl ClientOptions {
    /// Worker threads of the generator.
    pub(super) fn threads(&self) -> usize {
        usize::from(self.threads)
    }

    /// Folder for run folders.
    pub(super) fn reports(&self) -> PathBuf {
        self.reports.clone()
    }

    /// Limits and permissions of the HTTP client.
    pub(super) fn http(&self) -> HttpOptions {
        HttpOptions {
            max_body: self.max_body,
            ca_file: self.ca_file.clone(),
            allow_hosts: self.allow_host.clone(),
            version: if self.http2 { HttpVersion::Http2 } else { HttpVersion::Http1 },
            shared: match self.connections {
                Connections::User => None,
                Connections::Shared(count) => Some(count.get()),
            },
            insecure: self.insecure,
        }
    }
}

impl LoadOptions {
    fn load(&self, scenario: &Scenario) -> Result<LoadModel, Error> {
        let stages = self.stages.as_deref().map(Stages::parse).transpose();
        let stages = stages.map_err(|e| Error::BadInput(format!("--stages: {e}")))?;
        let is_closed = self.users.is_some()
            || self.start_rate.is_some()
            || matches!(stages, Some(Stages::Users(_)));
        let is_open = self.open.is_chosen() || matches!(stages, Some(Stages::Rates(_)));
        let load = match is_open || (!is_closed && scenario.load.is_open()) {
            true => LoadModel::Open(self.open(scenario, stages)?),
            false => {
                self.open.refuse_in_closed_load()?;
                LoadModel::Closed(self.closed(scenario, stages)?)
            }
        };
        let apart = load.warm_up() + load.cool_down();
        if apart >= load.duration() {
            return Err(Error::BadInput(format!(
                "nothing is left to measure: the stages take {} s, and warm-up and cool-down {} s of \
                 them; shorten these or lengthen the stages",
                load.duration().as_secs_f64(),
                apart.as_secs_f64()
            )));
        }
        Ok(load)
    }

    /// Whether the options or the scenario say when the run ends.
    fn say_how_long(&self, scenario: &Scenario) -> bool {
        let of_scenario = &scenario.load;
        let has_stages = of_scenario.stages.is_some() || of_scenario.rate_stages.is_some();
        let keeps_stages = self.users.is_none() && !self.open.is_chosen();
        self.duration.is_some()
            || self.iterations.is_some()
            || self.rows.is_some()
            || self.open.ends_by_itself()
            || of_scenario.duration.is_some()
            || (has_stages && keeps_stages)
    }

    fn warm_up(&self, scenario: &Scenario) -> Duration {
        self.warm_up.or(scenario.load.warm_up).unwrap_or_default()
    }

    fn drain(&self, scenario: &Scenario) -> Duration {
        let longest = scenario.steps.iter().map(|step| step.timeout).max();
        self.drain.unwrap_or_else(|| longest.map_or(DEFAULT_DRAIN, |t| t.max(DEFAULT_DRAIN)))
    }

    /// `--iterations`, or as many as there are rows to be done.
    fn iterations(&self, scenario: &Scenario) -> Result<Option<u64>, Error> {
        if self.rows.is_none() {
            return Ok(self.iterations);
        }
        let at_once = scenario.rows_at_once().ok_or_else(|| {
            Error::BadInput(format!(
                "--rows: scenario {} does not say which data its rows are: name them with \
                 `rows = \"…\"` in the scenario, or use --iterations",
                scenario.name
            ))
        })?;
        Ok(self.row_limit(scenario).map(|rows| rows.div_ceil(at_once)))
    }

    /// Rows to be done, where it is said.
    fn row_limit(&self, scenario: &Scenario) -> Option<u64> {
        match self.rows? {
            Rows::All => scenario.row_count(),
            Rows::Number(rows) => Some(rows),
        }
    }

    /// The measured time; with a number of iterations alone, as long as a run may last in any case.
    fn measured(&self, scenario: &Scenario) -> Result<Duration, Error> {
        let is_counted = self.iterations.is_some() || self.rows.is_some();
        let default = if is_counted { ITERATIONS_WITHIN } else { DEFAULT_DURATION };
        let measured = self.duration.or(scenario.load.duration.filter(|_| !is_counted));
        match measured.unwrap_or(default) {
            Duration::ZERO => Err(Error::BadInput("--duration must be longer than 0".to_owned())),
            measured => Ok(measured),
        }
    }

    fn open(&self, scenario: &Scenario, stages: Option<Stages>) -> Result<OpenLoad, Error> {
        let warm_up = self.warm_up(scenario);
        let mut iterations = self.iterations(scenario)?;
        let given = match stages {
            Some(Stages::Rates(stages)) => Given::Stages(stages),
            _ => self.open.given(scenario)?,
        };
        let (arrivals, duration) = match given {
            Given::Recorded(recorded) => {
                // Recorded arrivals end by themselves.
                let duration = self.duration.map(|measured| warm_up + measured + self.cool_down);
                iterations = Some(iterations.map_or(recorded.count(), |n| n.min(recorded.count())));
                (Arrivals::Recorded(recorded), duration.unwrap_or(ITERATIONS_WITHIN))
            }
            Given::Stages(stages) => {
                if self.duration.is_some() {
                    return Err(Error::BadInput(format!(
                        "the stages of scenario {} say how long it takes: give --rate with --duration",
                        scenario.name
                    )));
                }
                let duration = stages.iter().map(|stage| stage.ramp + stage.hold).sum();
                (Arrivals::Rates { stages, spread: self.open.spread(scenario) }, duration)
            }
            Given::Rate(span) => {
                let is_timed = self.duration.is_some() || iterations.is_none();
                if span.from != span.to && !is_timed {
                    return Err(Error::BadInput(
                        "a rate that changes needs to know within which time: give --duration"
                            .to_owned(),
                    ));
                }
                let measured = self.measured(scenario)?;
                let stages = span.stages(warm_up, measured, self.cool_down);
                let spread = self.open.spread(scenario);
                (Arrivals::Rates { stages, spread }, warm_up + measured + self.cool_down)
            }
        };
        Ok(OpenLoad {
            arrivals,
            duration,
            warm_up,
            cool_down: self.cool_down,
            iterations,
            max_in_flight: self.open.max_in_flight(scenario),
            drain: self.drain(scenario),
        })
    }

    fn closed(&self, scenario: &Scenario, stages: Option<Stages>) -> Result<ClosedLoad, Error> {
        let warm_up = self.warm_up(scenario);
        let stages = match stages {
            Some(Stages::Users(stages)) => stages,
            _ => self.stages(scenario, warm_up + self.cool_down)?,
        };
        Ok(ClosedLoad {
            stages,
            warm_up,
            cool_down: self.cool_down,
            iterations: self.iterations(scenario)?,
            drain: self.drain(scenario),
        })
    }

    /// The stages; `apart` is added to a measured duration, for it is not part of it.
    fn stages(&self, scenario: &Scenario, apart: Duration) -> Result<Vec<Stage>, Error> {
        if let Some(stages) = scenario.load.stages.as_ref().filter(|_| self.users.is_none()) {
            let (says, option) = match (self.start_rate, self.duration) {
                (Some(_), _) => ("when its users start", "--start-rate"),
                (None, Some(_)) => ("how long it takes", "--duration"),
                (None, None) => return Ok(stages.clone()),
            };
            return Err(Error::BadInput(format!(
                "the stages of scenario {} say {says}: give --users with {option}",
                scenario.name
            )));
        }
        let users = self.users.or(scenario.load.users).unwrap_or(DEFAULT_USERS);
        let measured = self.measured(scenario)?;
        let ramp = match self.start_rate {
            None => Duration::ZERO,
            Some(rate) => Duration::try_from_secs_f64(f64::from(users) / rate).map_err(|_| {
                Error::BadInput(format!("--start-rate {rate} is not a number of users per second"))
            })?,
        };
        // The users that start during the ramp are part of the measured time, unless a warm-up
        // keeps it out.
        let hold = (measured + apart).checked_sub(ramp).ok_or_else(|| {
            Error::BadInput(format!(
                "{users} users take {} to start at this --start-rate, and the run is over after {}: \
                 raise the rate or lengthen the run",
                show_duration(ramp),
                show_duration(measured + apart)
            ))
        })?;
        Ok(vec![Stage { users, ramp, hold }])
    }
}
