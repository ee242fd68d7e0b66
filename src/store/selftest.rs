//! `selftest.json`: what a self-test is made of. Its figures are in the folders of its runs, beside
//! what the service counted of each.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use mock_server::ledger::Snapshot;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Error;

use super::entry::Environment;
use super::folder::RunFolder;
use super::record;

/// Name of the file in a self-test's folder.
pub const FILE_NAME: &str = "selftest.json";
/// Name of the service's ledger in the folder of a run.
pub const LEDGER_NAME: &str = "service-ledger.json";
/// Version of the file's form. A reader refuses later ones and reads all earlier ones.
pub const SCHEMA_VERSION: u32 = 1;

/// A self-test: what was to be done, and the runs that were made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SelftestRecord {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// Wall-clock start, with zone.
    pub started_at: String,
    /// The command line as given.
    pub command_line: Vec<String>,
    /// Where it was made.
    pub environment: Environment,
    /// Worker threads of the generator.
    pub threads: usize,
    /// Length of each run.
    pub each: Duration,
    /// Runs that were planned.
    pub planned: usize,
    /// Runs that were made, in order.
    pub runs: Vec<RunRecord>,
}

/// A run of a self-test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// What was asked for.
    pub work: Work,
    /// How much of it.
    pub load: Applied,
    /// Its run folder, below the self-test's.
    pub folder: String,
}

/// What the service is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Whole answers.
    Answers,
    /// Streams of tokens.
    Streams,
}

impl Work {
    /// The name in tables and folders.
    pub fn name(self) -> &'static str {
        match self {
            Work::Answers => "answers",
            Work::Streams => "streams",
        }
    }
}

/// How much load.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Applied {
    /// Users that wait for their answers.
    Users(u32),
    /// Arrivals a second.
    Rate(f64),
}

/// `1 user`, `10 users`, `50/s`.
impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Applied::Users(1) => f.write_str("1 user"),
            Applied::Users(users) => write!(f, "{users} users"),
            Applied::Rate(rate) => write!(f, "{rate}/s"),
        }
    }
}

/// Whether `folder` is that of a self-test.
pub fn is_selftest(folder: &Path) -> bool {
    folder.join(FILE_NAME).is_file()
}

/// Writes the record, and the figures for other tools to read as `summary`.
pub fn write(folder: &RunFolder, record: &SelftestRecord, summary: Value) -> Result<(), Error> {
    record::write(folder, FILE_NAME, record, summary)
}

/// Reads the record back.
///
/// # Errors
///
/// Where the file cannot be read, is damaged, or is of a later version.
pub fn read(folder: &Path) -> Result<SelftestRecord, Error> {
    let record: SelftestRecord = from_file(&folder.join(FILE_NAME))?;
    match record.schema_version {
        0..=SCHEMA_VERSION => Ok(record),
        later => Err(Error::BadInput(format!(
            "{}: schema version {later}; this gander reads up to {SCHEMA_VERSION}: use a later gander",
            folder.join(FILE_NAME).display()
        ))),
    }
}

/// Writes what the service counted into the folder of the run.
pub fn write_ledger(run: &RunFolder, ledger: &Snapshot) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(ledger)
        .expect("invariant: our own types serialise: string keys, no failing serialisers");
    run.write(LEDGER_NAME, format!("{text}\n").as_bytes())
}

/// Reads back what the service counted in the run of that folder.
///
/// # Errors
///
/// Where the file cannot be read, or is damaged.
pub fn read_ledger(run: &Path) -> Result<Snapshot, Error> {
    from_file(&run.join(LEDGER_NAME))
}

fn from_file<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let text = std::fs::read_to_string(path)
        .map_err(Error::storage(format!("cannot read {}", path.display())))?;
    serde_json::from_str(&text)
        .map_err(|error| Error::BadInput(format!("{} is damaged: {error}", path.display())))
}
