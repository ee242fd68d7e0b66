//! Why a template could not be filled in.

use std::borrow::Cow;
use std::sync::Arc;

use super::errors::{Diagnostic, Spot};
use super::position;
use super::secret::Redactions;
use super::template::Engine;

/// Why a request could not be made from its template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .diagnostic.one_line())]
pub struct RenderError {
    /// The error with its place in the scenario.
    pub diagnostic: Box<Diagnostic>,
    /// Whether all that is wrong is an environment variable that is not set.
    pub unset_variable: bool,
}

impl From<Diagnostic> for RenderError {
    fn from(diagnostic: Diagnostic) -> RenderError {
        RenderError { diagnostic: Box::new(diagnostic), unset_variable: false }
    }
}

impl RenderError {
    /// The same without secrets: MiniJinja and our own functions quote values that do not fit.
    pub(super) fn redacted(mut self, redactions: &Redactions) -> RenderError {
        let Diagnostic { message, label, help, .. } = &mut *self.diagnostic;
        for text in [message, label].into_iter().chain(help) {
            if let Cow::Owned(redacted) = redactions.redact(text) {
                *text = redacted;
            }
        }
        self
    }
}

/// An error of MiniJinja at its place in the scenario file.
pub(super) fn template_error(spot: &Spot, error: &minijinja::Error) -> RenderError {
    let raw = spot.source.text.get(spot.span.clone()).unwrap_or_default();
    let inside = error.range();
    let span = match inside {
        Some(inside) => position::in_file(raw, spot.span.start, inside),
        None => spot.span.clone(),
    };
    let at = Spot { source: Arc::clone(&spot.source), span };
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    // MiniJinja says what it was: "`env.NAME` is undefined".
    let undefined = detail.split_once("` is undefined").and_then(|(what, _)| what.rsplit_once('`'));
    if let Some((_, what)) = undefined
        && let Some(name) = Engine::variables(what).next()
        && [format!("env.{name}"), format!("env['{name}']")].contains(&what.to_owned())
    {
        return unset_variable(at, name);
    }
    let what = match error.kind() {
        minijinja::ErrorKind::SyntaxError => "this is not a template",
        _ => "the template cannot be filled in",
    };
    Diagnostic::at(at, format!("{what}: {detail}"), "").into()
}

/// An environment variable that is not set.
pub(super) fn unset_variable(spot: Spot, name: &str) -> RenderError {
    let message = format!("environment variable `{name}` is not set");
    let diagnostic = Diagnostic::at(spot, message, "needed here")
        .help(format!("set it before the run: export {name}=…"));
    RenderError { diagnostic: Box::new(diagnostic), unset_variable: true }
}
