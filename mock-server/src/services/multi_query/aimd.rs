//! The delay before a query is tried again: it grows by a factor with each capacity error and
//! shrinks by a step with each success (additive increase of speed, multiplicative decrease).

use std::time::Duration;

use super::settings::MultiQuery;

/// The delay after the first capacity error, where the least delay is not longer.
const FIRST: Duration = Duration::from_millis(50);

/// One delay, shared by all queries of a service.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Throttle {
    min: Duration,
    max: Duration,
    multiplier: f64,
    recovery: Duration,
    current: Duration,
    peak: Duration,
}

impl Throttle {
    /// No delay yet.
    pub(super) fn new(settings: &MultiQuery) -> Throttle {
        Throttle {
            min: Duration::from_millis(settings.min_dispatch_delay_ms),
            max: Duration::from_millis(settings.max_dispatch_delay_ms),
            multiplier: settings.backoff_multiplier,
            recovery: Duration::from_millis(settings.recovery_step_ms),
            current: Duration::ZERO,
            peak: Duration::ZERO,
        }
    }

    /// A call met a capacity error: from no delay to 50 ms or the least delay, else by the
    /// multiplier, and never over the longest. Returns the delay before the next try.
    pub(super) fn on_capacity_error(&mut self) -> Duration {
        let longer = match self.current {
            Duration::ZERO => FIRST.max(self.min),
            // Seconds that are no duration are more than the longest delay.
            current => Duration::try_from_secs_f64(current.as_secs_f64() * self.multiplier)
                .unwrap_or(self.max),
        };
        self.current = longer.min(self.max);
        self.peak = self.peak.max(self.current);
        self.current
    }

    /// A call succeeded: shorter by the step, and never under the least delay.
    pub(super) fn on_success(&mut self) {
        self.current = self.current.saturating_sub(self.recovery).max(self.min);
        self.peak = self.peak.max(self.current);
    }

    /// The delay now.
    pub(super) fn current(&self) -> Duration {
        self.current
    }

    /// The longest delay since the start or the last [`forget_peak`](Self::forget_peak).
    pub(super) fn peak(&self) -> Duration {
        self.peak
    }

    /// The longest delay is the one now.
    pub(super) fn forget_peak(&mut self) {
        self.peak = self.current;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn throttle(min: u64, max: u64, multiplier: f64, step: u64) -> Throttle {
        Throttle::new(&MultiQuery {
            min_dispatch_delay_ms: min,
            max_dispatch_delay_ms: max,
            backoff_multiplier: multiplier,
            recovery_step_ms: step,
            ..MultiQuery::default()
        })
    }

    #[test]
    fn the_documented_course() {
        let mut throttle = throttle(0, 5_000, 2.0, 50);
        let delays: Vec<u128> = (0..9).map(|_| throttle.on_capacity_error().as_millis()).collect();
        assert_eq!(delays, [50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        throttle.on_success();
        assert_eq!(throttle.current().as_millis(), 4_950);
        (0..98).for_each(|_| throttle.on_success());
        assert_eq!(throttle.current().as_millis(), 50);
        (0..2).for_each(|_| throttle.on_success());
        assert_eq!(throttle.current(), Duration::ZERO);
        assert_eq!(throttle.peak().as_millis(), 5_000);
    }

    #[test]
    fn the_first_delay_is_the_least_one_where_that_is_longer() {
        assert_eq!(throttle(80, 5_000, 2.0, 50).on_capacity_error().as_millis(), 80);
        assert_eq!(throttle(0, 20, 2.0, 50).on_capacity_error().as_millis(), 20);
    }

    proptest! {
        #[test]
        fn the_delay_stays_in_its_bounds_and_moves_as_said(
            min in 0_u64..200,
            span in 0_u64..2_000,
            multiplier in 1.01_f64..10.0,
            step in 0_u64..300,
            events in prop::collection::vec(any::<bool>(), 0..200),
        ) {
            let max = min + span;
            let mut throttle = throttle(min, max, multiplier, step);
            let (low, high) = (Duration::from_millis(min), Duration::from_millis(max));
            let mut longest = Duration::ZERO;
            for is_error in events {
                let before = throttle.current();
                if is_error {
                    let delay = throttle.on_capacity_error();
                    prop_assert_eq!(delay, throttle.current());
                    prop_assert!(delay >= before);
                    prop_assert!(delay > before || before == high || high.is_zero());
                } else {
                    throttle.on_success();
                    let after = throttle.current();
                    let fallen = before.saturating_sub(after);
                    let step = Duration::from_millis(step);
                    prop_assert!(fallen == step || after == low);
                }
                prop_assert!((low..=high).contains(&throttle.current()));
                longest = longest.max(throttle.current());
                prop_assert_eq!(throttle.peak(), longest);
            }
        }
    }
}
