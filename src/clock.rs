//! The one clock of a run: monotonic, counted from the run's start.

use tokio::time::Instant;

use crate::measure::sample::Offset;

/// Tells moments of one run. Follows tokio's clock, so that tests can pause it.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// When this process began to count …
    origin: Instant,
    /// … and from where: the machine may have been started again since the run began.
    base: Offset,
}

impl Clock {
    /// A clock whose zero is now.
    pub fn start() -> Self {
        Clock::resume(Offset::default())
    }

    /// A clock that shows `at` now: that of a run which goes on.
    pub fn resume(at: Offset) -> Self {
        Clock { origin: Instant::now(), base: at }
    }

    /// Now.
    pub fn now(&self) -> Offset {
        self.base + self.origin.elapsed()
    }

    /// The instant of `moment`, for timers; of one before this process began to count, its begin.
    pub fn instant(&self, moment: Offset) -> Instant {
        self.origin + moment.since(self.base)
    }
}
