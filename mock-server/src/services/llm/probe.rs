//! How many chat completions are in the service: now, and at most. Counted from the complete request
//! to the whole answer, or to the end of its stream; requests that a fault answers are not seen here,
//! but in the ledger.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// The counts.
#[derive(Debug, Default)]
pub(super) struct Probe {
    now: AtomicU64,
    peak: AtomicU64,
}

/// One request in the service, until it is dropped.
#[derive(Debug)]
pub(super) struct Presence(Arc<Probe>);

#[derive(Debug, Serialize)]
pub(super) struct Reading {
    now: u64,
    peak: u64,
}

impl Probe {
    pub(super) fn enter(self: &Arc<Self>) -> Presence {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.peak.fetch_max(now, Ordering::Relaxed);
        Presence(Arc::clone(self))
    }

    pub(super) fn read(&self) -> Reading {
        let now = self.now.load(Ordering::Relaxed);
        // A request may have entered between the two: the peak is never below what is there.
        Reading { now, peak: self.peak.load(Ordering::Relaxed).max(now) }
    }

    /// The peak is what is there now.
    pub(super) fn reset(&self) {
        self.peak.store(self.now.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}
