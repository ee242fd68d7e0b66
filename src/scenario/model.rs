//! What a scenario means, after its file was read and checked.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::measure::sample::StepId;

use super::data::DataSet;
use super::slo::Slo;
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
    /// Load to use where the command line names none.
    pub load: DefaultLoad,
    /// Hex digest of everything above that makes up the workload, data included: two runs with the
    /// same digest did the same work.
    pub digest: String,
}

impl Scenario {
    /// The step with this id.
    pub fn step(&self, id: StepId) -> &Step {
        &self.steps[usize::from(id.0)]
    }
}

/// A reference service and its options, as `gander mock` takes them.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Service {
    /// Name: `inference`, …
    pub name: String,
    /// Option names and values, without leading dashes.
    pub options: BTreeMap<String, String>,
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
}

/// Think time, drawn uniformly from `min..=max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Think {
    /// Shortest.
    pub min: Duration,
    /// Longest.
    pub max: Duration,
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
}

/// Load to use where the command line names none.
#[derive(Debug, Clone, Default)]
pub struct DefaultLoad {
    /// `--users`.
    pub users: Option<u32>,
    /// `--stages`, as written there.
    pub stages: Option<Vec<crate::schedule::Stage>>,
    /// `--duration`.
    pub duration: Option<Duration>,
    /// `--warm-up`.
    pub warm_up: Option<Duration>,
}
