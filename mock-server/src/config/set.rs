//! One setting on the command line: `[SERVICE.]KEY=VALUE`.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::ServiceName;
use crate::document::tree::{Node, moved};
use crate::document::{Diagnostic, Source, Spot};

/// A setting of one service. Its value is TOML, or else a plain string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    source: Arc<Source>,
    service: ServiceName,
    /// Places of the key's parts, the service's name left out; at least one.
    path: Vec<Range<usize>>,
    value: Range<usize>,
}

impl Set {
    /// Reads `text`; without a service's name in front it is a setting of the only one of `services`.
    ///
    /// # Errors
    /// There is no key or no value, or more than one service could be meant.
    pub fn parse(text: &str, services: &[ServiceName]) -> Result<Set, Diagnostic> {
        let source = Arc::new(Source { name: "--set".to_owned(), text: text.to_owned() });
        let wrong = |span: Range<usize>, message: &str, label: String| {
            Diagnostic::at(Spot { source: Arc::clone(&source), span }, message, label)
        };
        let Some(equals) = text.find('=') else {
            let label = "expected KEY=VALUE, as in `latency=50ms`".to_owned();
            return Err(wrong(0..text.len(), "there is no value here", label));
        };
        let mut path = parts(&text[..equals]);
        if path.iter().any(Range::is_empty) {
            let label = "expected KEY=VALUE, as in `latency=50ms`".to_owned();
            return Err(wrong(0..equals, "this is no key", label));
        }
        let first: Result<ServiceName, _> = text[path[0].clone()].parse();
        let service = match (first, services) {
            (Ok(service), _) if path.len() > 1 => {
                path.remove(0);
                service
            }
            (_, [service]) => *service,
            _ => {
                let names: Vec<&str> = services.iter().map(|name| name.as_str()).collect();
                let label = format!("expected the service in front, as in `{}.{text}`", names[0]);
                let message = format!("which of {} is this for?", names.join(", "));
                return Err(wrong(0..equals, &message, label));
            }
        };
        let value = trimmed(text, equals + 1..text.len());
        Ok(Set { source, service, path, value })
    }

    /// The service that it is for.
    pub fn service(&self) -> ServiceName {
        self.service
    }

    /// As it was given.
    pub fn text(&self) -> &str {
        &self.source.text
    }

    /// The text that it was read from.
    pub(super) fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// The key's parts and their places.
    pub(super) fn path(&self) -> impl Iterator<Item = (&str, Range<usize>)> {
        self.path.iter().map(|at| (&self.source.text[at.clone()], at.clone()))
    }

    /// The value and its place: TOML, or where it is none a plain string.
    ///
    /// # Errors
    /// A list, a table or a quoted string that is not TOML.
    pub(super) fn value(&self) -> Result<Node<'_>, Diagnostic> {
        let text = &self.source.text[self.value.clone()];
        let begin = self.value.start;
        let plain = || Spanned::new(self.value.clone(), DeValue::String(text.into()));
        // A document, because a value alone may be followed by anything.
        let document = format!("v={text}");
        match DeTable::parse(&document) {
            Ok(table) if table.get_ref().len() == 1 => {}
            Err(error) if text.starts_with(['{', '[', '"', '\'']) => {
                let span = error.span().unwrap_or(0..0);
                let span = span.start.max(2) - 2 + begin..span.end.max(2) - 2 + begin;
                let spot = Spot { source: Arc::clone(&self.source), span };
                return Err(Diagnostic::at(spot, "this is not TOML", error.message()));
            }
            _ => return Ok(plain()),
        }
        let Ok(value) = DeValue::parse(text) else { return Ok(plain()) };
        Ok(match value.get_ref() {
            // No setting is a date, but some are versions that look like one.
            DeValue::Datetime(_) => plain(),
            _ => moved(value, &|span| span.start + begin..span.end + begin),
        })
    }
}

/// Places of the parts between dots.
fn parts(key: &str) -> Vec<Range<usize>> {
    let mut begin = 0;
    let parts = key.split('.').map(|part| {
        let at = begin..begin + part.len();
        begin = at.end + 1;
        trimmed(key, at)
    });
    parts.collect()
}

/// The stretch without white space around it.
fn trimmed(text: &str, at: Range<usize>) -> Range<usize> {
    let part = &text[at.clone()];
    let start = at.start + (part.len() - part.trim_start().len());
    start..start + part.trim().len()
}
