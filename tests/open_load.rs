//! Open load: arrivals as values, and as a user runs them against a service that stands still.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "support/gander.rs"]
mod gander;
#[path = "support/reference.rs"]
mod reference;

use std::num::NonZeroUsize;
use std::time::Duration;

use ::gander::schedule::{Arrivals, OpenLoad, Rate, RateSpan, RateStage, Recorded, Spread, Stages};
use gander::{BUSY, Finished, Gander, agrees_in_one_of_three, one_at_a_time};
use mock_server::faults::{Burst, Faults, Kind, Rule};
use mock_server::latency::{Distribution, Latency};
use mock_server::{Engine, Inference};
use proptest::prelude::*;
use reference::{Reference, quick};
use serde_json::Value;

fn load(stages: Vec<RateStage>, spread: Spread) -> OpenLoad {
    let duration = stages.iter().map(|stage| stage.ramp + stage.hold).sum();
    of(Arrivals::Rates { stages, spread }, duration)
}

fn of(arrivals: Arrivals, duration: Duration) -> OpenLoad {
    let zero = Duration::ZERO;
    OpenLoad {
        arrivals,
        duration,
        warm_up: zero,
        cool_down: zero,
        iterations: None,
        max_in_flight: 1,
        drain: zero,
    }
}

fn stage(per_second: f64, ramp_s: u64, hold_s: u64) -> RateStage {
    let rate = Rate { per_second };
    RateStage { rate, ramp: Duration::from_secs(ramp_s), hold: Duration::from_secs(hold_s) }
}

/// The integral of the rates over their time.
fn integral(stages: &[RateStage]) -> f64 {
    let (mut rate, mut sum) = (0.0, 0.0);
    for stage in stages {
        let to = stage.rate.per_second;
        sum += (rate + to) / 2.0 * stage.ramp.as_secs_f64() + to * stage.hold.as_secs_f64();
        rate = to;
    }
    sum
}

proptest! {
    #[test]
    fn as_many_are_due_as_the_rate_says_in_rising_order_and_the_same_each_time(
        parts in prop::collection::vec((0.0..300.0_f64, 0..20_u64, 1..20_u64), 1..5),
        seed: u64,
    ) {
        let stages: Vec<_> = parts.into_iter().map(|(rate, ramp, hold)| stage(rate, ramp, hold)).collect();
        let constant = load(stages.clone(), Spread::Constant);
        let due: Vec<_> = constant.arrivals(seed).collect();
        prop_assert!((due.len() as f64 - integral(&stages)).abs() <= 1.0 + 1e-6);
        prop_assert!(due.is_sorted());
        prop_assert!(due.iter().all(|due| *due < constant.duration));
        let poisson = load(stages, Spread::Poisson);
        let due: Vec<_> = poisson.arrivals(seed).collect();
        prop_assert!(due.is_sorted());
        prop_assert_eq!(due, poisson.arrivals(seed).collect::<Vec<_>>());
    }

    #[test]
    fn recorded_arrivals_are_due_as_given(mut ms in prop::collection::vec(0..100_000_u64, 1..200)) {
        ms.sort_unstable();
        let moments: Vec<_> = ms.iter().map(|ms| Duration::from_millis(*ms)).collect();
        let recorded = Recorded::new("file".to_owned(), &moments, 1.0);
        prop_assert_eq!(recorded.count(), moments.len() as u64);
        let load = of(Arrivals::Recorded(recorded), Duration::from_secs(200));
        prop_assert_eq!(load.arrivals(1).collect::<Vec<_>>(), moments);
    }

    #[test]
    fn of_recorded_arrivals_that_are_read_back_the_number_is_known_to_the_second(
        mut ms in prop::collection::vec(0..10_000_u64, 1..200), at in 0..12_000_u64,
    ) {
        ms.sort_unstable();
        let moments: Vec<_> = ms.iter().map(|ms| Duration::from_millis(*ms)).collect();
        let due = |recorded: Recorded| {
            let load = of(Arrivals::Recorded(recorded), Duration::from_secs(200));
            load.due_before(Duration::from_millis(at), 1)
        };
        let recorded = Recorded::new("file".to_owned(), &moments, 1.0);
        let saved = serde_json::to_string(&recorded).unwrap();
        let truth = ms.iter().filter(|ms| **ms < at).count() as u64;
        prop_assert_eq!(due(recorded), truth..=truth);
        let read_back = due(serde_json::from_str(&saved).unwrap());
        prop_assert!(read_back.contains(&truth), "{truth} in {read_back:?}");
        if at % 1000 == 0 {
            prop_assert_eq!(read_back, truth..=truth);
        }
    }

    #[test]
    fn planned_rates_add_up_to_what_is_due(
        parts in prop::collection::vec((0.0..300.0_f64, 0..20_u64, 1..20_u64), 1..5), width in 1..7_u64,
    ) {
        let stages: Vec<_> = parts.into_iter().map(|(rate, ramp, hold)| stage(rate, ramp, hold)).collect();
        let load = load(stages.clone(), Spread::Poisson);
        let sum: f64 = (0..load.duration.as_secs().div_ceil(width)).map(|bin| {
            let [from, to] = [bin, bin + 1].map(|bin| Duration::from_secs(bin * width));
            load.planned_rate(from, to).unwrap() * width as f64
        }).sum();
        prop_assert!((sum - integral(&stages)).abs() < 1e-6 * sum.max(1.0), "{sum}");
    }

    #[test]
    fn no_text_makes_a_parser_of_rates_panic(text in "[0-9umsh.:/, -]{0,30}") {
        let _ = Stages::parse(&text);
        let _ = text.parse::<RateSpan>();
        let _ = Recorded::parse("a.csv", &text, 1.0);
    }
}

#[test]
fn constant_arrivals_do_not_drift_in_a_day() {
    let load = load(vec![stage(70.0, 0, 24 * 3600)], Spread::Constant);
    let last = load.arrivals(1).last().unwrap();
    let exact = (70 * 24 * 3600 - 1) as f64 / 70.0;
    assert!((last.as_secs_f64() - exact).abs() < 2e-9, "{last:?} and {exact} s");
}

/// Against the exponential distribution: D sqrt(n) below 1.358 in 95 of 100 samples (Kolmogorov's
/// distribution; Knuth, "The Art of Computer Programming", volume 2, section 3.3.1).
#[test]
fn gaps_of_poisson_arrivals_are_exponential() {
    const RATE: f64 = 200.0;
    let passes = |seed: u64| {
        let load = load(vec![stage(RATE, 0, 100)], Spread::Poisson);
        let due: Vec<f64> = load.arrivals(seed).map(|due| due.as_secs_f64()).collect();
        let mut gaps: Vec<f64> = due.windows(2).map(|two| two[1] - two[0]).collect();
        gaps.sort_by(f64::total_cmp);
        let n = gaps.len() as f64;
        let distance = |(index, gap): (usize, &f64)| {
            let expected = 1.0 - (-RATE * gap).exp();
            let (below, above) = (index as f64 / n, (index + 1) as f64 / n);
            (expected - below).abs().max((above - expected).abs())
        };
        gaps.iter().enumerate().map(distance).fold(0.0, f64::max) * n.sqrt() < 1.358
    };
    let passed = (1..=20).filter(|seed| passes(*seed)).count();
    assert!(passed >= 19, "{passed} of 20");
}

#[test]
fn recorded_arrivals_are_read_from_lines_csv_and_json_lines() {
    let read = |file: &str, text: &str| match Recorded::parse(file, text, 2.0) {
        Ok(recorded) => Ok(recorded.moments.iter().map(Duration::as_millis).collect::<Vec<_>>()),
        Err(error) => Err(error.to_string()),
    };
    let expected = Ok(vec![0, 250, 1000]);
    assert_eq!(read("a.txt", "0\n0.5\n\n2\n"), expected);
    assert_eq!(read("a.csv", "id,at\n1,0\n2,0.5\n3,2\n"), expected);
    let stamps = "timestamp\n2026-01-31T12:00:00Z\n2026-01-31T12:00:00.5Z\n2026-01-31T12:00:02Z\n";
    assert_eq!(read("a.csv", stamps), expected);
    let json = "{\"timestamp\": 100}\n{\"timestamp\": 100.5}\n{\"timestamp\": \"102\"}\n";
    assert_eq!(read("a.jsonl", json), expected);
    for (file, text, said) in [
        ("a.txt", "1\n0.5\n", "line 2"),
        ("a.txt", "soon\n", "line 1"),
        ("a.csv", "when\n1\n", "`at` or `timestamp`"),
        ("a.csv", "at\n-1\n", "before the start"),
        ("a.jsonl", "{\"at\": 1}\n{}\n", "line 2"),
        ("a.txt", "", "no arrival"),
    ] {
        let error = read(file, text).unwrap_err();
        assert!(error.contains(said), "{text:?}: {error}");
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("a number: {value}"))
}

/// The value below which this share of `values` is.
fn quantile(values: &[f64], q: f64) -> f64 {
    values[((values.len() as f64 * q).ceil() as usize).clamp(1, values.len()) - 1]
}

/// Response times in ms at 200/s of a service that takes `base` and stands still in the first second
/// of every five, over whole periods, beginning at `phase` (all in seconds).
fn expected(base: f64, phase: f64) -> Vec<f64> {
    let times = (0..4000).map(|k| {
        let arrived = (phase + f64::from(k) * 0.005) % 5.0;
        let begun = if arrived < 1.0 { 1.0 } else { arrived };
        let done = begun + base;
        // What is not answered when it stands still again waits for the end of that.
        let answered = if done > 5.0 { 6.0 } else { done };
        (answered - arrived) * 1e3
    });
    let mut times: Vec<f64> = times.collect();
    times.sort_by(f64::total_cmp);
    times
}

/// A service that takes `base` for each request, however many there are, and stands still in the
/// first second of every five.
fn freezing(base: Duration) -> Reference {
    let (every, length) = (Duration::from_secs(5), Duration::from_secs(1));
    let freeze = Rule { burst: Some(Burst { every, length }), ..Rule::always(Kind::Freeze) };
    Reference::inference(Inference {
        engine: Engine::Threaded { workers: NonZeroUsize::new(400).unwrap() },
        latency: Latency::of(Distribution::Fixed(base)),
        faults: Faults::new(vec![freeze]).unwrap(),
        ..Inference::default()
    })
}

/// Percentiles of a run against a service that takes 50 ms and stands still: what is wrong with them,
/// if anything is. Counts are right in every run.
fn percentiles_over_freezes() -> Result<(), String> {
    const BASE: Duration = Duration::from_millis(50);
    let service = freezing(BASE);
    let gander = Gander::new();
    let scenario = gander.scenario(BUSY);
    let run = gander.run(&format!(
        "{scenario} --rate 200 --duration 20s --warm-up 5s --target {}",
        service.url
    ));
    run.assert_passed_or_crowded();
    let summary = run.summary();
    let ledger = &summary["ledger"];
    assert_eq!(ledger["sent"].as_u64(), Some(service.ledger().requests.accepted));
    assert_eq!(ledger["sent"].as_u64(), Some(5000), "200/s for 25 s");
    let delivered = number(&summary["total"]["rps"]);
    assert!((delivered / 200.0 - 1.0).abs() <= 0.005, "{delivered} a second");

    // How late the service itself was with its work, by its own ledger: other tests may run beside
    // this one, and its timers wake up to a millisecond late even so. The time that it stood still is
    // no work.
    let noise = service.ledger().routes["POST /predict"].work.p95_ms - BASE.as_secs_f64() * 1e3;
    for (name, q) in [("p50_ms", 0.5), ("p90_ms", 0.9), ("p99_ms", 0.99)] {
        let measured = number(&summary["total"]["response_time"][name]);
        let truth: Vec<f64> = (0..50)
            .map(|phase| quantile(&expected(BASE.as_secs_f64(), f64::from(phase) * 0.1), q))
            .collect();
        let (low, high) = (
            truth.iter().copied().fold(f64::INFINITY, f64::min),
            truth.iter().copied().fold(0.0, f64::max),
        );
        // The phase of the arrivals in the service's period hardly matters, for they come every 5 ms.
        assert!(high - low <= 5.0 + 1e-6, "{name}: {low} to {high}");
        if measured < low * 0.98 || measured > high * 1.02 + noise {
            return Err(format!("{name}: {measured}, expected {low} to {high}, noise {noise}"));
        }
    }
    Ok(())
}

#[test]
fn the_time_that_a_service_stood_still_is_in_the_response_times() {
    let _alone = one_at_a_time();
    agrees_in_one_of_three(percentiles_over_freezes);
}

#[test]
fn service_time_alone_would_hide_that_a_service_stood_still() {
    let _alone = one_at_a_time();
    // Six connections for all: they do 300 a second, and only six requests of a thousand are with the
    // service when it stands still. The others wait in gander, each for its turn.
    let service = freezing(Duration::from_millis(20));
    let gander = Gander::new();
    let scenario = gander.scenario(BUSY);
    let run = gander.run(&format!(
        "{scenario} --rate 200 --duration 10s --connections shared:6 --target {}",
        service.url
    ));
    run.assert_passed_or_crowded();
    let summary = run.summary();
    assert_eq!(summary["ledger"]["sent"].as_u64(), Some(service.ledger().requests.accepted));
    assert_eq!(summary["ledger"]["sent"], 2000);
    let p99 = |time: &str| number(&summary["total"][time]["p99_ms"]);
    let (response, service_time) = (p99("response_time"), p99("service_time"));
    assert!(response >= 5.0 * service_time, "{response} ms, and {service_time} ms of service");
}

#[test]
fn recorded_bursts_around_whole_seconds_are_valid() {
    let _alone = one_at_a_time();
    let gander = Gander::new();
    let file = gander.path("arrivals.txt");
    let bursts = (0..4).flat_map(|s| [f64::from(s), f64::from(s) + 0.5, f64::from(s) + 0.999]);
    let lines: String = bursts.map(|at| format!("{at}\n").repeat(30)).collect();
    std::fs::write(&file, lines).unwrap();
    let arguments = format!("--arrivals-file {}", shell_words::quote(file.to_str().unwrap()));
    let (run, accepted) = quick_run(&gander, &arguments);
    assert_eq!(accepted, 360);
    let page = std::fs::read_to_string(gander.run_folder().join("report.md")).unwrap();
    assert!(page.contains("360 planned, 360 begun, 0 dropped"), "{page}");
    assert_eq!(run.reasons().iter().find(|reason| reason.contains("differ from the plan")), None);
}

#[test]
fn what_finds_no_place_is_dropped_and_accounted_for() {
    let _alone = one_at_a_time();
    let base = Distribution::Fixed(Duration::from_millis(200));
    let service =
        Reference::inference(Inference { latency: Latency::of(base), ..Inference::default() });
    let gander = Gander::new();
    let scenario = gander.scenario(BUSY);
    let run = gander.run(&format!(
        "{scenario} --rate 50 --duration 4s --max-in-flight 2 --target {}",
        service.url
    ));
    let summary = run.summary();
    let count = |name: &str| summary["ledger"][name].as_u64().unwrap();
    assert_eq!(count("scheduled"), 200, "every arrival is there");
    assert_eq!(count("sent") + count("dropped"), 200);
    assert_eq!(count("sent"), service.ledger().requests.accepted);
    assert!(service.ledger().peak_in_flight <= 2);
    // Two at a time, 200 ms each: ten a second of fifty.
    assert!(count("dropped") >= 150, "{}", count("dropped"));
    assert_eq!(summary["ledger"]["balances"], true);
    run.assert_valid_or_crowded();
    let report = std::fs::read_to_string(gander.run_folder().join("report.md")).unwrap();
    assert!(report.contains("arrivals dropped"), "{report}");
    assert!(report.contains("no place among 2 in flight"), "{report}");
}

/// Runs `arguments` against a quick service: the run, and how many requests it accepted.
fn quick_run(gander: &Gander, arguments: &str) -> (Finished, u64) {
    let service = Reference::inference(quick());
    let scenario = gander.scenario(BUSY);
    let run = gander.run(&format!("{scenario} {arguments} --target {}", service.url));
    run.assert_passed_or_crowded();
    (run, service.ledger().requests.accepted)
}

#[test]
fn ramps_stages_poisson_and_recorded_arrivals_send_what_they_plan() {
    let _alone = one_at_a_time();
    let gander = Gander::new();
    let file = gander.path("arrivals.csv");
    std::fs::write(&file, "at\n0\n0.2\n0.2\n1.9\n").unwrap();
    let poisson = load(vec![stage(50.0, 0, 2)], Spread::Poisson).arrivals(7).count() as u64;
    for (arguments, planned) in [
        ("--rate 10..90 --duration 2s".to_owned(), 100),
        ("--stages 20/s:1s,100/s:500ms/500ms".to_owned(), 100),
        ("--rate 50 --arrivals poisson --seed 7 --duration 2s".to_owned(), poisson),
        ("--rate 3000/m --iterations 70".to_owned(), 70),
        (format!("--arrivals-file {}", shell_words::quote(file.to_str().unwrap())), 4),
    ] {
        let (run, accepted) = quick_run(&Gander::new(), &arguments);
        assert_eq!(accepted, planned, "{arguments}");
        let of_run = run.summary()["ledger"]["iterations_ok"].as_u64();
        assert_eq!(of_run, Some(planned), "{arguments}");
    }
}

#[test]
fn an_interrupted_run_of_open_load_leaves_a_valid_report() {
    let _alone = one_at_a_time();
    let service = Reference::inference(quick());
    let gander = Gander::new();
    let scenario = gander.scenario(BUSY);
    let url = &service.url;
    let mut run = gander.start(&format!("{scenario} --rate 50 --duration 60s --target {url}"));
    run.until("two seconds in the journal", || gander.intervals() >= 2);
    run.signal("INT");
    let run = run.ended_within(Duration::from_secs(10));
    assert_eq!(run.code, 130, "{}", run.stderr);
    run.assert_valid_or_crowded();
    let sent = run.summary()["ledger"]["sent"].as_u64();
    assert_eq!(sent, Some(service.ledger().requests.accepted));
    assert!(gander.run_folder().join("report.md").is_file());
}

#[test]
fn what_contradicts_itself_is_refused() {
    for (arguments, named) in [
        ("--users 3 --rate 5", "--rate"),
        ("--rate fast", "is not a rate"),
        ("--rate 0", "nothing ever happens"),
        ("--rate 2000000", "1,000,000"),
        ("--stages 10u:30s,50/s:1m", "every stage a rate"),
        ("--stages 50/s", "colon"),
        ("--rate 5 --arrivals even", "poisson"),
        ("--users 3 --max-in-flight 5", "--max-in-flight"),
        ("--arrivals poisson", "--rate"),
        ("--rate 5..50 --iterations 10", "--duration"),
        ("--arrivals-file nowhere.csv", "nowhere.csv"),
        ("--rate 5 --rows 7", "rows"),
    ] {
        let gander = Gander::new();
        let run = gander.run(arguments);
        assert_eq!(run.code, 2, "{arguments}: {}", run.stderr);
        assert!(run.stderr.contains(named), "{arguments}: {}", run.stderr);
        assert_eq!(gander.run_folders().len(), 0, "{arguments}");
    }
}
