//! `gander load`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use url::Url;

use crate::error::{Error, Exit};
use crate::http::HttpOptions;
use crate::plan::{Plan, Spawn, Target};
use crate::scenario::model::{Scenario, Service};
use crate::schedule::{ClosedLoad, LoadModel, Stage, show_duration};

use super::OutputArgs;
use super::parse::{duration, key_value, url};

/// Where the command line and the scenario name no load.
const DEFAULT_USERS: u32 = 10;
const DEFAULT_DURATION: Duration = Duration::from_secs(30);
const DEFAULT_DRAIN: Duration = Duration::from_secs(30);
/// With `--iterations` alone, the time after which a run ends in any case.
const ITERATIONS_WITHIN: Duration = Duration::from_secs(24 * 3600);

/// Drive load at a service, watch it, and report.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gander load --users 10                                    the reference inference service
  gander load inference-single --service engine=blocking    the same, before the fix
  gander load inference-mix --target http://127.0.0.1:8000  a service that runs already
  gander load my.toml --spawn 'uvicorn app:app --port {port}' --ready /health")]
pub struct LoadArgs {
    /// Scenario: a name (see `gander scenario list`) or a file
    #[arg(default_value = "inference-mix")]
    scenario: String,
    #[command(flatten)]
    load: LoadOptions,
    #[command(flatten)]
    target: TargetOptions,
    #[command(flatten)]
    client: ClientOptions,
    #[command(flatten)]
    output: OutputArgs,
}

/// How much load, and for how long.
#[derive(Debug, Args)]
#[command(next_help_heading = "Load")]
struct LoadOptions {
    /// Users, each of which waits for its response before it goes on [default: the scenario's, or 10]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "stages")]
    users: Option<u32>,
    /// Users started per second [default: all at once]
    #[arg(long, value_name = "RATE", conflicts_with = "stages")]
    start_rate: Option<f64>,
    /// Numbers of users over time, as `10u:30s,50u:1m/20s`: 10 for 30 s, then 50 for 1 m after 20 s of ramp
    #[arg(long, value_name = "STAGES", conflicts_with = "duration")]
    stages: Option<String>,
    /// Measured time [default: the scenario's, or 30s]
    #[arg(short, long, value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,
    /// End after this many iterations over all users
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    iterations: Option<u64>,
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

/// What is loaded.
#[derive(Debug, Args)]
#[command(
    next_help_heading = "Target [default: the scenario's reference service, started by gander]"
)]
struct TargetOptions {
    /// Base URL of a service that runs already
    #[arg(short, long, value_name = "URL", conflicts_with = "spawn", value_parser = url)]
    target: Option<Url>,
    /// Its process, for CPU and memory [default: found by its port, where that may be seen]
    #[arg(long, value_name = "PID", requires = "target")]
    pid: Option<u32>,
    /// Command that starts the target, without a shell; `{port}` stands for a free port, which the
    /// environment variable PORT holds too
    #[arg(long, value_name = "COMMAND")]
    spawn: Option<String>,
    /// Path that answers 2xx once the spawned target is ready
    #[arg(long, value_name = "PATH", default_value = "/health")]
    ready: String,
    /// How long the spawned target may take to be ready
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "60s")]
    ready_within: Duration,
    /// Setting of the reference service, as `engine=blocking` or `latency.base=90ms` (see `gander mock
    /// NAME --show`); may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value, conflicts_with_all = ["target", "spawn"])]
    service: Vec<(String, String)>,
}

/// Limits and permissions of the client.
#[derive(Debug, Args)]
#[command(next_help_heading = "Client")]
struct ClientOptions {
    /// Host that may be loaded although it is not a loopback address; may be repeated
    #[arg(long, value_name = "HOST")]
    allow_host: Vec<String>,
    /// PEM file of a certificate authority to trust as well
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
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
    /// Carries the command out.
    pub fn run(self, command_line: Vec<String>) -> Result<Exit, Error> {
        let output = self.output.output();
        crate::commands::load::load(self.plan(command_line)?, output)
    }

    fn plan(self, command_line: Vec<String>) -> Result<Plan, Error> {
        let scenario = Scenario::load(&self.scenario)?;
        // Finds what shows only when a template is filled in, such as a variable that is not set.
        scenario.preview(self.load.seed)?;
        let load = LoadModel::Closed(self.load.closed(&scenario)?);
        let target = self.target.target(&scenario)?;
        let client = self.client;
        Ok(Plan {
            load,
            target,
            seed: self.load.seed,
            threads: usize::from(client.threads),
            http: HttpOptions {
                max_body: client.max_body,
                ca_file: client.ca_file,
                allow_hosts: client.allow_host,
                ..HttpOptions::default()
            },
            reports: client.reports,
            command_line,
            scenario,
        })
    }
}

impl LoadOptions {
    fn closed(&self, scenario: &Scenario) -> Result<ClosedLoad, Error> {
        let warm_up = self.warm_up.or(scenario.load.warm_up).unwrap_or_default();
        let longest = scenario.steps.iter().map(|step| step.timeout).max();
        let load = ClosedLoad {
            stages: self.stages(scenario, warm_up + self.cool_down)?,
            warm_up,
            cool_down: self.cool_down,
            iterations: self.iterations,
            drain: self
                .drain
                .unwrap_or_else(|| longest.map_or(DEFAULT_DRAIN, |t| t.max(DEFAULT_DRAIN))),
        };
        if warm_up + self.cool_down >= load.duration() {
            return Err(Error::BadInput(format!(
                "nothing is left to measure: the stages take {} s, and warm-up and cool-down {} s of \
                 them; shorten these or lengthen the stages",
                load.duration().as_secs_f64(),
                (warm_up + self.cool_down).as_secs_f64()
            )));
        }
        Ok(load)
    }

    /// The stages; `apart` is added to a measured duration, for it is not part of it.
    fn stages(&self, scenario: &Scenario, apart: Duration) -> Result<Vec<Stage>, Error> {
        if let Some(text) = &self.stages {
            return Stage::parse_list(text).map_err(|e| Error::BadInput(format!("--stages: {e}")));
        }
        let names_none =
            self.users.is_none() && self.duration.is_none() && self.iterations.is_none();
        if let Some(stages) = scenario.load.stages.as_ref().filter(|_| names_none) {
            if self.start_rate.is_some() {
                return Err(Error::BadInput(format!(
                    "the stages of scenario {} say when its users start: give --users with --start-rate",
                    scenario.name
                )));
            }
            return Ok(stages.clone());
        }
        let users = self.users.or(scenario.load.users).unwrap_or(DEFAULT_USERS);
        let default = if self.iterations.is_some() { ITERATIONS_WITHIN } else { DEFAULT_DURATION };
        let measured =
            self.duration.or(scenario.load.duration.filter(|_| self.iterations.is_none()));
        let measured = measured.unwrap_or(default);
        if measured.is_zero() {
            return Err(Error::BadInput("--duration must be longer than 0".to_owned()));
        }
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

impl TargetOptions {
    fn target(&self, scenario: &Scenario) -> Result<Target, Error> {
        if let Some(url) = &self.target {
            return Ok(Target::Running { url: url.clone(), pid: self.pid });
        }
        if let Some(command) = &self.spawn {
            let words = shell_words::split(command)
                .map_err(|e| Error::BadInput(format!("--spawn {command:?}: {e}")))?;
            let (ready, ready_within) = (self.ready.clone(), self.ready_within);
            return Ok(Target::Spawn(Spawn { command: words, ready, ready_within }));
        }
        let Some(service) = &scenario.service else {
            return Err(Error::BadInput(format!(
                "scenario {} names no reference service: say what to load with --target URL or \
                 --spawn COMMAND",
                scenario.name
            )));
        };
        let mut options = service.options.clone();
        options.extend(self.service.iter().cloned());
        Ok(Target::Reference(Service { name: service.name.clone(), options }))
    }
}
