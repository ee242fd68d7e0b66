//! `study.json`: what a study is made of. Its figures are in the run folders of its slices.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Error;

use super::entry::Environment;
use super::folder::RunFolder;

/// Name of the file in a study's folder.
pub const FILE_NAME: &str = "study.json";
/// Version of the file's form. A reader refuses later ones and reads all earlier ones.
pub const SCHEMA_VERSION: u32 = 1;

/// A study: what was asked for, and what was run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StudyRecord {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// The study's name.
    pub study: String,
    /// The text of its file, from which the report is made.
    pub source: String,
    /// Whether the short form was asked for.
    pub is_quick: bool,
    /// Wall-clock start, with zone.
    pub started_at: String,
    /// The command line as given.
    pub command_line: Vec<String>,
    /// Where it was made.
    pub environment: Environment,
    /// Source of the order of slices, and of each run's draws.
    pub seed: u64,
    /// Measured time of a slice, where its run does not say it.
    pub slice: Duration,
    /// Slices that were planned.
    pub planned: usize,
    /// Slices that were made, in order.
    pub slices: Vec<SliceRecord>,
    /// Slices that were no valid runs, and were made again: in no figure.
    pub set_aside: Vec<SliceRecord>,
    /// How it ended; `None` while it runs, and where it was killed.
    pub end: Option<StudyEnd>,
}

/// A slice of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SliceRecord {
    /// Name of the run.
    pub run: String,
    /// Which slice of it, counted from 1.
    pub slice: u32,
    /// Its run folder, below the study's.
    pub folder: String,
    /// What the target answered after it, by name; an answer that could not be had is left out.
    pub asked: BTreeMap<String, Value>,
    /// Its ledger, of a reference service.
    pub ledger: Option<Value>,
    /// The ledger of the service that it calls, where gander started that too.
    pub behind: Option<Value>,
}

/// How a study ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StudyEnd {
    /// Every slice was made.
    Done,
    /// SIGINT.
    Interrupted,
    /// SIGTERM or SIGHUP.
    Terminated,
    /// Something failed, in words.
    Failed(String),
}

/// Whether `folder` is that of a study.
pub fn is_study(folder: &Path) -> bool {
    folder.join(FILE_NAME).is_file()
}

/// Reads the record of the study in `folder`.
///
/// # Errors
///
/// Where it cannot be read, is damaged, or of a later form.
pub fn read(folder: &Path) -> Result<StudyRecord, Error> {
    super::record::read(&folder.join(FILE_NAME), "a study", SCHEMA_VERSION)
}

/// Writes the record, with `summary` for those who read figures from the file.
pub fn write(folder: &RunFolder, record: &StudyRecord, summary: Value) -> Result<(), Error> {
    super::record::write(folder, FILE_NAME, record, summary)
}
