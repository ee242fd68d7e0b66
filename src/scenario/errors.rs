//! What is wrong with a scenario, shown at the place where it is wrong.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::error::Error;

/// A text that was read, and the name under which errors speak of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    /// Path as the user knows it.
    pub name: String,
    /// The whole text.
    pub text: String,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({})", self.name)
    }
}

impl Source {
    /// Line and column (in characters) of a byte offset, both counted from 1.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let before = &self.text[..self.floor(offset)];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// The nearest character boundary at or before `offset`.
    fn floor(&self, offset: usize) -> usize {
        self.text.floor_char_boundary(offset.min(self.text.len()))
    }
}

/// A stretch of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// Where it is from.
    pub source: Arc<Source>,
    /// Bytes of the source.
    pub span: Range<usize>,
}

impl Spot {
    /// `file:line:column`.
    pub fn location(&self) -> String {
        let (line, column) = self.source.position(self.span.start);
        format!("{}:{line}:{column}", self.source.name)
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong.
    pub message: String,
    /// Where, if it has a place.
    pub spot: Option<Spot>,
    /// What stands at the caret: what was expected, or the nearest right name.
    pub label: String,
    /// The next step, where the label does not say it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// Something wrong at a place. `label` stands at the caret.
    pub fn at(spot: Spot, message: impl Into<String>, label: impl Into<String>) -> Diagnostic {
        Diagnostic { message: message.into(), spot: Some(spot), label: label.into(), help: None }
    }

    /// Something wrong that has no place in a file.
    pub fn general(message: impl Into<String>) -> Diagnostic {
        Diagnostic { message: message.into(), spot: None, label: String::new(), help: None }
    }

    /// Adds the next step.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }

    /// The message on one line, with its place: for logs and error lists.
    pub fn one_line(&self) -> String {
        match &self.spot {
            Some(spot) => format!("{}: {}", spot.location(), self.message),
            None => self.message.clone(),
        }
    }

    fn render(&self, renderer: &Renderer) -> String {
        let mut group = Group::with_title(Level::ERROR.primary_title(self.message.as_str()));
        if let Some(Spot { source, span }) = &self.spot {
            // Only the lines concerned go to the renderer: a data file may have millions.
            let start = source.floor(span.start);
            let end = source.floor(span.end.max(start));
            let from = source.text[..start].rfind('\n').map_or(0, |at| at + 1);
            let to = source.text[end..].find('\n').map_or(source.text.len(), |at| end + at);
            let (line, _) = source.position(start);
            group = group.element(
                Snippet::source(&source.text[from..to])
                    .line_start(line)
                    .path(source.name.as_str())
                    .annotation(
                        AnnotationKind::Primary.span(start - from..end - from).label(&*self.label),
                    ),
            );
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group])
    }
}

/// Whether errors are shown with the colours of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Text only.
    Plain,
    /// With ANSI colours.
    Coloured,
}

/// Everything that was found wrong with a scenario; at least one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScenarioError {
    /// In the order of the file.
    pub diagnostics: Vec<Diagnostic>,
}

impl ScenarioError {
    /// All diagnostics, each with the line that it is about.
    pub fn render(&self, style: Style) -> String {
        let renderer = match style {
            Style::Plain => Renderer::plain(),
            Style::Coloured => Renderer::styled(),
        };
        let shown: Vec<String> =
            self.diagnostics.iter().map(|diagnostic| diagnostic.render(&renderer)).collect();
        shown.join("\n\n")
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

/// The candidate that a misspelt name most likely meant, if one is near enough: at most a third of
/// its letters differ (Damerau-Levenshtein), or one is the beginning of the other.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            let right = candidate.to_lowercase();
            let distance = strsim::damerau_levenshtein(&name, &right);
            let begins =
                name.len() >= 3 && (right.starts_with(&name) || name.starts_with(right.as_str()));
            (candidate, distance, begins)
        })
        .filter(|(candidate, distance, begins)| {
            *begins || *distance <= candidate.chars().count().max(name.chars().count()).div_ceil(3)
        })
        .min_by_key(|(_, distance, _)| *distance)
        .map(|(candidate, _, _)| candidate)
}

/// "did you mean `near`?", or else the whole list.
pub fn suggestion<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    match nearest(name, candidates.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("expected {}", one_of(candidates)),
    }
}

/// "`a`, `b` or `c`".
pub fn one_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        None => "nothing".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}
