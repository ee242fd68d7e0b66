//! `gate.json`: what a gate is made of. Its rounds' values are in it, so that it can be told without
//! the run folders of its rounds.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Error;
use crate::scenario::slo::Slo;

use super::entry::Environment;
use super::folder::RunFolder;

/// Name of the file in a gate's folder.
pub const FILE_NAME: &str = "gate.json";
/// Version of the file's form. A reader refuses later ones and reads all earlier ones.
pub const SCHEMA_VERSION: u32 = 1;

/// A gate: what was asked for, and what was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateRecord {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// Name of the scenario.
    pub scenario: String,
    /// What it is about.
    pub about: String,
    /// Digest of the workload.
    pub digest: String,
    /// Wall-clock start, with zone.
    pub started_at: String,
    /// The command line as given.
    pub command_line: Vec<String>,
    /// Where it was made.
    pub environment: Environment,
    /// Source of all random draws.
    pub seed: u64,
    /// What base and head are, in words.
    pub sides: [String; 2],
    /// Whether both versions are started anew for each round.
    pub restarts: bool,
    /// Iterations a second at each of them, and where that number comes from.
    pub rate: GateRate,
    /// Measured time of a round.
    pub slice: Duration,
    /// Load before it.
    pub warm_up: Duration,
    /// The time that all rounds may take.
    pub most_time: Duration,
    /// Margins in place of the usual ones, as given.
    pub margins: Vec<String>,
    /// Chance of a false alarm.
    pub alpha: f64,
    /// Chance to pass a figure that is worse by its margin.
    pub beta: f64,
    /// Sizes of worsenings for which it is to say how long a gate must run; none where it decides.
    pub effects: Vec<f64>,
    /// Rules that the head must keep.
    pub slos: Vec<Slo>,
    /// Figures that are judged, as the analysis names them.
    pub subjects: Value,
    /// Figures that cannot be judged at this load, and why: decided before the first round.
    pub left_out: Vec<(String, String)>,
    /// Rounds at most; `None` before the first.
    pub most_rounds: Option<u32>,
    /// Rounds that were made, in order. What is in `values` is read by the analysis.
    pub rounds: Vec<RoundRecord>,
    /// Rounds that were no valid runs: in no figure.
    pub set_aside: Vec<SetAside>,
    /// Time that it took so far.
    pub took: Duration,
    /// How it ended; `None` while it runs, and where it was killed.
    pub end: Option<GateEnd>,
}

/// The rate of a gate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GateRate {
    /// Iterations a second.
    pub per_second: f64,
    /// Iterations a second that the base did alone in closed load, where the rate is a share of them.
    pub of_alone: Option<f64>,
}

/// A round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoundRecord {
    /// Its number, from 1.
    pub number: u32,
    /// Run folders of base and head, below the gate's.
    pub folders: [String; 2],
    /// Whether the base was started before the head.
    pub base_first: bool,
    /// Share of the round in which some task waited for a processor, where the kernel says it.
    pub pressure: Option<f64>,
    /// The values of its figures.
    pub values: Value,
}

/// A round that counts for nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetAside {
    /// Its run folders.
    pub folders: [String; 2],
    /// What speaks against it.
    pub reasons: Vec<String>,
}

/// How a gate ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateEnd {
    /// Everything was decided.
    Decided,
    /// All rounds were made.
    AllRounds,
    /// Its time was over.
    TimeOver,
    /// A version that gander started ended by itself: which of them (base, head), and in which round.
    Gone {
        /// Whether it was the head.
        is_head: bool,
        /// The round.
        round: u32,
        /// What it said last.
        said: String,
    },
    /// SIGINT.
    Interrupted,
    /// SIGTERM or SIGHUP.
    Terminated,
    /// Something failed, in words.
    Failed(String),
}

/// Whether `folder` is that of a gate.
pub fn is_gate(folder: &Path) -> bool {
    folder.join(FILE_NAME).is_file()
}

/// Reads the record of the gate in `folder`.
///
/// # Errors
///
/// Where it cannot be read, is damaged, or of a later form.
pub fn read(folder: &Path) -> Result<GateRecord, Error> {
    super::record::read(&folder.join(FILE_NAME), "a gate", SCHEMA_VERSION)
}

/// Writes the record, with `summary` for those who read figures from the file.
pub fn write(folder: &RunFolder, record: &GateRecord, summary: Value) -> Result<(), Error> {
    super::record::write(folder, FILE_NAME, record, summary)
}
