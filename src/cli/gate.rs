//! `gander gate`.

use std::time::Duration;

use clap::Args;

use crate::analysis::gate::{ALPHA, BETA};
use crate::commands::gate::{Gate, SLICE, Shape, gate};
use crate::error::{Error, Exit};
use crate::plan::{Plan, Purpose, Spawn, Target};
use crate::scenario::Scenario;
use crate::scenario::model::Service;
use crate::scenario::slo::Slo;
use crate::schedule::{ClosedLoad, LoadModel, RateSpan, Spread, Stage, show_duration};

use super::OutputArgs;
use super::budget::BudgetOptions;
use super::load::{ClientOptions, DEFAULT_DRAIN, DEFAULT_USERS};
use super::open::{DEFAULT_MAX_IN_FLIGHT, rate, spread};
use super::parse::{duration, key_value, url};
use super::scenarios::ScenarioOptions;

/// Of the base alone, before a gate without a rate: load that is not measured, and load that is.
const ALONE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];
/// Looks at processor time and memory: a round has few seconds.
const OBSERVE_EVERY: Duration = Duration::from_millis(500);
/// Worsenings for which a plan says how long a gate must run, where none is named.
const EFFECTS: [f64; 3] = [0.05, 0.1, 0.2];

/// Decide whether a change made a service worse: both versions are loaded side by side
#[derive(Debug, Args)]
#[command(after_help = "\
Base and head run at the same time and get the same requests at the same moments, in rounds of some
seconds, each with both versions started anew: what disturbs one disturbs the other. The gate ends as soon
as it is clear whether the head is worse: exit code 0 where nothing is worse by its margin, 1 where
something is, 4 where the noise does not let it say.

Examples:
  gander gate my.toml --base './old --port {port}' --head './new --port {port}'
  gander gate my.toml --base http://127.0.0.1:8001 --head http://127.0.0.1:8002 --rate 100
  gander gate inference-single --head-service latency=100ms          the reference service, made slower
  gander gate my.toml --base './new --port {port}' --plan --effect 5%   how long must it run?")]
pub struct GateArgs {
    #[command(flatten)]
    scenarios: ScenarioOptions,
    #[command(flatten)]
    sides: SideOptions,
    #[command(flatten)]
    rounds: RoundOptions,
    #[command(flatten)]
    deciding: DecidingOptions,
    #[command(flatten)]
    budget: BudgetOptions,
    #[command(flatten)]
    client: ClientOptions,
    #[command(flatten)]
    output: OutputArgs,
}

/// What is compared.
#[derive(Debug, Args)]
#[command(next_help_heading = "Versions [default: the scenario's reference service]")]
struct SideOptions {
    /// The version before the change: a command that starts it, without a shell, with `{port}` for its
    /// port (the environment variable PORT holds it too), or the URL of a service that runs already
    #[arg(long, value_name = "COMMAND|URL")]
    base: Option<String>,
    /// The version after the change
    #[arg(long, value_name = "COMMAND|URL")]
    head: Option<String>,
    /// Setting of the reference service as the base, as `workers=4`; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value, conflicts_with = "base")]
    base_service: Vec<(String, String)>,
    /// Setting of the reference service as the head; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value, conflicts_with = "head")]
    head_service: Vec<(String, String)>,
    /// Path that answers 2xx once a started version is ready
    #[arg(long, value_name = "PATH", default_value = "/health")]
    ready: String,
    /// How long a version may take to be ready
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "60s")]
    ready_within: Duration,
}

/// What a round is like.
#[derive(Debug, Args)]
#[command(next_help_heading = "Rounds")]
struct RoundOptions {
    /// Iterations that start each second at each version [default: the scenario's, or a share of what
    /// the base does alone with the scenario's users: 60%, or less where both would keep more than half
    /// of the machine busy]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    rate: Option<RateSpan>,
    /// How they are spread: `constant` or `poisson` [default: the scenario's, or poisson: evenly spaced
    /// requests may fall in step with answers and timers, and then a small change looks larger or smaller]
    #[arg(long, value_name = "constant|poisson", value_parser = spread)]
    arrivals: Option<Spread>,
    /// Measured time of a round [default: 4s, or more where the rate is low and the time allows it]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    slice: Option<Duration>,
    /// Load before it, in each round
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "500ms")]
    warm_up: Duration,
    /// Time that all rounds may take
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "120s")]
    max_time: Duration,
    /// Source of all random draws
    #[arg(long, value_name = "N", default_value_t = 42)]
    seed: u64,
}

/// How it is decided.
#[derive(Debug, Args)]
#[command(next_help_heading = "Deciding")]
struct DecidingOptions {
    /// By how much a figure may get worse: 5%, or one of them as p99=15% [default: 5%; p99 and memory
    /// 10%; failures 1 point]; may be repeated
    #[arg(long, value_name = "[NAME=]PERCENT")]
    margin: Vec<String>,
    /// The chance that a gate between equal versions fails
    #[arg(long, value_name = "PERCENT", value_parser = percent, default_value_t = Percent(ALPHA))]
    alpha: Percent,
    /// The chance to pass a figure that is worse by its margin
    #[arg(long, value_name = "PERCENT", value_parser = percent, default_value_t = Percent(BETA))]
    beta: Percent,
    /// Judge the response times of each step too
    #[arg(long)]
    each_step: bool,
    /// Rule that the head must keep, as 'p99 < 500ms', besides those of the scenario; may be repeated
    #[arg(long, value_name = "RULE")]
    slo: Vec<String>,
    /// Measure the noise of this machine with the base beside itself, and say how long a gate must run
    #[arg(long)]
    plan: bool,
    /// Worsening for which --plan says it [default: 5%, 10% and 20%]; may be repeated
    #[arg(long, value_name = "PERCENT", value_parser = percent, requires = "plan")]
    effect: Vec<Percent>,
}

/// A share of less than one, written in percent.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Percent(f64);

impl std::fmt::Display for Percent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}%", self.0 * 100.0)
    }
}

fn percent(text: &str) -> Result<Percent, String> {
    let number = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    match number {
        Some(number) if number > 0.0 && number < 100.0 => Ok(Percent(number / 100.0)),
        _ => Err("expected a percentage above 0% and below 100%, as 5%".to_owned()),
    }
}

impl GateArgs {
    /// Carries the command out.
    pub fn run(self, command_line: Vec<String>) -> Result<Exit, Error> {
        let output = self.output.output();
        gate(self.gate(command_line)?, output)
    }

    fn gate(&self, command_line: Vec<String>) -> Result<Gate, Error> {
        let sides = &self.sides;
        let mut scenario = self.scenarios.load(&self.budget, sides.are_given())?;
        scenario.budget = self.budget.over(&scenario)?;
        scenario.preview(self.rounds.seed)?;
        let targets = sides.targets(&scenario, self.deciding.plan)?;
        let slos = self.deciding.slos(&scenario)?;
        // A round is too short for rules on percentiles: they are held against all rounds together.
        scenario.slos.clear();
        scenario.alerts.clear();
        self.rounds.check()?;
        let plan = |target: Target| Plan {
            scenario: scenario.clone(),
            load: LoadModel::Closed(alone(&scenario)),
            target,
            seed: self.rounds.seed,
            threads: self.client.threads(),
            http: self.client.http(),
            reports: self.client.reports(),
            command_line: command_line.clone(),
            purpose: Purpose::Load,
            profile: None,
            observe_every: OBSERVE_EVERY,
            settle: Duration::ZERO,
            scrape: None,
        };
        let effects = self.deciding.effect.iter().map(|effect| effect.0).collect::<Vec<_>>();
        Ok(Gate {
            plans: targets.map(plan),
            shape: self.rounds.shape(&scenario),
            rate: self.rounds.rate(&scenario)?,
            most_time: self.rounds.max_time,
            margins: self.deciding.margin.clone(),
            alpha: self.deciding.alpha.0,
            beta: self.deciding.beta.0,
            each_step: self.deciding.each_step,
            slos,
            reports: self.client.reports(),
            effects: match (self.deciding.plan, effects.is_empty()) {
                (false, _) => Vec::new(),
                (true, true) => EFFECTS.to_vec(),
                (true, false) => effects,
            },
        })
    }
}

/// The load by which the base shows what it can do alone: the scenario's users.
fn alone(scenario: &Scenario) -> ClosedLoad {
    let users = scenario.load.users.unwrap_or(DEFAULT_USERS);
    let [warm_up, measured] = ALONE;
    let hold = warm_up + measured;
    ClosedLoad {
        stages: vec![Stage { users, ramp: Duration::ZERO, hold }],
        warm_up,
        cool_down: Duration::ZERO,
        iterations: None,
        drain: DEFAULT_DRAIN,
    }
}

impl SideOptions {
    /// Whether neither version is the scenario's reference service.
    fn are_given(&self) -> bool {
        self.base.is_some() && self.head.is_some()
    }

    /// Base and head.
    fn targets(&self, scenario: &Scenario, is_plan: bool) -> Result<[Target; 2], Error> {
        let base = self.target(self.base.as_ref(), &self.base_service, scenario)?;
        let is_head = self.head.is_some() || !self.head_service.is_empty();
        if is_plan {
            if is_head {
                return Err(Error::BadInput(
                    "--plan sets the base beside itself: leave the head out".to_owned(),
                ));
            }
            return Ok([base.clone(), base]);
        }
        if !is_head && self.base.is_none() && self.base_service.is_empty() {
            return Err(Error::BadInput(
                "there is nothing to compare: name the version before the change with --base and the \
                 one after it with --head, each as a command or a URL; or a setting of the reference \
                 service, as --head-service latency=100ms"
                    .to_owned(),
            ));
        }
        if !is_head && self.base.is_some() {
            return Err(Error::BadInput(
                "--base names the version before the change: name the one after it with --head"
                    .to_owned(),
            ));
        }
        let head = self.target(self.head.as_ref(), &self.head_service, scenario)?;
        Ok([base, head])
    }

    fn target(
        &self,
        named: Option<&String>,
        settings: &[(String, String)],
        scenario: &Scenario,
    ) -> Result<Target, Error> {
        match named {
            Some(text) if text.starts_with("http://") || text.starts_with("https://") => {
                let url = url(text).map_err(Error::BadInput)?;
                Ok(Target::Running { url, pid: None })
            }
            Some(text) => {
                let command = shell_words::split(text)
                    .map_err(|e| Error::BadInput(format!("the command {text:?}: {e}")))?;
                if command.is_empty() {
                    return Err(Error::BadInput(
                        "an empty text is neither a command nor a URL: name a version as './server \
                         --port {port}' or http://127.0.0.1:8000"
                            .to_owned(),
                    ));
                }
                let (ready, ready_within) = (self.ready.clone(), self.ready_within);
                Ok(Target::Spawn(Spawn { command, ready, ready_within }))
            }
            None => {
                let service = scenario.service.as_ref().ok_or_else(|| {
                    Error::BadInput(format!(
                        "scenario {} names no reference service: name both versions with --base and \
                         --head",
                        scenario.name
                    ))
                })?;
                let mut options = service.options.clone();
                options.extend(settings.iter().cloned());
                let service = Service { name: service.name.clone(), options };
                service.check()?;
                Ok(Target::Reference(service))
            }
        }
    }
}

impl RoundOptions {
    /// An error where six rounds do not fit into the time.
    fn check(&self) -> Result<(), Error> {
        use crate::analysis::gate::FEWEST_ROUNDS;
        let shortest = Duration::from_secs(1);
        let slice = self.slice.unwrap_or(SLICE);
        if slice < shortest {
            return Err(Error::BadInput("--slice must be 1s at least".to_owned()));
        }
        let least = (slice + self.warm_up) * FEWEST_ROUNDS;
        match least > self.max_time {
            false => Ok(()),
            true => Err(Error::BadInput(format!(
                "--max-time {} is too short: nothing is decided before {FEWEST_ROUNDS} rounds, which \
                 take {} and the starts of both versions besides",
                show_duration(self.max_time),
                show_duration(least)
            ))),
        }
    }

    fn rate(&self, scenario: &Scenario) -> Result<Option<f64>, Error> {
        match self.rate {
            Some(span) if span.from != span.to => {
                Err(Error::BadInput("--rate: a gate compares at one rate, as --rate 50".to_owned()))
            }
            Some(span) => Ok(Some(span.from.per_second)),
            // Of a rate that changes, the end is what the scenario is about.
            None => Ok(scenario.load.rate.map(|span| span.to.per_second)),
        }
    }

    fn shape(&self, scenario: &Scenario) -> Shape {
        let longest = scenario.steps.iter().map(|step| step.timeout).max();
        Shape {
            warm_up: self.warm_up,
            slice: self.slice,
            spread: self.arrivals.or(scenario.load.arrivals).unwrap_or(Spread::Poisson),
            max_in_flight: scenario.load.max_in_flight.unwrap_or(DEFAULT_MAX_IN_FLIGHT),
            drain: longest.map_or(DEFAULT_DRAIN, |timeout| timeout.max(DEFAULT_DRAIN)),
        }
    }
}

impl DecidingOptions {
    /// The scenario's rules, and those of the command line.
    fn slos(&self, scenario: &Scenario) -> Result<Vec<Slo>, Error> {
        let steps: Vec<&str> = scenario.steps.iter().map(|step| step.name.as_str()).collect();
        let mut slos = scenario.slos.clone();
        for rule in &self.slo {
            let slo = Slo::parse(rule, &steps);
            slos.push(slo.map_err(|e| Error::BadInput(format!("--slo {rule:?}: {e}")))?);
        }
        Ok(slos)
    }
}
