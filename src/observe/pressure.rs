//! Whether tasks had to wait for a processor.

use std::time::{Duration, Instant};

use procfs::{CpuPressure, Current};

/// Time in which some task of the machine waited for a processor, since the machine was started.
/// `None` where the kernel does not say it.
fn waited() -> Option<Duration> {
    Some(Duration::from_micros(CpuPressure::current().ok()?.some.total))
}

/// Measures the pressure on the machine's processors over a stretch of time.
#[derive(Debug)]
pub struct Pressure {
    since: Instant,
    before: Option<Duration>,
}

impl Pressure {
    /// Begins now.
    pub fn start() -> Pressure {
        Pressure { since: Instant::now(), before: waited() }
    }

    /// The share (0 to 1) of the time since then in which some task waited for a processor: the
    /// kernel's pressure stall information. `None` where the kernel does not say it.
    pub fn share(&self) -> Option<f64> {
        let waited = waited()?.checked_sub(self.before?)?;
        let elapsed = self.since.elapsed().as_secs_f64();
        (elapsed > 0.0).then(|| (waited.as_secs_f64() / elapsed).min(1.0))
    }
}
