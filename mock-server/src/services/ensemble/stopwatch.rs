//! Times of parts that follow each other without a gap.

use std::time::{Duration, Instant};

/// Measures one part after another: each begins where the one before ended, so that the parts add
/// up to the whole.
#[derive(Debug)]
pub(super) struct Stopwatch {
    started: Instant,
    lap: Instant,
}

impl Stopwatch {
    pub(super) fn start() -> Stopwatch {
        let now = Instant::now();
        Stopwatch { started: now, lap: now }
    }

    /// The time since the last lap, or since the start.
    pub(super) fn lap(&mut self) -> Duration {
        let now = Instant::now();
        let lap = now - self.lap;
        self.lap = now;
        lap
    }

    /// The time from the start to the last lap.
    pub(super) fn total(&self) -> Duration {
        self.lap - self.started
    }
}
