//! `gander compare`.

use std::path::PathBuf;

use clap::Args;

use crate::commands::compare::{Compare, compare};
use crate::commands::output::Output;
use crate::error::{Error, Exit};

/// What differs between two profiled runs: functions that take more or less CPU time a request
#[derive(Debug, Args)]
#[command(after_help = "\
Compares CPU time a request, not shares, and says which differences are larger than sampling noise.

Examples:
  gander compare reports/2026-01-31T12-00-00-mix reports/2026-01-31T12-05-00-mix --profile
  gander compare BEFORE AFTER --profile --rename svc::embed_v1=svc::embed")]
pub struct CompareArgs {
    /// Folder of the run before
    before: PathBuf,
    /// Folder of the run after
    after: PathBuf,
    /// Compare the profiles of the target
    #[arg(long, required = true)]
    profile: bool,
    /// Compare runs of different workloads too
    #[arg(long)]
    allow_different: bool,
    /// A function that had another name before
    #[arg(long, value_name = "OLD=NEW", value_parser = rename)]
    rename: Vec<(String, String)>,
    /// Folder for the comparison [default: reports/TIME-compare]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl CompareArgs {
    /// Carries the command out.
    pub fn run(self) -> Result<Exit, Error> {
        let request = Compare {
            before: self.before,
            after: self.after,
            allow_different: self.allow_different,
            renames: self.rename,
            out: self.out,
        };
        compare(&request, Output::default())
    }
}

fn rename(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((old, new)) if !old.is_empty() && !new.is_empty() => {
            Ok((old.to_owned(), new.to_owned()))
        }
        _ => Err("OLD=NEW is expected, as svc::embed_v1=svc::embed".to_owned()),
    }
}
