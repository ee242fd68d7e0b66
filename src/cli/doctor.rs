//! `gander doctor`.

use std::path::PathBuf;

use clap::Args;

use super::OutputArgs;
use crate::error::{Error, Exit};

/// What this machine lets gander measure, and the command that mends what it does not
#[derive(Debug, Args)]
#[command(after_help = "\
Looks at processors, memory, limits, ports, clock, disk and samplers, and says of each whether it is \
good, limits what can be measured, or is missing. Takes about two seconds and changes nothing. Exit \
code 0, or 3 where gander cannot measure here at all.

Examples:
  gander doctor
  gander doctor --reports /data/reports --format json")]
pub struct DoctorArgs {
    /// Folder for run folders: whether it can be written to, and how fast
    #[arg(long, value_name = "DIR", default_value = "reports")]
    reports: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
}

impl DoctorArgs {
    /// Carries the command out.
    pub fn run(self) -> Result<Exit, Error> {
        crate::commands::doctor::doctor(&self.reports, &self.output.output())
    }
}
