//! A timer that costs nothing while nothing is late.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

/// Wakes at a deadline. One per connection, used by one exchange after another.
///
/// Setting a timer takes a lock that all workers share. Deadlines of one connection mostly move
/// forward, so the timer is left where an earlier exchange has set it, and is moved only when it
/// fires too early or would fire too late: about once a timeout instead of twice a request.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// Ready once `deadline` has passed.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        // A response that never lets the task rest uses up its budget, and would silence the timer.
        pin!(unconstrained(poll_fn(|cx| self.poll_timer(cx, deadline)))).poll(cx)
    }

    /// What comes of `work`; `None` where it takes until after `deadline`. It is dropped then.
    pub(super) async fn within<T>(
        &mut self,
        deadline: Instant,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let mut work = pin!(work);
        poll_fn(|cx| match work.as_mut().poll(cx) {
            ready @ Poll::Ready(_) => ready.map(Some),
            Poll::Pending => self.poll(cx, deadline).map(|()| None),
        })
        .await
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if deadline < sleep.deadline() {
            sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if deadline <= sleep.deadline() {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::task::coop::{has_budget_remaining, poll_proceed};

    use super::*;

    /// Seconds that pass until `alarm` rings for a deadline `after` seconds from now.
    async fn rings(alarm: &mut Alarm, after: u64) -> u64 {
        let now = Instant::now();
        poll_fn(|cx| alarm.poll(cx, now + Duration::from_secs(after))).await;
        now.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn rings_at_the_deadline_whatever_the_earlier_ones_were() {
        let mut alarm = Alarm::default();
        for after in [5, 5, 10, 1, 0, 7] {
            // An exchange that ends in time leaves the timer where it is.
            let far = Instant::now() + Duration::from_secs(3 * after);
            assert!(
                poll_fn(|cx| Poll::Ready(alarm.poll(cx, far).is_pending())).await || after == 0
            );
            assert_eq!(rings(&mut alarm, after).await, after);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn rings_for_a_task_without_budget() {
        let mut alarm = Alarm::default();
        let deadline = Instant::now();
        let rang = poll_fn(|cx| {
            while has_budget_remaining() {
                if let Poll::Ready(progress) = poll_proceed(cx) {
                    progress.made_progress();
                }
            }
            Poll::Ready(alarm.poll(cx, deadline).is_ready())
        });
        assert!(rang.await);
    }
}
