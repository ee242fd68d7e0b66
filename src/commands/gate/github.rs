//! GitHub Actions, where gander runs in a step of it: annotations, the step's summary and its outputs.

use std::env;
use std::fs::OpenOptions;
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::report::gate::github;
use crate::store::folder::RunFolder;

use super::super::output::{Format, Output};
use super::tell::ForCi;

/// The step that gander runs in, as the environment tells; each part by itself, for runners of other
/// makers set some of the variables.
pub struct Step {
    /// `GITHUB_ACTIONS`: whether workflow commands are read.
    reads_commands: bool,
    /// `GITHUB_STEP_SUMMARY`: Markdown that is appended here is shown with the step.
    summary: Option<PathBuf>,
    /// `GITHUB_OUTPUT`: outputs of the step are appended here.
    outputs: Option<PathBuf>,
}

impl Step {
    /// The step of this process' environment.
    pub fn of_environment() -> Step {
        let file = |name| env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        Step {
            reads_commands: env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true"),
            summary: file("GITHUB_STEP_SUMMARY"),
            outputs: file("GITHUB_OUTPUT"),
        }
    }

    /// Tells how a gate went; nothing of a plan, which decides nothing.
    pub fn tell(
        &self,
        gate: Option<&ForCi>,
        folder: &RunFolder,
        output: &Output,
    ) -> Result<(), Error> {
        let Some(gate) = gate else { return Ok(()) };
        if let Some(path) = &self.summary {
            append(path, &format!("{}\n", gate.comment))?;
        }
        if let Some(path) = &self.outputs {
            let folder = folder.path().display().to_string();
            append(path, &github::outputs(gate.decision.name(), &folder))?;
        }
        self.annotate(&gate.annotations, output)
    }

    /// Tells why a gate could not be carried out.
    pub fn failed(&self, scenario: &str, error: &Error, output: &Output) -> Result<(), Error> {
        self.annotate(&[github::failure(scenario, &error.to_string())], output)
    }

    /// Runners read both streams: JSON on standard output stays whole.
    fn annotate(&self, lines: &[String], output: &Output) -> Result<(), Error> {
        if !self.reads_commands {
            return Ok(());
        }
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        match output.format {
            Format::Text => output.print(&text),
            Format::Json => {
                // Standard error that is closed changes nothing about the exit code.
                let _ = stderr().write_all(text.as_bytes());
                Ok(())
            }
        }
    }
}

fn append(path: &Path, text: &str) -> Result<(), Error> {
    let file = OpenOptions::new().append(true).create(true).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(Error::storage(format!("cannot append to {}", path.display())))
}
