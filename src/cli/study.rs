//! `gander study`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser};

use crate::commands;
use crate::commands::study::Carried;
use crate::error::{Error, Exit};
use crate::plan::Plan;
use crate::scenario::errors::Diagnostic;
use crate::scenario::slo::Measure;
use crate::scenario::{Place, ScenarioError};
use crate::schedule::show_duration;
use crate::study::{Study, StudyRun};

use super::{Cli, Command, OutputArgs};

/// Carry out a designed experiment: runs that take turns, are compared, and are told as one report.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gander study inference              an inference service before and after its fix
  gander study multi-query --quick    a short form of a study, in about a minute
  gander study ./mine.toml            a study of your own (see docs/studies.md)")]
pub struct StudyArgs {
    /// Study: a name (inference, multi-query, time-travel) or a file
    #[arg(value_name = "STUDY")]
    study: String,
    /// A short form, in about a minute: shows that everything works; figures of it are rough
    #[arg(long)]
    quick: bool,
    /// Sample the target of every run besides, and show where its processor time goes
    #[arg(long)]
    profile: bool,
    /// Read the study, say what would be run, and run nothing
    #[arg(long)]
    check: bool,
    /// Source of the order of slices, and of all random draws of each run
    #[arg(long, value_name = "N", default_value_t = 42)]
    seed: u64,
    /// Folder for the study's folder
    #[arg(long, value_name = "DIR", default_value = "reports")]
    reports: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
}

impl StudyArgs {
    /// Carries the command out.
    pub fn run(self, command_line: Vec<String>) -> Result<Exit, Error> {
        let found = Place::of_process().find_study(&self.study).map_err(ScenarioError::from)?;
        let study = Study::read(&found.name, &found.source)?;
        let added = Added {
            length: study.length(self.quick).duration,
            seed: self.seed,
            profile: self.profile,
        };
        // Everything that is wrong with any of the runs, before the first of them begins.
        let mut problems = Vec::new();
        for run in study.runs(self.quick) {
            if let Err(error) = plan(run, added) {
                let message = format!("run `{}` cannot be carried out", run.name);
                let why = error.to_string();
                let label = why.lines().next().unwrap_or_default();
                let label = label.trim_start_matches("error: ").to_owned();
                problems.push(Diagnostic::at(run.spot.clone(), message, label));
            }
        }
        if !problems.is_empty() {
            return Err(ScenarioError { diagnostics: problems }.into());
        }
        let output = self.output.output();
        let carried = Carried {
            study,
            is_quick: self.quick,
            seed: self.seed,
            reports: self.reports,
            command_line,
            plan: Box::new(move |run| plan(run, added)),
        };
        match self.check {
            true => commands::study::describe(&carried, &output),
            false => commands::study::study(carried, output),
        }
    }
}

/// What is added to the commands of a study that do not say it themselves.
#[derive(Debug, Clone, Copy)]
struct Added {
    length: Duration,
    seed: u64,
    profile: bool,
}

/// What a run's command means.
fn plan(run: &StudyRun, added: Added) -> Result<Plan, Error> {
    let bad = |why: String| Error::BadInput(why);
    let mut words = vec!["gander".to_owned()];
    words.extend(run.command.iter().cloned());
    let parse = |words: &[String]| {
        Cli::try_parse_from(words)
            .map(|cli| cli.command)
            .map_err(|error| bad(error.to_string().trim_start_matches("error: ").to_owned()))
    };
    let ends = match parse(&words)? {
        Command::Load(arguments) => arguments.give_an_end(),
        Command::Profile(arguments) => arguments.gives_an_end(),
        Command::Soak(arguments) => arguments.gives_an_end(),
        _ => return Err(bad("a run is made by `load`, `profile` or `soak`".to_owned())),
    };
    if !ends {
        words.push(format!("--duration={}", show_duration(added.length)));
    }
    if !words.iter().any(|word| word == "--seed" || word.starts_with("--seed=")) {
        words.push(format!("--seed={}", added.seed));
    }
    let profiles = |word: &String| word == "--profile" || word == "profile";
    if added.profile && !words.iter().any(profiles) {
        words.push("--profile".to_owned());
    }
    let shown = words.iter().map(|word| mock_server::config::concealed(word)).collect();
    let mut plan = match parse(&words)? {
        Command::Load(arguments) => arguments.plan(shown),
        Command::Profile(arguments) => arguments.plan(shown),
        Command::Soak(arguments) => arguments.plan(shown),
        _ => Err(bad("a run is made by `load`, `profile` or `soak`".to_owned())),
    }?;
    // A slice is too short for rules on percentiles; a study judges by its own expectations.
    plan.scenario.slos.retain(|slo| !matches!(slo.measure, Measure::Percentile(_)));
    Ok(plan)
}
