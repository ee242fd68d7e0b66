//! `sweep.json`: what a sweep is made of. Its figures are in the run folders of its points.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Error;
use crate::scenario::slo::Slo;

use super::folder::RunFolder;
use super::record;

/// Name of the file in a sweep's folder.
pub const FILE_NAME: &str = "sweep.json";
/// Version of the file's form. A reader refuses later ones and reads all earlier ones.
pub const SCHEMA_VERSION: u32 = 1;

/// A sweep: what was asked for, and the points that were measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepRecord {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// The scenario's name.
    pub scenario: String,
    /// The variant of it.
    #[serde(default)]
    pub variant: Option<String>,
    /// Settings that were laid over it, each as `KEY=VALUE`.
    #[serde(default)]
    pub settings: Vec<String>,
    /// Wall-clock start, with zone.
    pub started_at: String,
    /// The command line as given.
    pub command_line: Vec<String>,
    /// Seed of each point's run.
    pub seed: u64,
    /// What was changed from point to point: one or two axes, the first one in the law's place of N.
    pub axes: Vec<Axis>,
    /// Rules that end a search; none where the values of the axes are all measured.
    pub until: Vec<Slo>,
    /// Runs of each point; of a search: runs that confirm a load.
    pub trials: u32,
    /// Distance of loads at which a search ends.
    pub resolution: f64,
    /// Points, in the order in which they were measured.
    pub points: Vec<PointRecord>,
    /// How it ended; `None` while it runs, and where it was killed.
    pub end: Option<SweepEnd>,
}

/// Something that is changed from point to point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// What.
    pub dimension: Dimension,
    /// Its values, in order.
    pub values: Vec<String>,
}

/// What is changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// Users of closed load.
    Users,
    /// Iterations started per second, of open load.
    Rate,
    /// A setting of the reference service, which is started anew for each point.
    Service(String),
}

impl Dimension {
    /// Its name in tables and folders.
    pub fn name(&self) -> &str {
        match self {
            Dimension::Users => "users",
            Dimension::Rate => "rate",
            Dimension::Service(key) => key,
        }
    }

    /// `value` in words: `10 users`, `10/s`, `pool_size = 4`.
    pub fn in_words(&self, value: &str) -> String {
        match self {
            Dimension::Users if value == "1" => "1 user".to_owned(),
            Dimension::Users => format!("{value} users"),
            Dimension::Rate => format!("{value}/s"),
            Dimension::Service(key) => format!("{key} = {value}"),
        }
    }
}

/// A run of a sweep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointRecord {
    /// Its value on each axis.
    pub at: Vec<String>,
    /// Which run of this point, counted from 1.
    pub trial: u32,
    /// Why it was made.
    pub stage: Stage,
    /// Its run folder, below the sweep's.
    pub folder: String,
}

/// Why a point was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It was asked for.
    Listed,
    /// To find a load that breaks a rule.
    Climb,
    /// To come nearer to the limit.
    Bisect,
    /// To see whether the answer holds.
    Confirm,
}

/// How a sweep ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SweepEnd {
    /// All that was to be measured was.
    Done,
    /// The target is dead: what was seen.
    Dead(String),
    /// SIGINT.
    Interrupted,
    /// SIGTERM or SIGHUP.
    Terminated,
    /// What it may use up is used up: which budget.
    Budget(String),
    /// Something else, in words.
    Failed(String),
}

/// Whether `folder` is that of a sweep.
pub fn is_sweep(folder: &Path) -> bool {
    folder.join(FILE_NAME).is_file()
}

/// Reads the record of the sweep in `folder`.
///
/// # Errors
///
/// Where it cannot be read, is damaged, or of a later form.
pub fn read(folder: &Path) -> Result<SweepRecord, Error> {
    record::read(&folder.join(FILE_NAME), "a sweep", SCHEMA_VERSION)
}

/// Writes the record, with `summary` for those who read figures from the file.
pub fn write(folder: &RunFolder, record: &SweepRecord, summary: Value) -> Result<(), Error> {
    record::write(folder, FILE_NAME, record, summary)
}
