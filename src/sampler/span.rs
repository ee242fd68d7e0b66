//! When samplers are to sample: in the measured part of the run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::clock::Clock;
use crate::measure::recorder::Recorder;
use crate::measure::sample::Offset;

/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(5);

/// The measured part of a run, as far as it is known: it may end early.
#[derive(Debug, Clone)]
pub struct Span {
    clock: Clock,
    recorder: Arc<Recorder>,
    over: Arc<AtomicBool>,
}

impl Span {
    /// The measured part of the run that `recorder` records.
    pub fn new(clock: Clock, recorder: Arc<Recorder>) -> Span {
        Span { clock, recorder, over: Arc::default() }
    }

    /// Now.
    pub fn now(&self) -> Offset {
        self.clock.now()
    }

    /// Comes back once it is over and `until` is more than `longer` away: what takes until then is not
    /// worth waiting for.
    pub async fn is_cut_off(&self, until: Offset, longer: Duration) {
        while self.left().is_some() || until.since(self.now()) <= longer {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Ends it, whatever was planned.
    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Waits until it begins; says whether it does.
    pub fn begins(&self) -> bool {
        while self.now() < self.recorder.window().start() {
            if self.over.load(Ordering::Relaxed) {
                return false;
            }
            std::thread::sleep(LOOK);
        }
        true
    }

    /// What is left of it; `None` once it is over.
    pub fn left(&self) -> Option<Duration> {
        let left = self.recorder.window().end().since(self.now());
        (!left.is_zero() && !self.over.load(Ordering::Relaxed)).then_some(left)
    }

    /// Waits for `time`, until it is over, or until `goes_on`, asked every few milliseconds, says no;
    /// says how long that was.
    pub fn wait(&self, time: Duration, mut goes_on: impl FnMut() -> bool) -> Duration {
        let begun = self.now();
        loop {
            let waited = self.now().since(begun);
            if waited >= time || self.left().is_none() || !goes_on() {
                return waited;
            }
            std::thread::sleep(LOOK.min(time - waited));
        }
    }
}
