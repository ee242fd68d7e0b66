//! The body of a response as it arrives: counted, held against the limit, kept or read as events.

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;

use super::events::{EventReader, Events};
use super::response::Malformed;
use crate::measure::sample::Offset;

/// Bytes of a body that is not what was asked for that are kept: they say what was wrong.
const KEPT_OF_ERRORS: usize = 2048;

/// What is wanted of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Its length alone.
    Nothing,
    /// All of it.
    Whole,
    /// Server-sent events, with the time at which each came.
    Events,
}

/// Takes the body of one response.
#[derive(Debug)]
pub(super) struct BodySink {
    limit: u64,
    length: u64,
    /// Bytes that are kept.
    keep: usize,
    kept: Vec<u8>,
    events: Option<EventReader>,
}

impl BodySink {
    /// For a body of at most `limit` bytes.
    pub(super) fn new(wanted: Wanted, limit: u64) -> BodySink {
        BodySink {
            limit,
            length: 0,
            keep: if wanted == Wanted::Whole { usize::MAX } else { 0 },
            kept: Vec::new(),
            events: (wanted == Wanted::Events).then(EventReader::default),
        }
    }

    /// The head has come: the body of an error, or of another content type, is no stream, and its
    /// beginning is kept. Without a content type it is taken for one.
    pub(super) fn begin(&mut self, status: u16, headers: &HeaderMap) {
        let is_other = || headers.get(CONTENT_TYPE).is_some_and(|value| !is_event_stream(value));
        if status >= 400 || (self.events.is_some() && is_other()) {
            self.keep = self.keep.max(KEPT_OF_ERRORS);
            self.events = None;
        }
    }

    /// Makes room for a body of a length that was announced.
    ///
    /// # Errors
    /// It is over the limit.
    pub(super) fn expect(&mut self, length: u64) -> Result<(), Malformed> {
        /// Space is reserved up to here on the word of a `content-length`.
        const MAX_RESERVE: u64 = 1024 * 1024;
        self.check_limit(length)?;
        self.kept.reserve_exact(self.keep.min(length.min(MAX_RESERVE) as usize));
        Ok(())
    }

    /// Takes the next bytes, which were read at `now`.
    ///
    /// # Errors
    /// The body is over the limit, or its events are none.
    pub(super) fn push(&mut self, data: &[u8], now: Offset) -> Result<(), Malformed> {
        self.length += data.len() as u64;
        self.check_limit(self.length)?;
        let room = self.keep.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(&data[..data.len().min(room)]);
        if let Some(events) = &mut self.events {
            events.push(data, now)?;
        }
        Ok(())
    }

    /// Bytes so far.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// What was kept, and the events where they were wanted and the status was no error.
    pub(super) fn into_parts(self) -> (Bytes, Option<Events>) {
        (Bytes::from(self.kept), self.events.map(EventReader::finish))
    }

    fn check_limit(&self, length: u64) -> Result<(), Malformed> {
        if length > self.limit {
            return Err(Malformed::new(format!(
                "a body of at least {length} bytes is over the limit of {} bytes: --max-body raises it",
                self.limit
            )));
        }
        Ok(())
    }
}

/// Whether a content type is that of server-sent events, whatever its parameters.
fn is_event_stream(content_type: &http::HeaderValue) -> bool {
    let essence = content_type.as_bytes().split(|byte| *byte == b';').next();
    essence.is_some_and(|name| name.trim_ascii().eq_ignore_ascii_case(b"text/event-stream"))
}
