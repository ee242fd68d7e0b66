use std::time::Duration;

use proptest::prelude::*;

use super::{Breaker, Leave, Stance};
use crate::services::ensemble::settings::CircuitBreaker;

const RECOVERY: Duration = Duration::from_secs(30);

fn breaker() -> Breaker {
    Breaker::new(CircuitBreaker::default())
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn fail(breaker: &mut Breaker, times: u32, now: Duration) {
    for _ in 0..times {
        let leave = breaker.admit(now).unwrap();
        breaker.failed(leave, now);
    }
}

fn succeed(breaker: &mut Breaker, times: u32, now: Duration) {
    for _ in 0..times {
        let leave = breaker.admit(now).unwrap();
        breaker.succeeded(leave);
    }
}

#[test]
fn five_failures_in_a_row_open_it() {
    let mut breaker = breaker();
    fail(&mut breaker, 4, at(0));
    succeed(&mut breaker, 1, at(0));
    fail(&mut breaker, 4, at(0));
    assert_eq!(breaker.report().state, Stance::Closed);
    fail(&mut breaker, 1, at(0));
    assert_eq!((breaker.report().state, breaker.report().opened), (Stance::Open, 1));
    assert!(breaker.admit(at(29)).is_none());
    assert_eq!(breaker.report().refused, 1);
}

#[test]
fn after_its_recovery_three_successes_close_it_and_one_failure_opens_it_again() {
    let mut breaker = breaker();
    fail(&mut breaker, 5, at(0));
    succeed(&mut breaker, 2, at(30));
    assert_eq!(breaker.report().state, Stance::HalfOpen);
    fail(&mut breaker, 1, at(31));
    assert_eq!((breaker.report().state, breaker.report().opened), (Stance::Open, 2));
    assert!(breaker.admit(at(60)).is_none(), "it counts from the last opening");
    succeed(&mut breaker, 3, at(61));
    assert_eq!(breaker.report().state, Stance::Closed);
}

#[test]
fn calls_of_an_earlier_state_do_not_count() {
    let mut breaker = breaker();
    let stale: Vec<Leave> = (0..3).map(|_| breaker.admit(at(0)).unwrap()).collect();
    fail(&mut breaker, 5, at(0));
    assert!(breaker.admit(at(30)).is_some());
    breaker.failed(stale[0], at(31));
    assert_eq!(breaker.report().state, Stance::HalfOpen, "an old failure does not open it");
    breaker.succeeded(stale[1]);
    assert_eq!(breaker.report().successes, 0, "an old success does not close it");
}

/// One thing that happens: time passes, or the call that is longest in flight ends, or one begins.
#[derive(Debug, Clone, Copy)]
enum Happens {
    Passes(u64),
    Begins,
    Succeeds,
    Fails,
}

fn happenings() -> impl Strategy<Value = Vec<Happens>> {
    let one = prop_oneof![
        2 => (0_u64..20).prop_map(Happens::Passes),
        4 => Just(Happens::Begins),
        2 => Just(Happens::Succeeds),
        4 => Just(Happens::Fails),
    ];
    prop::collection::vec(one, 0..200)
}

proptest! {
    /// Whatever happens, in whatever order: no call is admitted within the recovery after an
    /// opening, every one is after it, and none is refused before five have failed.
    #[test]
    fn it_refuses_for_the_recovery_after_an_opening_and_never_else(all in happenings()) {
        let mut breaker = breaker();
        let (mut now, mut failures) = (at(0), 0);
        let mut opened_at: Option<Duration> = None;
        let mut in_flight = std::collections::VecDeque::new();
        for happens in all {
            let opened = breaker.report().opened;
            match happens {
                Happens::Passes(seconds) => now += at(seconds),
                Happens::Begins => {
                    let was_open = breaker.report().state == Stance::Open;
                    let is_due = opened_at.is_some_and(|opened| now >= opened + RECOVERY);
                    let leave = breaker.admit(now);
                    prop_assert_eq!(leave.is_none(), was_open && !is_due);
                    prop_assert!(leave.is_some() || failures >= 5);
                    in_flight.extend(leave);
                }
                Happens::Succeeds => in_flight.pop_front().into_iter().for_each(|leave| breaker.succeeded(leave)),
                Happens::Fails => if let Some(leave) = in_flight.pop_front() {
                    failures += 1;
                    breaker.failed(leave, now);
                },
            }
            if breaker.report().opened > opened {
                prop_assert_eq!(breaker.report().opened, opened + 1);
                opened_at = Some(now);
            }
            prop_assert!(breaker.report().failures < 5 && breaker.report().successes < 3);
        }
    }
}
