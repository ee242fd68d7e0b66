//! The one clock of a run: monotonic, counted from the run's start.

use tokio::time::Instant;

use crate::measure::sample::Offset;

/// Tells moments of one run. Follows tokio's clock, so that tests can pause it.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock whose zero is now.
    pub fn start() -> Self {
        Clock { origin: Instant::now() }
    }

    /// Now.
    pub fn now(&self) -> Offset {
        Offset::from(self.origin.elapsed())
    }

    /// The instant of `moment`, for timers.
    pub fn instant(&self, moment: Offset) -> Instant {
        self.origin + std::time::Duration::from_nanos(moment.0)
    }
}
