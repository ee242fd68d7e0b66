//! How late the generator is, whatever the load does: a timer on its own runtime.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

/// Between two timers.
const EVERY: Duration = Duration::from_millis(10);

/// The most that a timer was late since the last look at this gauge. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct TimerLag {
    /// In nanoseconds, at least one; zero where no timer fired.
    most: Arc<AtomicU64>,
}

impl TimerLag {
    /// Sets timers on the runtime that this is awaited on, one after the other, 10 ms ahead each,
    /// until `stop`, and keeps by how much the latest of them was late.
    ///
    /// It measures what every timer and every response on that runtime suffers too: how long it
    /// takes until a task that could go on does. Tokio's timers have a resolution of 1 ms and round
    /// up: a lag of up to about that is theirs, and it is not subtracted.
    pub async fn watch(self, clock: Clock, stop: CancellationToken) {
        loop {
            let due = clock.now() + EVERY;
            let is_over = tokio::select! {
                () = sleep_until(clock.instant(due)) => false,
                () = stop.cancelled() => true,
            };
            // A timer that is late counts, even if the run was stopped before it could fire.
            let now = clock.now();
            if now >= due {
                self.keep(now.since(due));
            }
            if is_over {
                return;
            }
        }
    }

    fn keep(&self, lag: Duration) {
        let ns = u64::try_from(lag.as_nanos()).unwrap_or(u64::MAX);
        self.most.fetch_max(ns.max(1), Ordering::Relaxed);
    }

    /// The most that a timer was late since this was last called; `None` where none fired. One that
    /// is overdue now is told of once it fires.
    pub fn take(&self) -> Option<Duration> {
        match self.most.swap(0, Ordering::Relaxed) {
            0 => None,
            ns => Some(Duration::from_nanos(ns)),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, advance};

    use super::*;

    /// Lets the tasks of a paused runtime run without time going on.
    async fn settle() {
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_runtime_that_was_held_up_is_late_and_one_that_was_not_is_on_time() {
        let (gauge, stop) = (TimerLag::default(), CancellationToken::new());
        let task = tokio::spawn(gauge.clone().watch(Clock::start(), stop.clone()));
        settle().await;
        assert_eq!(gauge.take(), None, "no timer has fired");

        let begun = Instant::now();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(begun.elapsed() >= Duration::from_secs(1));
        let on_time = gauge.take().expect("timers fired");
        assert!(on_time <= Duration::from_millis(2), "{on_time:?}");

        advance(Duration::from_millis(500)).await;
        settle().await;
        let held_up = gauge.take().expect("a timer fired");
        assert!(held_up >= Duration::from_millis(480), "{held_up:?}");
        assert!(held_up <= Duration::from_millis(500), "{held_up:?}");
        assert_eq!(gauge.take(), None, "it was told already");

        stop.cancel();
        task.await.expect("the watch ends");
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_timer_counts_even_if_the_run_was_stopped_meanwhile() {
        let (gauge, stop) = (TimerLag::default(), CancellationToken::new());
        let task = tokio::spawn(gauge.clone().watch(Clock::start(), stop.clone()));
        settle().await;
        stop.cancel();
        advance(Duration::from_millis(200)).await;
        task.await.expect("the watch ends");
        assert!(gauge.take() >= Some(Duration::from_millis(180)));
    }
}
