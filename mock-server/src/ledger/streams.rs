//! Streams in the ledger.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Streams;
use super::snapshot::Times;

/// When the chunks of one stream that carry content were handed to the connection. The service
/// attaches it to the response as an extension and notes each chunk as it hands it over.
#[derive(Debug, Clone)]
pub(crate) struct StreamTimes(Arc<Mutex<Chunks>>);

#[derive(Debug)]
struct Chunks {
    since: Instant,
    first: Option<Duration>,
    last: Instant,
    gaps: Vec<Duration>,
    is_whole: bool,
}

impl StreamTimes {
    /// Times of a stream whose request was complete just now.
    pub(crate) fn start() -> StreamTimes {
        let now = Instant::now();
        StreamTimes(Arc::new(Mutex::new(Chunks {
            since: now,
            first: None,
            last: now,
            gaps: Vec::new(),
            is_whole: false,
        })))
    }

    /// A chunk with content is handed to the connection now.
    pub(crate) fn chunk(&self) {
        let now = Instant::now();
        let mut chunks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if chunks.first.is_none() {
            chunks.first = Some(now - chunks.since);
        } else {
            let gap = now - chunks.last;
            chunks.gaps.push(gap);
        }
        chunks.last = now;
    }

    /// The end marker of the stream is handed to the connection now.
    pub(crate) fn end(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_whole = true;
    }
}

/// The streams of one route, as they are counted.
#[derive(Debug, Clone, Default)]
pub(super) struct Books {
    begun: u64,
    whole: u64,
    chunks: u64,
    first_chunk: Times,
    gaps: Times,
}

impl Books {
    pub(super) fn record(&mut self, times: &StreamTimes) {
        let chunks = times.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.begun += 1;
        self.whole += u64::from(chunks.is_whole);
        self.chunks += u64::from(chunks.first.is_some()) + chunks.gaps.len() as u64;
        if let Some(first) = chunks.first {
            self.first_chunk.record(first);
        }
        for gap in &chunks.gaps {
            self.gaps.record(*gap);
        }
    }

    /// From the complete request to the first chunk.
    pub(super) fn first_chunk(&self) -> &Times {
        &self.first_chunk
    }

    /// From one chunk to the next.
    pub(super) fn gaps(&self) -> &Times {
        &self.gaps
    }

    pub(super) fn figures(&self) -> Streams {
        Streams {
            begun: self.begun,
            whole: self.whole,
            chunks: self.chunks,
            first_chunk: self.first_chunk.figures(),
            gaps: self.gaps.figures(),
        }
    }
}
