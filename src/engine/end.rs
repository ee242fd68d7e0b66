//! How a run ends: what both models share.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep_until;

use crate::flow::Context;
use crate::plan::{Ending, Stop};

/// Between two looks at what is still in flight.
const LOOK: Duration = Duration::from_millis(20);
/// How long requests in flight may take where the run did not end by itself.
const INTERRUPTED_DRAIN: Duration = Duration::from_secs(2);

/// Says why the run ends from inside, and counts the iterations that it ends after.
#[derive(Debug)]
pub struct Goal {
    ends: mpsc::Sender<Ending>,
    /// Iterations that may still be begun or have not ended.
    unfinished: AtomicU64,
}

impl Goal {
    /// A run that ends after so many iterations, or never by their number; why it ends comes out of
    /// the receiver.
    pub fn new(iterations: Option<u64>) -> (Goal, mpsc::Receiver<Ending>) {
        let (ends, ended) = mpsc::channel(8);
        let unfinished = AtomicU64::new(iterations.unwrap_or(u64::MAX));
        let goal = Goal { ends, unfinished };
        if iterations == Some(0) {
            // Killed after its last iteration, and before it could say so.
            goal.end(Stop::Iterations);
        }
        (goal, ended)
    }

    /// One more that ends the same run.
    pub fn beside(&self, iterations: Option<u64>) -> Goal {
        let unfinished = AtomicU64::new(iterations.unwrap_or(u64::MAX));
        Goal { ends: self.ends.clone(), unfinished }
    }

    /// Ends the run.
    pub fn end(&self, ending: impl Into<Ending>) {
        // A full channel means that the run is being ended already.
        let _ = self.ends.try_send(ending.into());
    }

    /// An iteration ended, or was dropped.
    pub fn iteration_ended(&self) {
        if self.unfinished.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.end(Stop::Iterations);
        }
    }

    /// A task panicked: the figures would lack what it did, so that the run fails.
    pub fn panicked(&self, panic: &(dyn Any + Send)) {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
        let said = said.unwrap_or("no message");
        self.end(Ending::because(Stop::Failed, format!("a user panicked: {said}")));
    }
}

/// Ends the run of `contexts`, which share its load: no new requests, then a bounded wait until
/// `is_quiet`, then none at all.
pub async fn wind_down(
    contexts: &[Arc<Context>],
    stop: Stop,
    interrupts: &mut mpsc::Receiver<Ending>,
    is_quiet: impl Fn() -> bool,
) {
    let mut drain = Duration::ZERO;
    for Context { clock, recorder, halt, plan, .. } in contexts.iter().map(|it| &**it) {
        recorder.window().close(clock.now());
        drain = plan.load.drain();
        drain = if stop.is_planned() { drain } else { drain.min(INTERRUPTED_DRAIN) };
        halt.wind_down(stop, drain);
    }
    let deadline = tokio::time::Instant::now() + drain;
    while !is_quiet() {
        tokio::select! {
            () = sleep_until(deadline) => break,
            Some(_) = interrupts.recv() => break,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    contexts.iter().for_each(|context| context.halt.abort.cancel());
}
