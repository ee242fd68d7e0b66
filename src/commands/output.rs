//! Where and how a command's results are shown.

use std::io::{IsTerminal, Write};

use serde_json::Value;

use crate::error::{Error, Exit};
use crate::report::dialect::Dialect;
use crate::report::model::Report;
use crate::report::terminal;
use crate::store::folder::RunFolder;

/// The form of results on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Tables for a person.
    #[default]
    Text,
    /// The summary for a machine.
    Json,
}

/// How a command shows what it has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Output {
    /// Form of the results.
    pub format: Format,
    /// No progress.
    pub quiet: bool,
    /// The tool by whose names and formulas the times of streams are shown besides.
    pub dialect: Option<Dialect>,
}

impl Output {
    /// Whether progress is shown (on standard error).
    pub fn shows_progress(&self) -> bool {
        !self.quiet
    }

    /// Columns of the terminal, or a width that suits files.
    pub fn width(&self) -> usize {
        const OF_FILES: usize = 120;
        let terminal = comfy_table::Table::new().width();
        if std::io::stdout().is_terminal() {
            terminal.map_or(OF_FILES, usize::from)
        } else {
            OF_FILES
        }
    }

    /// Whether colours help: in a terminal, unless `NO_COLOR` is set.
    pub fn colour(&self) -> bool {
        std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
    }

    /// Shows what was made in `folder`: the report, or its figures as `summary` has them.
    pub fn show(
        &self,
        report: &Report,
        mut summary: Value,
        folder: &RunFolder,
    ) -> Result<(), Error> {
        match self.format {
            Format::Text => self.print(&terminal::render(report, self.width(), self.colour())),
            Format::Json => {
                summary["folder"] = folder.path().display().to_string().into();
                self.print(&format!("{summary:#}\n"))
            }
        }
    }

    /// Writes `text` to standard output. A reader that went away (`| head`) is no error.
    pub fn print(&self, text: &str) -> Result<(), Error> {
        match std::io::stdout().lock().write_all(text.as_bytes()) {
            Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Error::storage("cannot write to standard output")(e))
            }
            _ => Ok(()),
        }
    }
}

/// Shows why a command could not do what was asked.
pub fn failed(error: &Error) -> Exit {
    let heading = if matches!(error, Error::Diagnosed(_)) { "" } else { "error: " };
    // Standard error that is closed changes nothing about the exit code.
    let _ = writeln!(std::io::stderr(), "{heading}{error}");
    error.exit()
}
