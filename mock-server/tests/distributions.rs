//! Distributions of times have the shape that their name promises, and are read as they are written.

#![allow(clippy::unwrap_used, reason = "tests panic to fail")]

use std::time::Duration;

use mock_server::draws::{Draws, Purpose};
use mock_server::duration;
use mock_server::latency::{Distribution, Latency};
use proptest::prelude::*;

const DRAWS: u64 = 20_000;

/// Times in milliseconds, in order of size.
fn drawn(text: &str, seed: u64) -> Vec<f64> {
    let distribution: Distribution = text.parse().unwrap();
    let mut times: Vec<f64> = (0..DRAWS)
        .map(|n| distribution.draw(&mut Draws::new(seed, n).generator(Purpose::Latency)))
        .map(|time| time.as_secs_f64() * 1e3)
        .collect();
    times.sort_by(f64::total_cmp);
    times
}

fn mean(times: &[f64]) -> f64 {
    times.iter().sum::<f64>() / times.len() as f64
}

fn quantile(times: &[f64], q: f64) -> f64 {
    times[(q * times.len() as f64) as usize]
}

fn assert_near(actual: f64, expected: f64, share: f64) {
    assert!((actual / expected - 1.0).abs() < share, "{actual}, not {expected}");
}

#[test]
fn normal_times_lie_around_the_mean() {
    let times = drawn("normal(100ms, 20ms)", 1);
    assert_near(mean(&times), 100.0, 0.01);
    assert_near(quantile(&times, 0.5), 100.0, 0.01);
    assert_near(quantile(&times, 0.8413), 120.0, 0.01);
    assert_near(quantile(&times, 0.1587), 80.0, 0.01);
}

#[test]
fn a_wide_normal_distribution_is_cut_off_at_nothing() {
    let times = drawn("normal(10ms, 20ms)", 1);
    assert_eq!(times[0], 0.0);
    // Half a deviation below the mean: 30.9% of the times.
    assert!(
        (0.29..0.33).contains(&(times.iter().filter(|t| **t == 0.0).count() as f64 / DRAWS as f64))
    );
}

#[test]
fn lognormal_times_have_their_median_and_a_long_tail() {
    let times = drawn("lognormal(100ms, 0.5)", 2);
    assert_near(quantile(&times, 0.5), 100.0, 0.02);
    // exp(sigma^2 / 2) times the median, and exp(sigma x 2.326).
    assert_near(mean(&times), 113.3, 0.02);
    assert_near(quantile(&times, 0.99), 320.0, 0.06);
}

#[test]
fn exponential_times_have_their_mean_and_no_memory() {
    let times = drawn("exponential(50ms)", 3);
    assert_near(mean(&times), 50.0, 0.03);
    assert_near(quantile(&times, 0.5), 34.66, 0.04);
    assert_near(quantile(&times, 0.95), 149.8, 0.05);
}

#[test]
fn empirical_times_come_equally_often_and_no_others_do() {
    let latency: Latency = serde_json::from_str(r#"["10ms", "20ms", "20ms", "90ms"]"#).unwrap();
    let draw = |n| latency.draw(Draws::new(4, n), 0).as_millis();
    let times: Vec<u128> = (0..DRAWS).map(draw).collect();
    let share = |ms| times.iter().filter(|t| **t == ms).count() as f64 / DRAWS as f64;
    assert!((share(10) - 0.25).abs() < 0.02 && (share(20) - 0.5).abs() < 0.02);
    assert!((share(10) + share(20) + share(90) - 1.0).abs() < 1e-9);
}

#[test]
fn tokens_come_after_the_first_one_each_in_its_time() {
    let written = r#"{"first_token": "20ms", "per_token": "4ms..6ms", "base": "1s"}"#;
    let latency: Latency = serde_json::from_str(written).unwrap();
    let tokens = |n| -> Vec<Duration> { latency.tokens(Draws::new(1, n)).take(50).collect() };
    let times = tokens(0);
    assert_eq!(times[0], Duration::from_millis(20), "in place of the base");
    for gap in times.windows(2).map(|pair| pair[1] - pair[0]) {
        assert!((4..=6).contains(&gap.as_millis()), "{gap:?}");
    }
    assert_eq!(tokens(0), times);
    assert_ne!(tokens(1), times);
    let whole: Latency = serde_json::from_str(r#"{"base": "1s", "per_token": "1ms"}"#).unwrap();
    let third = whole.tokens(Draws::new(1, 0)).nth(2);
    assert_eq!(third, Some(Duration::from_millis(1_002)), "without it, after the base");
}

#[test]
fn what_is_no_distribution_is_refused_with_what_is() {
    for (text, expected) in [
        ("50", "a number and a unit"),
        ("80ms..20ms", "ends before it begins"),
        ("10ms +- 20ms", "negative"),
        ("normal(1ms)", "normal(100ms, 20ms)"),
        ("gamma(1ms, 2ms)", "exponential(50ms)"),
        ("lognormal(1ms, -1)", "from 0 to 5"),
        ("lognormal(1ms, nan)", "from 0 to 5"),
        ("exponential(25h)", "at most one day"),
        ("", "a number and a unit"),
    ] {
        let error = text.parse::<Distribution>().unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
    for (json, expected) in
        [("[]", "at least one"), (r#"{"bas": "1ms"}"#, "unknown field `bas`"), ("5", "a time such")]
    {
        let error = serde_json::from_str::<Latency>(json).unwrap_err().to_string();
        assert!(error.contains(expected), "{json}: {error}");
    }
}

fn time() -> impl Strategy<Value = Duration> {
    (0..3_600_000_000_000_u64, 0..4u32).prop_map(|(ns, digits)| {
        // Some round, some not.
        let unit = 1_000_u64.pow(digits);
        Duration::from_nanos(ns / unit * unit)
    })
}

fn distribution() -> impl Strategy<Value = Distribution> {
    prop_oneof![
        time().prop_map(Distribution::Fixed),
        (time(), time()).prop_map(|(a, b)| Distribution::Uniform { low: a.min(b), high: a.max(b) }),
        (time(), time()).prop_map(|(mean, deviation)| Distribution::Normal { mean, deviation }),
        (time(), 0.0..5.0f64).prop_map(|(median, sigma)| Distribution::Lognormal { median, sigma }),
        time().prop_map(|mean| Distribution::Exponential { mean }),
        proptest::collection::vec(time(), 1..5)
            .prop_map(|times| Distribution::Empirical(times.into())),
    ]
}

proptest! {
    #[test]
    fn a_duration_is_shown_as_it_is_read(time in time()) {
        prop_assert_eq!(duration::parse(&duration::show(time)), Ok(time));
    }

    #[test]
    fn a_latency_is_written_as_it_is_read(
        base in distribution(), per_item in time(), per_token in distribution(),
        first_token in proptest::option::of(distribution()),
    ) {
        let latency = Latency { base, per_item, first_token, per_token };
        let written = serde_json::to_string(&latency).unwrap();
        prop_assert_eq!(serde_json::from_str::<Latency>(&written).unwrap(), latency);
    }

    #[test]
    fn draws_follow_from_seed_and_number_alone(
        distribution in distribution(), seed: u64, numbers in proptest::collection::vec(any::<u64>(), 1..20),
    ) {
        let latency = Latency::of(distribution);
        let forth: Vec<_> =
            numbers.iter().map(|n| latency.draw(Draws::new(seed, *n), 1)).collect();
        let mut back: Vec<_> =
            numbers.iter().rev().map(|n| latency.draw(Draws::new(seed, *n), 1)).collect();
        back.reverse();
        prop_assert_eq!(forth, back);
    }

    #[test]
    fn half_as_long_is_half_as_long(distribution in distribution(), seed: u64, n: u64) {
        let (whole, draws) = (Latency::of(distribution), Draws::new(seed, n));
        let (time, half) = (whole.draw(draws, 0), whole.scaled(0.5).draw(draws, 0));
        // The longest possible time is a bound for both.
        prop_assume!(time < duration::LONGEST);
        prop_assert!(half.abs_diff(time / 2) <= Duration::from_nanos(2) + time / 1_000_000_000);
    }
}
