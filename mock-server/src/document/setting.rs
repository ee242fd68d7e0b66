//! One setting on a command line: `KEY=VALUE`.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::tree::{Node, moved};
use super::{Diagnostic, Source, Spot};

/// A key with dots between its parts, and a value: TOML, or else a plain string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    source: Arc<Source>,
    /// Places of the key's parts; at least one.
    path: Vec<Range<usize>>,
    value: Range<usize>,
}

impl Setting {
    /// Reads `text`, the value of `--set`. `example` is a right one.
    ///
    /// # Errors
    /// There is no key or no value.
    pub fn parse(text: &str, example: &str) -> Result<Setting, Diagnostic> {
        let source = Arc::new(Source { name: "--set".to_owned(), text: text.to_owned() });
        let wrong = |span: Range<usize>, message: &str| {
            let label = format!("expected KEY=VALUE, as in `{example}`");
            Diagnostic::at(Spot { source: Arc::clone(&source), span }, message, label)
        };
        let Some(equals) = text.find('=') else {
            return Err(wrong(0..text.len(), "there is no value here"));
        };
        let path = parts(&text[..equals]);
        if path.iter().any(Range::is_empty) {
            return Err(wrong(0..equals, "this is no key"));
        }
        let value = trimmed(text, equals + 1..text.len());
        Ok(Setting { source, path, value })
    }

    /// The text that it was read from.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// The key's parts and their places.
    pub fn path(&self) -> impl Iterator<Item = (&str, Range<usize>)> {
        self.path.iter().map(|at| (&self.source.text[at.clone()], at.clone()))
    }

    /// Takes the first part of the key away.
    pub(crate) fn remove_first_part(&mut self) {
        self.path.remove(0);
    }

    /// The value and its place.
    ///
    /// # Errors
    /// A list, a table or a quoted string that is not TOML.
    pub fn value(&self) -> Result<Node<'_>, Diagnostic> {
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

/// Places of the parts between dots; a part in quotes may have dots of its own.
fn parts(key: &str) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut begin = 0;
    let mut quoted = false;
    for (at, character) in key.char_indices().chain([(key.len(), '.')]) {
        match character {
            '"' => quoted = !quoted,
            '.' if !quoted || at == key.len() => {
                let part = trimmed(key, begin..at);
                let inside = key[part.clone()].len() >= 2
                    && key[part.clone()].starts_with('"')
                    && key[part.clone()].ends_with('"');
                parts.push(if inside { part.start + 1..part.end - 1 } else { part });
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts
}

/// The stretch without white space around it.
fn trimmed(text: &str, at: Range<usize>) -> Range<usize> {
    let part = &text[at.clone()];
    let start = at.start + (part.len() - part.trim_start().len());
    start..start + part.trim().len()
}
