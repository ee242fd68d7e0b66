//! What a scenario means, after its file was read and checked.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use mock_server::config::{self, Given, ServiceName, Set};
use rand::{Rng, RngExt};

use crate::measure::sample::{StepId, Tokens};
use crate::measure::selector::ScrapeRules;
use crate::schedule::{RateSpan, RateStage, Spread, Stage, show_duration};

use serde::{Deserialize, Serialize};

use super::data::DataSet;
use super::errors::{ScenarioError, Spot};
use super::json_path::JsonPath;
use super::price::Prices;
use super::random::weighted;
use super::secret::Redactions;
use super::sizing::Sizing;
use super::slo::{Alert, Slo};
use super::stream::StreamRules;
use super::template::StepTemplate;

/// A scenario: kinds of users, what they do, and what is expected of the target.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Name: the file's, without its ending.
    pub name: String,
    /// One line for `gander scenario list` and reports.
    pub summary: String,
    /// The reference service to start when no target is given.
    pub service: Option<Service>,
    /// Kinds of users.
    pub users: Vec<User>,
    /// All steps of all transactions; [`StepId`] indexes this list.
    pub steps: Vec<Step>,
    /// Data files and lists.
    pub data: DataSet,
    /// What must hold.
    pub slos: Vec<Slo>,
    /// What is to be told where it is so.
    pub alerts: Vec<Alert>,
    /// Load to use where the command line names none.
    pub load: DefaultLoad,
    /// The data source of which an iteration is one row, where iterations are counted as rows.
    pub rows: Option<String>,
    /// What may be used up.
    pub budget: Budget,
    /// What tokens cost.
    pub prices: Prices,
    /// What is asked of the target's own numbers, where they are wanted.
    pub scrape: Option<ScrapeRules>,
    /// What the target may use where it is deployed, where that was chosen.
    pub sizing: Option<Sizing>,
    /// The variant that was chosen, and what was set besides: as given on the command line.
    pub variant: Option<String>,
    /// `--set`, as given.
    pub settings: Vec<String>,
    /// Names of all variants.
    pub variants: Vec<String>,
    /// Hex SHA-256 of users, steps and data, the rows themselves included: two runs with the same
    /// digest, seed and load did the same work. Name, summary, service, rules and default load are
    /// not in it.
    pub digest: String,
}

impl Scenario {
    /// The step with this id.
    pub fn step(&self, id: StepId) -> &Step {
        &self.steps[usize::from(id.0)]
    }

    /// The settings that were laid over it, without keys and passwords and the values of environment
    /// variables.
    pub fn shown_settings(&self) -> Vec<String> {
        let shown = |text: &String| {
            self.redactions().redact(&mock_server::config::concealed(text)).into_owned()
        };
        self.settings.iter().map(shown).collect()
    }

    /// Takes the values of the environment variables that this scenario uses out of texts. Nothing
    /// that a target or a template says is shown or saved without it.
    pub fn redactions(&self) -> &Redactions {
        &self.data.redactions
    }
}

/// A reference service and its settings, as `gander mock --set` takes them.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Service {
    /// Name: `inference`, …
    pub name: String,
    /// Keys, with dots between their parts, and values as TOML or plain text. A key stands before
    /// those below it.
    pub options: BTreeMap<String, String>,
}

impl Service {
    /// Looks whether its settings are such as the service takes.
    ///
    /// # Errors
    ///
    /// All that is wrong with them.
    pub fn check(&self) -> Result<(), ScenarioError> {
        // An unknown name is found where it is written.
        let services: Vec<ServiceName> = self.name.parse().into_iter().collect();
        let (mut sets, mut diagnostics) = (Vec::new(), Vec::new());
        for (key, value) in &self.options {
            match Set::parse(&format!("{key}={value}"), &services) {
                Ok(set) => sets.push(set),
                Err(problem) => diagnostics.push(problem),
            }
        }
        let given = Given { file: None, presets: Vec::new(), sets };
        diagnostics.extend(config::read(&given).err().unwrap_or_default());
        match diagnostics.is_empty() {
            true => Ok(()),
            false => Err(ScenarioError { diagnostics }),
        }
    }
}

/// `inference (engine=threaded, latency.base=90ms)`. No value of a key can be seen.
impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if self.options.is_empty() {
            return Ok(());
        }
        let shown = self
            .options
            .iter()
            .map(|(key, value)| mock_server::config::concealed(&format!("{key}={value}")));
        write!(f, " ({})", shown.collect::<Vec<_>>().join(", "))
    }
}

/// A kind of user.
#[derive(Debug, Clone)]
pub struct User {
    /// Name.
    pub name: String,
    /// Share among the kinds of users.
    pub weight: u32,
    /// Wait after each transaction.
    pub think: Think,
    /// What such a user does; one is drawn by weight for each iteration.
    pub transactions: Vec<Transaction>,
    /// Which scenario's data it sees, where several run at once.
    pub scope: u16,
}

impl User {
    /// The transaction of an iteration, drawn by weight. The generator is that of
    /// [`Purpose::Transaction`](super::random::Purpose::Transaction).
    pub fn draw(&self, generator: &mut impl Rng) -> &Transaction {
        let weights = self.transactions.iter().map(|transaction| transaction.weight);
        weighted(weights, generator)
            .and_then(|index| self.transactions.get(index))
            .expect("invariant: a user has transactions, and their weights are above 0")
    }

    /// The share of a transaction among all of this user's, from 0 to 1.
    pub fn share(&self, transaction: &Transaction) -> f64 {
        let total: f64 = self.transactions.iter().map(|t| f64::from(t.weight)).sum();
        f64::from(transaction.weight) / total
    }
}

/// Think time, drawn uniformly from `min..=max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Think {
    /// Shortest.
    pub min: Duration,
    /// Longest.
    pub max: Duration,
}

impl Think {
    /// The wait after an iteration. The generator is that of
    /// [`Purpose::Think`](super::random::Purpose::Think).
    pub fn draw(&self, generator: &mut impl Rng) -> Duration {
        generator.random_range(self.min..=self.max)
    }
}

/// As written: `500ms..2s`, or `1s` where there is no choice.
impl fmt::Display for Think {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&show_duration(self.min))?;
        if self.min == self.max { Ok(()) } else { write!(f, "..{}", show_duration(self.max)) }
    }
}

/// Steps that are carried out one after another.
#[derive(Debug, Clone)]
pub struct Transaction {
    /// Name.
    pub name: String,
    /// Share among the transactions of its user.
    pub weight: u32,
    /// Steps, in order. Where one fails, the rest is not carried out.
    pub steps: Vec<StepId>,
}

/// One kind of request.
#[derive(Debug, Clone)]
pub struct Step {
    /// Name, unique in the scenario.
    pub name: String,
    /// HTTP method.
    pub method: http::Method,
    /// Path as written, for reports.
    pub path: String,
    /// Path, headers and body.
    pub template: StepTemplate,
    /// From the start of the attempt (connecting included) to the last byte of the body.
    pub timeout: Duration,
    /// What the response must be.
    pub expect: super::expect::Expect,
    /// The requests of an iteration, where there may be more or fewer than one.
    pub fan_out: Option<FanOut>,
    /// Earlier steps of the transaction whose results the templates of this one see as lists.
    pub after: Vec<StepId>,
    /// Values of the response that later steps see.
    pub extract: Vec<(String, Extract)>,
    /// How a stream of events is read; `None` for a response that is read as a whole.
    pub stream: Option<StreamRules>,
    /// Where the tokens of a whole response are reported; a stream's are in its rules.
    pub usage: Option<JsonPath>,
    /// When a failed request is made again; `None` for never.
    pub retry: Option<Retry>,
    /// Rows in the response, where one request carries many.
    pub rows: Option<RowsIn>,
    /// Limits within which a request counts for goodput.
    pub goodput: Option<Goodput>,
}

/// A step that makes a request for each element of a list, or of the cross product of several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FanOut {
    /// Names of data sources, joined steps or extracted lists. The last one varies fastest.
    pub lists: Vec<String>,
    /// Requests at the same time; at least 1.
    pub concurrency: u32,
    /// Whether one failed request fails the iteration. Requests that are due are made all the same.
    pub all_or_nothing: bool,
    /// Where the lists are named.
    #[serde(skip)]
    pub spot: Spot,
}

/// Where in a response a value is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Extract {
    /// In its JSON body.
    Json(JsonPath),
    /// A header.
    Header(String),
    /// The whole body as text.
    Body,
    /// All content of a stream, joined.
    Content,
    /// All reasoning of a stream, joined.
    Reasoning,
}

/// When and how often a failed request is made again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Retry {
    /// Attempts, the first included; at least 2.
    pub attempts: u32,
    /// Statuses after which it is made again.
    pub statuses: Vec<u16>,
    /// Whether it is made again where there is no response: no connection, reset, timeout.
    pub without_response: bool,
    /// Wait before the second attempt; it doubles with each one more.
    pub backoff: Duration,
    /// Longest wait. A `Retry-After` that asks for more is not followed: the request fails.
    pub longest: Duration,
    /// Share (0 to 1) of the wait that is drawn anew each time, so that clients do not come in step.
    pub jitter: f64,
}

/// Rows in a response that carries many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RowsIn {
    /// The array of rows.
    pub at: JsonPath,
    /// A row with a value other than null here failed, and this value says why.
    pub failed: Option<JsonPath>,
    /// What the example of such a failure shows; what `failed` says where there is none.
    pub detail: Option<JsonPath>,
    /// What each row that did not fail has; one without a value there failed after all.
    pub fields: Vec<JsonPath>,
}

/// Limits within which a successful request counts for goodput; all that are given must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Goodput {
    /// Response time.
    pub response_time: Option<Duration>,
    /// Time to first token.
    pub ttft: Option<Duration>,
    /// Time per output token.
    pub tpot: Option<Duration>,
}

/// What may be used up; the run ends in good order when it is.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Budget {
    /// Requests, attempts included. Never exceeded.
    pub requests: Option<u64>,
    /// Tokens of prompts and completions. Exceeded by what is in flight when it is used up.
    pub tokens: Option<u64>,
    /// Cost in the currency of the price table, exceeded as tokens are.
    pub cost: Option<f64>,
}

impl Budget {
    /// What is left once `requests` were made whose responses reported `used`.
    ///
    /// # Errors
    ///
    /// Says what is used up, where something is.
    pub fn after(&self, requests: u64, used: Tokens) -> Result<Budget, String> {
        let mut left = *self;
        if let Some(limit) = self.requests {
            left.requests = Some(limit.saturating_sub(requests));
            if left.requests == Some(0) {
                return Err(format!("the budget of {limit} requests is used up"));
            }
        }
        if let Some(limit) = self.tokens {
            left.tokens = Some(limit.saturating_sub(used.known()));
            if left.tokens == Some(0) {
                return Err(format!("the budget of {limit} tokens is used up"));
            }
        }
        if let Some(limit) = self.cost {
            let rest = limit - used.cost().unwrap_or(0.0);
            left.cost = Some(rest);
            if rest <= 0.0 {
                return Err(format!("the budget of {limit} for tokens is used up"));
            }
        }
        Ok(left)
    }
}

/// Load to use where the command line names none. At most one of users, stages, rate and rate stages
/// is given; the last two are open load.
#[derive(Debug, Clone, Default)]
pub struct DefaultLoad {
    /// `--users`.
    pub users: Option<u32>,
    /// `--stages` of users; not together with a duration.
    pub stages: Option<Vec<Stage>>,
    /// `--rate`.
    pub rate: Option<RateSpan>,
    /// `--stages` of rates; not together with a duration.
    pub rate_stages: Option<Vec<RateStage>>,
    /// `--arrivals`.
    pub arrivals: Option<Spread>,
    /// `--max-in-flight`.
    pub max_in_flight: Option<u32>,
    /// `--duration`.
    pub duration: Option<Duration>,
    /// `--warm-up`.
    pub warm_up: Option<Duration>,
}

impl DefaultLoad {
    /// Whether it is open load.
    pub fn is_open(&self) -> bool {
        self.rate.is_some() || self.rate_stages.is_some()
    }
}
