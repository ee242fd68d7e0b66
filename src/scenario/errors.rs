//! What is wrong with a scenario: all of it, each thing shown at its place.

use std::fmt;

use crate::error::Error;

pub use mock_server::document::{Diagnostic, Source, Spot, Style, nearest, suggestion};

/// Everything that was found wrong with a scenario; at least one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScenarioError {
    /// In the order of the file.
    pub diagnostics: Vec<Diagnostic>,
}

impl ScenarioError {
    /// All diagnostics, each with the line that it is about.
    pub fn render(&self, style: Style) -> String {
        mock_server::document::render(&self.diagnostics, style)
    }
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Style::Plain))
    }
}

impl std::error::Error for ScenarioError {}

impl From<Diagnostic> for ScenarioError {
    fn from(diagnostic: Diagnostic) -> ScenarioError {
        ScenarioError { diagnostics: vec![diagnostic] }
    }
}

impl From<ScenarioError> for Error {
    fn from(error: ScenarioError) -> Error {
        Error::Diagnosed(error.to_string())
    }
}
