//! Texts that were read, and places in them.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

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
    pub(super) fn floor(&self, offset: usize) -> usize {
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

/// Several sources in one row of offsets, so that a tree made of parts of all of them knows the place
/// of each part.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Each with the offset at which it begins.
    row: Vec<(usize, Arc<Source>)>,
}

/// The one source.
impl From<&Arc<Source>> for Sources {
    fn from(source: &Arc<Source>) -> Sources {
        Sources { row: vec![(0, Arc::clone(source))] }
    }
}

impl Sources {
    /// Adds a source and returns the offset at which it begins.
    pub fn add(&mut self, source: &Arc<Source>) -> usize {
        let base = self.row.last().map_or(0, |(base, last)| base + last.text.len() + 1);
        self.row.push((base, Arc::clone(source)));
        base
    }

    /// Where a place is in the row.
    pub fn offset(&self, spot: &Spot) -> Option<usize> {
        let found = self.row.iter().find(|(_, source)| Arc::ptr_eq(source, &spot.source));
        found.map(|(base, _)| base + spot.span.start)
    }

    /// The place of a stretch of the row, which lies in one source; none where there is no source.
    pub fn spot(&self, span: Range<usize>) -> Option<Spot> {
        let found = self.row.iter().rev().find(|(base, _)| *base <= span.start);
        found.map(|(base, source)| Spot {
            source: Arc::clone(source),
            span: span.start - base..span.end.max(span.start) - base,
        })
    }
}
