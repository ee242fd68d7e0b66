//! Which fault strikes which request follows from the seed, the number of the request and the time,
//! and from nothing else.

#![allow(clippy::unwrap_used, reason = "tests panic to fail")]

use std::time::Duration;

use mock_server::draws::Draws;
use mock_server::faults::{Burst, Faults, Kind, Preset, Rule};
use proptest::prelude::*;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

const START: Duration = Duration::ZERO;

fn kinds() -> impl Strategy<Value = Vec<Kind>> {
    let kind = prop_oneof![
        (400..=599u16).prop_map(Kind::Status),
        Just(Kind::Reset),
        Just(Kind::HalfBody),
        Just(Kind::InvalidJson),
        Just(Kind::Slow),
    ];
    proptest::collection::vec(kind, 1..6)
}

/// Rules whose rates add up to at most 1.
fn rates() -> impl Strategy<Value = Faults> {
    (kinds(), proptest::collection::vec(0.0..1.0f64, 6)).prop_map(|(kinds, weights)| {
        let sum: f64 = weights[..kinds.len()].iter().sum::<f64>() * 1.25;
        let rules = kinds.iter().zip(&weights).map(|(k, w)| Rule::at_rate(*k, w / sum.max(1e-9)));
        Faults::new(rules.collect()).unwrap()
    })
}

fn struck(faults: &Faults, seed: u64, number: u64) -> Option<usize> {
    let rule = faults.decide(Draws::new(seed, number), "/work", START)?;
    faults.rules().iter().position(|known| std::ptr::eq(known, rule))
}

proptest! {
    #[test]
    fn the_same_seed_strikes_the_same_requests_in_whatever_order_they_come(
        faults in rates(), seed: u64, order: u64,
    ) {
        let in_order: Vec<_> = (0..200).map(|n| struck(&faults, seed, n)).collect();
        let mut numbers: Vec<u64> = (0..200).collect();
        numbers.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(order));
        for n in numbers {
            prop_assert_eq!(struck(&faults, seed, n), in_order[n as usize]);
        }
    }

    /// Five standard deviations of the binomial distribution: one case in two million is outside.
    #[test]
    fn each_rule_strikes_at_its_rate(faults in rates(), seed: u64) {
        const REQUESTS: u64 = 4_000;
        let mut counts = vec![0_u32; faults.rules().len()];
        for n in 0..REQUESTS {
            if let Some(rule) = struck(&faults, seed, n) {
                counts[rule] += 1;
            }
        }
        for (rule, count) in faults.rules().iter().zip(counts) {
            let p = rule.rate.unwrap();
            let mean = p * REQUESTS as f64;
            let bound = 5.0 * (mean * (1.0 - p)).sqrt() + 1.0;
            prop_assert!((f64::from(count) - mean).abs() <= bound, "{rule:?}: {count}, not {mean}");
        }
    }

    #[test]
    fn every_nth_is_every_nth(seed: u64, n in 1..50u64) {
        let faults = Faults::new(vec![Rule::every(Kind::Status(429), n)]).unwrap();
        for number in 0..200 {
            prop_assert_eq!(struck(&faults, seed, number).is_some(), (number + 1) % n == 0);
        }
    }

    #[test]
    fn bursts_are_the_first_part_of_each_interval(
        seed: u64, every in 2..1_000u64, share in 0.0..1.0f64, at in 0..10_000u64,
    ) {
        let length = (every as f64 * share) as u64;
        let ms = Duration::from_millis;
        let burst = Some(Burst { every: ms(every), length: ms(length) });
        let rule = Rule { burst, ..Rule::always(Kind::Status(429)) };
        let faults = Faults::new(vec![rule]).unwrap();
        let fault = faults.decide(Draws::new(seed, 0), "/work", ms(at));
        prop_assert_eq!(fault.is_some(), at % every < length);
    }
}

#[test]
fn different_seeds_strike_different_requests() {
    let faults = Faults::new(vec![Rule::at_rate(Kind::Reset, 0.5)]).unwrap();
    let all = |seed| (0..64).map(|n| struck(&faults, seed, n)).collect::<Vec<_>>();
    assert_ne!(all(1), all(2));
    assert_ne!(all(1)[1..], all(2)[..63], "nor the same ones, shifted");
}

#[test]
fn in_a_burst_its_rate_takes_the_place_of_the_steady_one() {
    let burst = Some(Burst { every: Duration::from_secs(60), length: Duration::from_secs(5) });
    let steady = Rule::at_rate(Kind::Status(429), 0.1);
    let faults = Faults::new(vec![steady.clone(), Rule { burst, rate: Some(0.5), ..steady }]);
    let faults = faults.unwrap();
    let share = |elapsed: u64| {
        let elapsed = Duration::from_secs(elapsed);
        let struck = |n: &u64| faults.decide(Draws::new(7, *n), "/work", elapsed).is_some();
        (0..10_000).filter(struck).count() as f64 / 10_000.0
    };
    assert!((share(1) - 0.5).abs() < 0.025, "{}", share(1));
    assert!((share(30) - 0.1).abs() < 0.015, "{}", share(30));
}

#[test]
fn a_rule_may_concern_some_routes_only() {
    let routes = Some(vec!["/predict".to_owned()]);
    let faults = Faults::new(vec![Rule { routes, ..Rule::always(Kind::Reset) }]).unwrap();
    assert!(faults.decide(Draws::new(0, 0), "/predict", START).is_some());
    assert!(faults.decide(Draws::new(0, 0), "/predict_batch", START).is_none());
}

#[test]
fn rules_that_cannot_hold_are_refused() {
    let kind = Kind::Status(429);
    let burst = |every, length| {
        let (every, length) = (Duration::from_secs(every), Duration::from_secs(length));
        Some(Burst { every, length })
    };
    let cases = [
        (vec![Rule::at_rate(kind, 1.5)], "share from 0 to 1"),
        (vec![Rule::at_rate(kind, f64::NAN)], "share from 0 to 1"),
        (vec![Rule::at_rate(kind, 0.7), Rule::at_rate(Kind::Reset, 0.7)], "more than 1"),
        (vec![Rule::every(kind, 0)], "counts from 1"),
        (vec![Rule { rate: Some(0.5), ..Rule::every(kind, 2) }], "exclude each other"),
        (vec![Rule { burst: burst(5, 6), ..Rule::always(kind) }], "as long as its interval"),
        (vec![Rule { burst: burst(0, 0), ..Rule::always(kind) }], "as long as its interval"),
        (vec![Rule::at_rate(Kind::Freeze, 0.5)], "whole service"),
        (vec![Rule::always(Kind::Refused)], "shorter than its interval"),
    ];
    for (rules, expected) in cases {
        let error = Faults::new(rules.clone()).unwrap_err();
        assert!(error.contains(expected), "{rules:?}: {error}");
    }
}

#[test]
fn what_is_written_is_read_again() {
    let written = r#"[
        {"kind": 429, "rate": 0.05, "retry_after": "1.5s"},
        {"kind": "529", "every": 3},
        {"kind": "half-body", "rate": 0.01, "burst": {"every": "1m", "for": "5s"}},
        {"kind": "slow", "rate": 0.1, "delay": "250ms", "routes": ["/predict"]},
        {"kind": "freeze", "burst": {"every": "1h", "for": "2s"}}
    ]"#;
    let faults: Faults = serde_json::from_str(written).unwrap();
    assert_eq!(faults.rules()[1].kind, Kind::Status(529));
    let again: Faults = serde_json::from_str(&serde_json::to_string(&faults).unwrap()).unwrap();
    assert_eq!(again, faults);
    for preset in Preset::ALL {
        let named: Faults = serde_json::from_str(&format!("{:?}", preset.name())).unwrap();
        assert_eq!(named, preset.faults());
        Faults::new(named.rules().to_vec()).unwrap();
    }
}

#[test]
fn misspelt_faults_are_named_with_what_is_known() {
    for (written, expected) in [
        (r#"[{"kind": "resett"}]"#, "unknown variant `resett`, expected one of `refused`, `reset`"),
        (r#"[{"kind": 200}]"#, "from 400 to 599, not 200"),
        (r#"[{"kind": 429, "ratio": 1}]"#, "unknown field `ratio`"),
        (r#""caos""#, "`chaos`"),
        (r#"[{"kind": 429, "retry_after": 5}]"#, "a time with a unit"),
    ] {
        let error = serde_json::from_str::<Faults>(written).unwrap_err().to_string();
        assert!(error.contains(expected), "{written}: {error}");
    }
}

/// REQUIREMENTS' table, in percent.
#[test]
fn presets_are_what_their_table_says() {
    let rate = |preset: Preset, status| {
        let faults = preset.faults();
        let of = |burst| {
            let wanted = |r: &&Rule| r.kind == Kind::Status(status) && r.burst.is_some() == burst;
            faults.rules().iter().find(wanted).map_or(0.0, |rule| rule.rate.unwrap() * 100.0)
        };
        (of(false), of(true))
    };
    let table = [
        (Preset::Silent, [(0.0, 0.0), (0.0, 0.0), (0.0, 0.0)]),
        (Preset::Gentle, [(1.0, 0.0), (0.5, 0.0), (0.5, 0.0)]),
        (Preset::Realistic, [(5.0, 50.0), (2.0, 30.0), (0.5, 0.0)]),
        (Preset::StressAimd, [(15.0, 80.0), (5.0, 50.0), (2.0, 0.0)]),
        (Preset::StressExtreme, [(20.0, 90.0), (10.0, 70.0), (3.0, 0.0)]),
        (Preset::Chaos, [(6.25, 90.0), (3.125, 70.0), (1.875, 0.0)]),
    ];
    for (preset, rates) in table {
        for (status, expected) in [429, 529, 503].into_iter().zip(rates) {
            let (steady, burst) = rate(preset, status);
            let near = (steady - expected.0).abs() < 1e-9 && (burst - expected.1).abs() < 1e-9;
            assert!(near, "{preset:?} {status}: {steady} {burst}, not {expected:?}");
        }
    }
}
