//! What will be done: nothing after a [`Plan`] reads the command line.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::http::{HttpOptions, HttpVersion};
use crate::measure::selector::{JsonPage, ScrapeRules};
use crate::profile::SamplerKind;
use crate::scenario::model::{Budget, Goodput, Scenario, Service};
use crate::scenario::price::Prices;
use crate::scenario::sizing::Sizing;
use crate::scenario::slo::{Alert, Slo};
use crate::schedule::LoadModel;

/// What is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A reference service that gander starts as a process of its own.
    Reference(Service),
    /// A service that runs already.
    Running {
        /// Its base URL.
        url: url::Url,
        /// Its process, where the user names it: then CPU and memory are measured.
        pid: Option<u32>,
    },
    /// A command that gander starts, and stops afterwards.
    Spawn(Spawn),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Reference(service) => write!(f, "reference service {service}"),
            Target::Running { url, .. } => write!(f, "{url}"),
            Target::Spawn(spawn) => write!(f, "{}", spawn.command.join(" ")),
        }
    }
}

/// A command that starts a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spawn {
    /// Program and arguments; `{port}` stands for a free port that gander picks.
    pub command: Vec<String>,
    /// Path that answers with 2xx once the target is ready.
    pub ready: String,
    /// How long it may take to become ready.
    pub ready_within: Duration,
}

/// A run, fully decided.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What users do.
    pub scenario: Scenario,
    /// How many users when.
    pub load: LoadModel,
    /// What is loaded.
    pub target: Target,
    /// Source of all random draws.
    pub seed: u64,
    /// Worker threads of the generator.
    pub threads: usize,
    /// Limits and permissions of the HTTP client.
    pub http: HttpOptions,
    /// Where run folders go.
    pub reports: PathBuf,
    /// The command line as given, for the report.
    pub command_line: Vec<String>,
    /// What the run is made for.
    pub purpose: Purpose,
    /// How it is profiled, where it is.
    pub profile: Option<ProfileOptions>,
    /// From one look at the resources of target and generator to the next.
    pub observe_every: Duration,
    /// For how long the target is looked at after the load; zero where it is not.
    pub settle: Duration,
    /// What is asked of the target's own numbers, where they are wanted.
    pub scrape: Option<Scrape>,
}

/// What is asked of the target's own numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scrape {
    /// Where they are, and which of them are kept and compared.
    pub rules: ScrapeRules,
    /// Whether the run does not begin without them: they were asked for on the command line.
    pub is_required: bool,
}

/// From one look at resources to the next, where nothing else is asked for.
pub const OBSERVE_EVERY: Duration = Duration::from_secs(1);

/// What a run is made for: what its report begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Figures of the service under load.
    #[default]
    Load,
    /// Where the time goes.
    Profile,
    /// What drifts, grows and leaks over time.
    Soak,
}

/// How a run is profiled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileOptions {
    /// The sampler by name; `None` where what the target is chooses it.
    pub sampler: Option<SamplerKind>,
    /// Samples a second that are asked for. The system may give fewer.
    pub frequency: u32,
    /// Path or URL of the target's own profile, where it is not at the usual place.
    pub endpoint: Option<String>,
}

impl Plan {
    /// What of the plan is saved. Headers and bodies are not, and the values of the environment
    /// variables that the scenario uses are taken out of the rest.
    pub fn record(&self, target: TargetRecord) -> PlanRecord {
        let scenario = &self.scenario;
        let redact = |text: &String| scenario.redactions().redact(text).into_owned();
        let target =
            TargetRecord { url: redact(&target.url), origin: redact(&target.origin), ..target };
        PlanRecord {
            scenario: scenario.name.clone(),
            summary: scenario.summary.clone(),
            digest: scenario.digest.clone(),
            users: scenario.users.iter().map(UserRecord::of).collect(),
            steps: scenario.steps.iter().map(StepRecord::of).collect(),
            slos: scenario.slos.clone(),
            alerts: scenario.alerts.clone(),
            load: self.load.clone(),
            target,
            seed: self.seed,
            threads: self.threads,
            command_line: self.command_line.iter().map(redact).collect(),
            rows: scenario.rows.clone(),
            budget: scenario.budget,
            prices: scenario.prices.clone(),
            variant: scenario.variant.clone(),
            settings: scenario.shown_settings(),
            http: HttpRecord {
                version: self.http.version,
                shared: self.http.shared,
                insecure: self.http.insecure,
            },
            purpose: self.purpose,
            profile: self.profile.clone(),
            observe_every: self.observe_every,
            scrape: self.scrape.as_ref().map(|Scrape { rules, .. }| {
                let page = |page: &JsonPage| JsonPage { at: redact(&page.at), ..page.clone() };
                let json = rules.json.iter().map(page).collect();
                ScrapeRules { at: rules.at.as_ref().map(redact), json, ..rules.clone() }
            }),
            sizing: scenario.sizing,
        }
    }
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// The planned time was over.
    Duration,
    /// The planned number of iterations was done.
    Iterations,
    /// A budget of requests, tokens or cost was used up.
    Budget,
    /// SIGINT.
    Interrupted,
    /// SIGTERM or SIGHUP.
    Terminated,
    /// A target that gander started ended before the run did.
    TargetEnded,
    /// Something inside gander failed.
    Failed,
}

impl Stop {
    /// Whether the run came to the end that was planned for it.
    pub fn is_planned(self) -> bool {
        matches!(self, Stop::Duration | Stop::Iterations | Stop::Budget)
    }
}

/// Why a run ended, and what is to be said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Why.
    pub stop: Stop,
    /// In words, where the reason alone does not say it.
    pub reason: Option<String>,
}

impl From<Stop> for Ending {
    fn from(stop: Stop) -> Self {
        Ending { stop, reason: None }
    }
}

impl Ending {
    /// An end for a reason that is to be told.
    pub fn because(stop: Stop, reason: impl Into<String>) -> Self {
        Ending { stop, reason: Some(reason.into()) }
    }
}

/// What of a [`Plan`] is saved in a run folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are those of the plan")]
pub struct PlanRecord {
    pub scenario: String,
    pub summary: String,
    /// Digest of the workload: runs with different digests did different work.
    pub digest: String,
    pub users: Vec<UserRecord>,
    pub steps: Vec<StepRecord>,
    pub slos: Vec<Slo>,
    #[serde(default)]
    pub alerts: Vec<Alert>,
    pub load: LoadModel,
    pub target: TargetRecord,
    pub seed: u64,
    pub threads: usize,
    pub command_line: Vec<String>,
    /// The data source of which an iteration is one row.
    #[serde(default)]
    pub rows: Option<String>,
    #[serde(default)]
    pub budget: Budget,
    #[serde(default)]
    pub prices: Prices,
    #[serde(default)]
    pub variant: Option<String>,
    #[serde(default)]
    pub settings: Vec<String>,
    #[serde(default)]
    pub http: HttpRecord,
    #[serde(default)]
    pub purpose: Purpose,
    #[serde(default)]
    pub profile: Option<ProfileOptions>,
    /// Runs of earlier versions were looked at once a second.
    #[serde(default = "observed_each_second")]
    pub observe_every: Duration,
    #[serde(default)]
    pub scrape: Option<ScrapeRules>,
    #[serde(default)]
    pub sizing: Option<Sizing>,
}

fn observed_each_second() -> Duration {
    OBSERVE_EVERY
}

/// How connections were made, as saved.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are those of the options")]
pub struct HttpRecord {
    pub version: HttpVersion,
    /// Connections that all users share; `None` where each has its own.
    pub shared: Option<u32>,
    /// Whether any certificate was accepted.
    pub insecure: bool,
}

/// A kind of user, as saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are those of the scenario")]
pub struct UserRecord {
    pub name: String,
    pub weight: u32,
    pub think_min: Duration,
    pub think_max: Duration,
    pub transactions: Vec<TransactionRecord>,
}

impl UserRecord {
    fn of(user: &crate::scenario::model::User) -> Self {
        UserRecord {
            name: user.name.clone(),
            weight: user.weight,
            think_min: user.think.min,
            think_max: user.think.max,
            transactions: user
                .transactions
                .iter()
                .map(|transaction| TransactionRecord {
                    name: transaction.name.clone(),
                    weight: transaction.weight,
                })
                .collect(),
        }
    }
}

/// A transaction, as saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are those of the scenario")]
pub struct TransactionRecord {
    pub name: String,
    pub weight: u32,
}

/// A step, as saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are those of the scenario")]
pub struct StepRecord {
    pub name: String,
    pub method: String,
    pub path: String,
    pub timeout: Duration,
    /// Whether its response is a stream of events.
    #[serde(default)]
    pub streams: bool,
    /// Whether it makes any number of requests an iteration.
    #[serde(default)]
    pub fans_out: bool,
    #[serde(default)]
    pub goodput: Option<Goodput>,
}

impl StepRecord {
    fn of(step: &crate::scenario::model::Step) -> Self {
        StepRecord {
            name: step.name.clone(),
            method: step.method.to_string(),
            path: step.path.clone(),
            timeout: step.timeout,
            streams: step.stream.is_some(),
            fans_out: step.fan_out.is_some(),
            goodput: step.goodput,
        }
    }
}

/// What was loaded, as saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetRecord {
    /// Base URL.
    pub url: String,
    /// How it came to be there, in words: `reference service inference (base=90ms)`,
    /// `started with: uvicorn …`, `running already`.
    pub origin: String,
    /// Root of its process tree, where known.
    pub pid: Option<u32>,
}
