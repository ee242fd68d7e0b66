//! `gander soak`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser};

use crate::commands;
use crate::commands::soak::Begun;
use crate::error::{Error, Exit};
use crate::plan::{Plan, Purpose, Target};
use crate::scenario::slo::Alert;
use crate::store::folder::RunFolder;

use super::load::LoadArgs;
use super::parse::duration;
use super::{Cli, Command};

/// Options that may be given with `--resume`; how many words follow each.
const WITH_RESUME: [(&str, usize); 7] = [
    ("--resume", 1),
    ("--pid", 1),
    ("--format", 1),
    ("--dialect", 1),
    ("--quiet", 0),
    ("-q", 0),
    ("--", 0),
];

/// Long load: what drifts, what leaks, what stays open; goes on after a kill.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gander soak multi-query --rows 1000                 1000 rows, each done exactly once
  gander soak inference-mix --duration 4h --users 50  four hours of 50 users
  gander soak --resume reports/2026-01-31T12-00-00-multi-query
                                                      goes on where that run was killed")]
pub struct SoakArgs {
    #[command(flatten)]
    load: LoadArgs,
    /// For how long the target is looked at after the load: what is open then was not given back
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "2s", help_heading = "Soak")]
    settle: Duration,
    /// Run folder of a soak that was killed or interrupted: it goes on, with the options that it was
    /// begun with; rows that are done are not done again
    #[arg(long, value_name = "FOLDER", help_heading = "Soak")]
    resume: Option<PathBuf>,
}

impl SoakArgs {
    /// Carries the command out.
    pub fn run(self, command_line: Vec<String>) -> Result<Exit, Error> {
        let output = self.load.output();
        let Some(folder) = self.resume.clone() else {
            if !self.load.give_an_end() {
                return Err(Error::BadInput(
                    "a soak needs to know how long: give --rows 1000 or --duration 4h".to_owned(),
                ));
            }
            return commands::soak::soak(self.plan(command_line)?, output);
        };
        refuse_others(&command_line)?;
        let pid = self.load.pid();
        let Begun { command_line: recorded, working_directory } = commands::soak::begun(&folder)?;
        let cannot = |why: &str| {
            Error::BadInput(format!(
                "{} cannot go on: its command line, `{}`, {why}",
                folder.display(),
                recorded.join(" ")
            ))
        };
        let Ok(Cli { command: Command::Soak(arguments) }) = Cli::try_parse_from(&recorded) else {
            return Err(cannot("is not understood by this gander"));
        };
        let mut plan =
            arguments.plan(recorded).map_err(|error| elsewhere(error, working_directory))?;
        // One that was started again has another process than the one that was named.
        match (&mut plan.target, pid) {
            (_, None) => {}
            (Target::Running { pid: named, .. }, given) => *named = given,
            (Target::Reference(_) | Target::Spawn(_), Some(_)) => {
                return Err(Error::BadInput(
                    "--pid: this soak starts its target by itself, and knows its process"
                        .to_owned(),
                ));
            }
        }
        commands::soak::resume(plan, RunFolder::open(folder), output)
    }

    /// Whether the arguments alone say when the run ends.
    pub(super) fn gives_an_end(&self) -> bool {
        self.load.give_an_end()
    }

    /// What the arguments ask for.
    pub(super) fn plan(self, command_line: Vec<String>) -> Result<Plan, Error> {
        let mut plan = self.load.plan(command_line)?;
        if plan.scenario.alerts.is_empty() {
            plan.scenario.alerts = Alert::defaults();
        }
        Ok(Plan { purpose: Purpose::Soak, settle: self.settle, ..plan })
    }
}

/// Why a recorded command line cannot be carried out, with the folder that its paths are meant from,
/// where that is another one.
fn elsewhere(error: Error, begun_in: Option<String>) -> Error {
    let here = std::env::current_dir().ok().map(|folder| folder.display().to_string());
    let Some(folder) = begun_in.filter(|folder| here.as_ref() != Some(folder)) else {
        return error;
    };
    let more = format!(
        "the soak was begun in {folder}, and its paths are meant from there: go on with it from that \
         folder"
    );
    match error {
        Error::BadInput(why) => Error::BadInput(format!("{why}\n{more}")),
        Error::Diagnosed(shown) => Error::Diagnosed(format!("{}\n\n{more}\n", shown.trim_end())),
        other => other,
    }
}

/// What a run that goes on does was said when it began.
fn refuse_others(command_line: &[String]) -> Result<(), Error> {
    let mut words = command_line.iter().skip(2);
    while let Some(word) = words.next() {
        let name = word.split_once('=').map_or(word.as_str(), |(name, _)| name);
        let Some((_, values)) = WITH_RESUME.iter().find(|(known, _)| *known == name) else {
            return Err(Error::BadInput(format!(
                "{word} does not go with --resume: the run goes on with the options that it was begun \
                 with; only --pid, --format, --dialect and --quiet may be given besides"
            )));
        };
        if *values > 0 && !word.contains('=') {
            words.next();
        }
    }
    Ok(())
}
