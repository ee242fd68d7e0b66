//! What is wrong with a document, shown at the place where it is wrong.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::source::Spot;

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

/// All diagnostics, each with the line that it is about.
pub fn render(diagnostics: &[Diagnostic], style: Style) -> String {
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Coloured => Renderer::styled(),
    };
    let shown: Vec<String> =
        diagnostics.iter().map(|diagnostic| diagnostic.render(&renderer)).collect();
    shown.join("\n\n")
}
