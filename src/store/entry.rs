//! What a journal line can say, and its form on disk.

use serde::{Deserialize, Serialize};

use crate::measure::distribution::{Damaged, EncodedDistribution};
use crate::measure::interval::{Delivered, ErrorKey, ErrorRecord, Interval, Key, Phase, Traffic};
use crate::measure::ledger::Ledger;
use crate::measure::metric::Metric;
use crate::measure::numbers::Numbers;
use crate::measure::resource::ResourceSample;
use crate::measure::rows::StoredRows;
use crate::measure::sample::{Offset, Outcome, StepId};
use crate::measure::scrape::Scraped;
use crate::measure::summary::MeasuredWindow;
use crate::plan::{PlanRecord, Stop, TargetRecord};

/// Version of the journal's form. A reader refuses later ones and reads all earlier ones.
pub const SCHEMA_VERSION: u32 = 1;

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum Entry {
    /// Always the first line.
    Start(Box<Start>),
    /// A second of the run.
    Interval(Box<StoredInterval>),
    /// A look at a process tree.
    Resource(Box<ResourceSample>),
    /// A look at the target's own numbers.
    Scraped(Scraped),
    /// Something a reader should know.
    Event(Event),
    /// The run goes on after it was killed or interrupted; offsets too, as if no time had passed.
    Resumed(Resumed),
    /// The target some time after the load.
    Settled(Settled),
    /// The load has ended, and was not killed. What the target did after it, and what it says of itself
    /// then, may follow.
    End(End),
}

/// How a run began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// Wall-clock start, with zone.
    pub started_at: String,
    /// What was going to be done.
    pub plan: PlanRecord,
    /// Where, and by which gander.
    pub environment: Environment,
    /// The folder from which the paths of its command line are meant; `None` in records of earlier
    /// versions, and where the system does not say it.
    #[serde(default)]
    pub working_directory: Option<String>,
}

/// Where a run was made, and by which gander.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Version of gander.
    pub gander_version: String,
    /// Commit that gander was built from; `None` where it was not built from a repository.
    pub gander_commit: Option<String>,
    /// Whether gander was built with optimisations.
    pub optimised_build: bool,
    /// Operating system and kernel.
    pub system: String,
    /// Processor model.
    pub cpu: String,
    /// Processors of the machine; in records of earlier versions, those that gander might use.
    pub cores: usize,
    /// Processors that gander may use: its affinity and its control group may leave it fewer. `None` in
    /// records of earlier versions.
    #[serde(default)]
    pub usable_cores: Option<usize>,
    /// Memory of the machine in bytes.
    pub memory_bytes: u64,
}

impl Environment {
    /// `8 cores`, or `8 cores (gander may use 2)`.
    pub fn cores_in_words(&self) -> String {
        let cores = match self.cores {
            1 => "1 core".to_owned(),
            cores => format!("{cores} cores"),
        };
        match self.usable_cores.filter(|usable| *usable < self.cores) {
            Some(usable) => format!("{cores} (gander may use {usable})"),
            None => cores,
        }
    }
}

/// Something a reader should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Offset,
    /// What, in one line.
    pub text: String,
}

/// How a run went on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resumed {
    /// Where the records go on.
    pub at: Offset,
    /// Wall-clock time, with zone.
    pub resumed_at: String,
    /// Time from the last record to this one, in seconds, as far as the file's time of change tells.
    pub away_seconds: Option<f64>,
    /// Whether it was killed, rather than interrupted: then what it did after its last record is not
    /// known. `None` in records of earlier versions.
    #[serde(default)]
    pub killed: Option<bool>,
    /// The target from here on.
    pub target: TargetRecord,
}

/// What the target had open some time after the load had ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settled {
    /// End of the load: nothing was in flight any more, and gander closed its connections.
    pub load_ended: Offset,
    /// When it was looked at.
    pub at: Offset,
    /// What a reference service that gander started knows of it.
    pub service: Option<ServiceSockets>,
}

/// Connections as a reference service counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSockets {
    /// Connections that it accepted in its whole life.
    pub accepted: u64,
    /// Open ones, that of the one who asks not counted.
    pub open: u64,
    /// Clients that it made in its whole life for calls to the service behind it.
    pub upstream_clients: u64,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// Why.
    pub stop: Stop,
    /// In words, where `stop` alone does not say it.
    pub reason: Option<String>,
    /// When nothing was in flight any more.
    pub at: Offset,
    /// The part from which figures are made.
    pub window: MeasuredWindow,
    /// How far the wall clock moved against the monotonic clock during the run, in seconds.
    pub clock_shift_seconds: f64,
}

/// An [`Interval`] in its stored form: histograms encoded, so that hours of them fit in memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredInterval {
    /// Begin.
    pub start: Offset,
    /// End.
    pub end: Offset,
    /// Users active at the end.
    pub users: u32,
    /// The measured part, as far as it is known at `end`.
    pub window: MeasuredWindow,
    /// Latencies.
    pub distributions: Vec<(Key, EncodedDistribution)>,
    /// Bytes and connections.
    pub traffic: Vec<(StepId, Phase, Traffic)>,
    /// Requests that ended inside the measured window.
    pub completed: Vec<(StepId, Outcome, u64)>,
    /// What requests brought that ended inside the measured window.
    #[serde(default)]
    pub delivered: Vec<(StepId, Delivered)>,
    /// Errors.
    pub errors: Vec<(ErrorKey, ErrorRecord)>,
    /// Rows.
    #[serde(default)]
    pub rows: StoredRows,
    /// Totals of the run up to `end`.
    pub ledger: Ledger,
    /// Numbers of the iterations that are done at `end`; `None` in records of earlier versions.
    #[serde(default)]
    pub done: Option<Numbers>,
}

impl From<&Interval> for StoredInterval {
    fn from(interval: &Interval) -> Self {
        StoredInterval {
            start: interval.start,
            end: interval.end,
            users: interval.users,
            window: interval.window,
            distributions: interval
                .distributions
                .iter()
                .map(|(key, distribution)| (*key, distribution.encode()))
                .collect(),
            traffic: interval
                .traffic
                .iter()
                .map(|(&(step, phase), &sum)| (step, phase, sum))
                .collect(),
            completed: interval.completed.iter().map(|(&(step, how), &n)| (step, how, n)).collect(),
            delivered: interval.delivered.iter().map(|(&step, &sum)| (step, sum)).collect(),
            errors: interval.errors.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
            rows: (&interval.rows).into(),
            ledger: interval.ledger,
            done: Some(interval.done.clone()),
        }
    }
}

impl StoredInterval {
    /// The response times recorded in it: every request that ended is in exactly one of these.
    pub fn response_times(&self) -> impl Iterator<Item = (&Key, &EncodedDistribution)> {
        self.times(Metric::ResponseTime)
    }

    /// Values of a metric recorded in it.
    pub fn times(&self, metric: Metric) -> impl Iterator<Item = (&Key, &EncodedDistribution)> {
        let all = self.distributions.iter().map(|(key, stored)| (key, stored));
        all.filter(move |(key, _)| key.metric == metric)
    }

    /// The same without its histograms of requests.
    pub fn without_times(&self) -> StoredInterval {
        StoredInterval {
            start: self.start,
            end: self.end,
            users: self.users,
            window: self.window,
            distributions: Vec::new(),
            traffic: Vec::new(),
            completed: self.completed.clone(),
            delivered: Vec::new(),
            errors: Vec::new(),
            rows: self.rows.clone(),
            ledger: self.ledger,
            done: None,
        }
    }

    /// Back to the interval.
    pub fn decode(&self) -> Result<Interval, Damaged> {
        let distributions = self
            .distributions
            .iter()
            .map(|(key, stored)| Ok((*key, stored.decode()?)))
            .collect::<Result<_, Damaged>>()?;
        Ok(Interval {
            start: self.start,
            end: self.end,
            users: self.users,
            window: self.window,
            distributions,
            traffic: self.traffic.iter().map(|&(step, phase, sum)| ((step, phase), sum)).collect(),
            completed: self.completed.iter().map(|&(step, how, n)| ((step, how), n)).collect(),
            delivered: self.delivered.iter().copied().collect(),
            errors: self.errors.iter().cloned().collect(),
            rows: self.rows.decode()?,
            ledger: self.ledger,
            done: self.done.clone().unwrap_or_default(),
        })
    }
}
