//! Server-sent events without sockets or clocks: bytes in, events out.

use crate::measure::sample::Offset;

/// The events of one response, and when each came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Events {
    /// Data of all events, one after another.
    data: String,
    /// When each came, and where its data ends.
    marks: Vec<(Offset, usize)>,
}

impl Events {
    /// The events: when each came, and its data.
    pub fn iter(&self) -> impl Iterator<Item = (Offset, &str)> {
        let starts = std::iter::once(0).chain(self.marks.iter().map(|(_, end)| *end));
        starts.zip(&self.marks).map(|(start, (at, end))| (*at, &self.data[start..*end]))
    }
}

/// Reads events from bytes, in whatever pieces they come.
#[derive(Debug, Default)]
pub(super) struct EventReader {
    events: Events,
}

impl EventReader {
    /// Takes the next bytes, which were read at `now`.
    pub(super) fn push(&mut self, data: &[u8], now: Offset) {
        let _ = (data, now);
    }

    /// The body has ended. An event without its empty line is none.
    pub(super) fn finish(self) -> Events {
        self.events
    }
}
