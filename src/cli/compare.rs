//! `gander compare`.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::commands::compare::{Compare, compare};
use crate::commands::output::{Format, Output};
use crate::error::{Error, Exit};

use super::FormatArg;

/// What changed between two runs, or two groups of runs: every figure with an interval and a verdict
#[derive(Debug, Args)]
#[command(after_help = "\
Both sides must have done the same work: steps, bodies, users or rate, on the same machine. What gander
measured anew is the difference that is left. A comparison is no gate: it exits 0 whatever it finds, and
4 where a run is not valid.

Several runs of a side count as one measurement. Runs that alternate (before, after, before, after, …)
show what the machine did meanwhile; from three on each side, the intervals cover it.

Examples:
  gander compare reports/2026-01-31T12-00-00-mix reports/2026-01-31T12-05-00-mix
  gander compare reports/old-1,reports/old-2,reports/old-3 reports/new-1,reports/new-2,reports/new-3 --paired
  gander compare BEFORE AFTER --margin 3% --margin p99=15%
  gander compare BEFORE AFTER --profile --rename svc::embed_v1=svc::embed")]
pub struct CompareArgs {
    /// Folder of the run before; several with commas between them
    before: String,
    /// Folder of the run after; several with commas between them
    after: String,
    /// The first run before was made together with the first one after, and so on (3 runs or more)
    #[arg(long)]
    paired: bool,
    /// How far figures may differ and count as unchanged: 5%, or one of them as p99=15% [default: 5%;
    /// p99 and memory 10%; failures 1 point]
    #[arg(long, value_name = "[NAME=]PERCENT")]
    margin: Vec<String>,
    /// Compare the profiles of the target too: which functions take more or less CPU time a request
    #[arg(long)]
    profile: bool,
    /// Compare runs of different workloads or machines too
    #[arg(long)]
    allow_different: bool,
    /// A function that had another name before
    #[arg(long, value_name = "OLD=NEW", value_parser = rename, requires = "profile")]
    rename: Vec<(String, String)>,
    /// Form of the result on standard output
    #[arg(long, value_enum, default_value_t = FormatArg::Text)]
    format: FormatArg,
    /// Folder for the comparison [default: reports/TIME-compare]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl CompareArgs {
    /// Carries the command out.
    pub fn run(self, command_line: Vec<String>) -> Result<Exit, Error> {
        let request = Compare {
            before: folders(&self.before),
            after: folders(&self.after),
            paired: self.paired,
            margins: self.margin,
            allow_different: self.allow_different,
            profile: self.profile,
            renames: self.rename,
            out: self.out,
            command_line,
        };
        let format = Format::from(self.format);
        compare(&request, &Output { format, ..Output::default() })
    }
}

/// The folders that `text` names; a folder whose own name has a comma is one.
fn folders(text: &str) -> Vec<PathBuf> {
    match Path::new(text).exists() {
        true => vec![text.into()],
        false => text.split(',').filter(|part| !part.is_empty()).map(PathBuf::from).collect(),
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
