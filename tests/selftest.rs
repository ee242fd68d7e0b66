//! `gander selftest`: what it says of this machine, and that it would say so if figures were off.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/gander.rs"]
mod gander_command;

use std::process::{Command, Stdio};
use std::time::Duration;

use gander::analysis::accuracy::{Accuracy, Cost, Count, Pair, Punctuality, Time, Trial};
use gander::measure::metric::Metric;
use gander::measure::summary::Latency;
use gander::report;
use gander::store::entry::Environment;
use gander::store::selftest::{Applied, RunRecord, SCHEMA_VERSION, SelftestRecord, Work};
use gander_command::{Finished, Gander, Started, finished};
use serde_json::Value;

fn gander(place: &Gander, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gander"));
    command.args(shell_words::split(arguments).unwrap()).stdin(Stdio::null());
    command.current_dir(place.path(""));
    command
}

/// Counts are equal on whatever machine; of times it may say what it finds, but must judge itself by
/// that.
#[test]
fn it_holds_its_counts_against_the_ledger_and_judges_itself_by_what_it_finds() {
    let place = Gander::new();
    let done = finished(gander(&place, "selftest --quick --format json"));
    let found = done.summary();
    let runs = found["runs"].as_array().unwrap();
    let loads: Vec<String> =
        runs.iter().map(|run| format!("{} {}", run["work"], run["load"])).collect();
    assert_eq!(
        loads,
        [
            r#""answers" {"users":1}"#,
            r#""streams" {"users":1}"#,
            r#""answers" {"users":10}"#,
            r#""streams" {"users":10}"#,
            r#""answers" {"rate":50.0}"#,
            r#""answers" {"rate":200.0}"#,
        ]
    );
    for run in runs {
        assert_eq!(run["exact"], true, "{run:#}");
        let counts = run["counts"].as_object().unwrap();
        assert!(counts.values().all(|count| count["gander"] == count["ledger"]), "{run:#}");
        let (answers, streams) =
            (&counts["successes"]["gander"], run["counts"]["whole_streams"]["gander"].as_u64());
        if run["work"] == "streams" {
            assert_eq!(streams, answers.as_u64());
            let chunks = counts["chunks"]["gander"].as_u64();
            assert_eq!((chunks, counts["output_tokens"]["gander"].as_u64()), {
                let all = streams.map(|streams| 20 * streams);
                (all, all)
            });
            for time in ["ttft_from_send", "inter_chunk", "service_time"] {
                assert!(run["times"][time]["p99"]["error_ms"].is_number(), "{time}: {run:#}");
            }
        }
        // What a service did not see sooner cannot have come sooner: at the median, far from noise.
        let median = &run["times"]["service_time"]["p50"];
        let (ours, service) = (median["gander_ms"].as_f64(), median["ledger_ms"].as_f64());
        assert!(ours.unwrap() > service.unwrap() * 0.998, "{run:#}");
        assert_eq!(run["arrivals"].is_null(), run["load"]["rate"].is_null());
        assert_eq!(run["holds"], run["problems"].as_array().unwrap().is_empty());
    }
    assert_eq!(runs[4]["arrivals"]["due"], 100);
    assert_eq!(found["counts_exact"], true);
    assert_eq!(done.code, i32::from(found["passed"] != true), "{found:#}");
    let smallest_holds = |which: &[usize]| which.iter().all(|run| runs[*run]["holds"] == true);
    assert_eq!(found["holds_up_to"]["users"].is_u64(), smallest_holds(&[0, 1]));
    assert_eq!(found["holds_up_to"]["rate"].is_f64(), smallest_holds(&[4]));
    report_is_made_again(&place, &done);
}

/// From the folder alone: the same figures, and each run with a report of its own.
fn report_is_made_again(place: &Gander, done: &Finished) {
    let folder = place.run_folder();
    let again = |arguments: &str| {
        finished(gander(place, &format!("report {} {arguments}", folder.display())))
    };
    let json = again("--format json");
    assert_eq!(json.code, done.code);
    let without_folder = |of: &Finished| {
        let mut summary = of.summary();
        summary.as_object_mut().unwrap().remove("folder");
        summary
    };
    assert_eq!(without_folder(&json), without_folder(done));
    let saved = std::fs::read_to_string(folder.join("selftest.json")).unwrap();
    let saved: Value = serde_json::from_str(&saved).unwrap();
    assert_eq!(saved["summary"], without_folder(done));
    for run in saved["runs"].as_array().unwrap() {
        let run = folder.join(run["folder"].as_str().unwrap());
        assert!(run.join("report.md").is_file() && run.join("service-ledger.json").is_file());
    }
    let text = again("--dialect vllm");
    let markdown = std::fs::read_to_string(folder.join("report.md")).unwrap();
    for shown in [&text.stdout, &markdown] {
        for part in ["10 users, streams", "inter-chunk", "200/s, answers", "As vLLM counts: 1 user"]
        {
            assert!(shown.contains(part), "{part} is missing:\n{shown}");
        }
    }
    assert!(markdown.contains("the service is on the same machine"));
}

#[test]
fn an_interrupted_self_test_judges_nothing() {
    let place = Gander::new();
    let mut started = Started::new(gander(&place, "selftest --quick --format json"));
    let first = || {
        let folder = place.run_folders().pop();
        folder.is_some_and(|folder| folder.join("points/02-users-1-streams/journal.log").is_file())
    };
    started.until("the second run", first);
    started.signal("INT");
    let done = started.ended_within(Duration::from_secs(60));
    assert_eq!(done.code, 130, "{}", done.stderr);
    let found = done.summary();
    assert_eq!(found["passed"], false);
    assert_eq!(found["runs"].as_array().unwrap().len(), 1, "{found:#}");
    let folder = place.run_folder();
    let text = finished(gander(&place, &format!("report {}", folder.display())));
    assert!(text.stdout.contains("partial: 1 of 6 runs were made"), "{}", text.stdout);
}

#[test]
fn loads_that_make_no_sense_are_refused() {
    let place = Gander::new();
    for (arguments, why) in [
        ("--users 0", "0 is not in 1.."),
        ("--users many", "invalid digit"),
        ("--rates 0", "more than 0 a second"),
        ("--rates fast", "a number is expected"),
        ("--duration 1s", "at least 2s"),
        ("--duration 2500ms", "whole seconds"),
    ] {
        let done = finished(gander(&place, &format!("selftest {arguments}")));
        assert_eq!(done.code, 2, "{arguments}");
        assert!(done.stderr.contains(why), "{arguments}: {}", done.stderr);
    }
    assert!(place.run_folders().is_empty());
}

// What no run of a right program shows, from synthetic figures.

fn pair(service_ms: f64, error_ms: f64) -> Pair {
    Pair { ours_ms: service_ms + error_ms, service_ms }
}

fn time(metric: Metric, service_ms: f64, p99_error_ms: f64) -> Time {
    Time {
        metric,
        count: 400,
        p50: pair(service_ms, 0.125),
        p95: pair(service_ms, 0.25),
        p99: pair(service_ms, p99_error_ms),
    }
}

fn count(what: &'static str, ours: u64, service: u64) -> Count {
    Count { what, ours, service }
}

/// Whole answers, right in everything.
fn answers(load: Applied) -> Trial {
    Trial {
        work: Work::Answers,
        load,
        counts: vec![count("requests", 400, 400), count("successes", 400, 400)],
        times: vec![time(Metric::ServiceTime, 10.0, 0.5)],
        punctuality: match load {
            Applied::Users(_) => None,
            Applied::Rate(_) => {
                Some(Punctuality { due: 400, begun: 400, dropped: 0, lag: Some(lag(0.25)) })
            }
        },
        cost: Cost { rps: Some(80.0), cpu_ms: Some(0.25), busy: Some(0.02) },
        reasons: Vec::new(),
    }
}

/// Streams, right in everything.
fn streams(load: Applied) -> Trial {
    Trial {
        work: Work::Streams,
        counts: vec![
            count("requests", 400, 400),
            count("successes", 400, 400),
            count("whole streams", 400, 400),
            count("chunks", 8_000, 8_000),
        ],
        times: vec![
            time(Metric::TtftFromSend, 20.0, 0.5),
            time(Metric::InterChunk, 5.0, 0.25),
            time(Metric::ServiceTime, 115.0, 0.75),
        ],
        ..answers(load)
    }
}

fn lag(p99_ms: f64) -> Latency {
    Latency {
        count: 400,
        mean_ms: 0.125,
        min_ms: 0.0625,
        p50_ms: 0.125,
        p90_ms: 0.125,
        p95_ms: 0.125,
        p99_ms,
        p999_ms: p99_ms,
        max_ms: 2.0,
    }
}

fn all() -> Accuracy {
    let users = [1, 10, 100].map(Applied::Users);
    let rates = [50.0, 500.0].map(Applied::Rate);
    let closed = users.into_iter().flat_map(|load| [answers(load), streams(load)]);
    Accuracy { trials: closed.chain(rates.map(answers)).collect(), is_whole: true }
}

/// How far it holds with users and arrivals, and whether it passes.
fn judged(accuracy: &Accuracy) -> (Option<f64>, Option<f64>, bool) {
    let (users, rate) = (accuracy.users().unwrap(), accuracy.rate().unwrap());
    (users.up_to, rate.up_to, accuracy.passes())
}

#[test]
fn figures_hold_up_to_the_largest_load_below_the_first_that_fails() {
    assert_eq!(judged(&all()), (Some(100.0), Some(500.0), true));
    assert_eq!(all().worst_p99_ms(), Some(0.75));

    let mut worse_at_100 = all();
    worse_at_100.trials[5].times[0].p99 = pair(20.0, 1.01);
    assert_eq!(judged(&worse_at_100), (Some(10.0), Some(500.0), true));

    // Larger loads that hold do not make up for a smaller one that does not.
    let mut worse_at_10 = all();
    worse_at_10.trials[3].times[1].p50 = pair(5.0, -1.01);
    assert_eq!(judged(&worse_at_10), (Some(1.0), Some(500.0), true));

    let mut worse_at_once = all();
    worse_at_once.trials[0].times[0].p99 = pair(10.0, 1.01);
    assert_eq!(judged(&worse_at_once), (None, Some(500.0), false));
    let mut worse_at_once = all();
    worse_at_once.trials[6].times[0].p95 = pair(10.0, 1.01);
    assert_eq!(judged(&worse_at_once), (Some(100.0), None, false));
}

#[test]
fn a_long_time_may_be_off_by_a_hundredth() {
    assert!(pair(10.0, 1.0).holds() && pair(10.0, -1.0).holds() && !pair(10.0, 1.01).holds());
    assert!(pair(500.0, 5.0).holds() && !pair(500.0, -5.01).holds());
}

#[test]
fn one_wrong_count_fails_the_whole() {
    let trials = all().trials.len();
    for trial in 0..trials {
        for which in 0..all().trials[trial].counts.len() {
            let mut wrong = all();
            wrong.trials[trial].counts[which].ours -= 1;
            assert!(!wrong.is_exact() && !wrong.passes());
            let report = report::selftest::build(&record(), &wrong);
            let text = report::terminal::render(&report, 120, false);
            assert!(text.contains("COUNTS ARE WRONG"), "{text}");
            assert!(text.contains("gander counted "), "{text}");
        }
    }
}

#[test]
fn what_speaks_against_a_run_speaks_against_its_load() {
    type Spoil = fn(&mut Trial);
    let against: [(&str, Spoil); 5] = [
        ("was starved", |trial| trial.reasons = vec!["the generator was starved".to_owned()]),
        ("on one side only", |trial| trial.times.clear()),
        ("400 arrivals were due, and 397 were begun", |trial| {
            trial.punctuality.as_mut().unwrap().begun = 397;
        }),
        ("send lag: p99 is 1.00 ms", |trial| {
            trial.punctuality.as_mut().unwrap().lag = Some(lag(1.0));
        }),
        ("no send lag", |trial| trial.punctuality.as_mut().unwrap().lag = None),
    ];
    for (why, change) in against {
        let mut accuracy = all();
        change(&mut accuracy.trials[7]);
        assert_eq!(judged(&accuracy), (Some(100.0), Some(50.0), true), "{why}");
        let problems = accuracy.trials[7].problems();
        assert!(problems.iter().any(|problem| problem.contains(why)), "{why}: {problems:?}");
    }
}

#[test]
fn what_was_not_measured_passes_nothing() {
    let nothing = Accuracy { trials: Vec::new(), is_whole: true };
    assert!(!nothing.passes() && nothing.users().is_none() && nothing.worst_p99_ms().is_none());
    assert!(!Accuracy { is_whole: false, ..all() }.passes());
}

#[test]
fn the_report_shows_both_sides_and_what_does_not_hold() {
    let mut accuracy = all();
    accuracy.trials.remove(1);
    accuracy.trials[4].times[0].p99 = pair(20.0, 3.5);
    accuracy.trials[4].times[1].count = 99;
    accuracy.trials[6].punctuality.as_mut().unwrap().dropped = 3;
    accuracy.trials[6].reasons = vec!["the generator was late".to_owned()];
    let report = report::selftest::build(&record(), &accuracy).saved_as("reports/x/report.md");
    insta::assert_snapshot!("selftest.md", report::markdown::render(&report));
    insta::assert_snapshot!("selftest.100", report::terminal::render(&report, 100, false));
}

fn record() -> SelftestRecord {
    SelftestRecord {
        schema_version: SCHEMA_VERSION,
        started_at: "2026-01-31T12:00:00+00:00".to_owned(),
        command_line: vec!["gander".to_owned(), "selftest".to_owned()],
        environment: Environment {
            gander_version: "0.1.0".to_owned(),
            gander_commit: None,
            optimised_build: false,
            system: "Linux 6.1".to_owned(),
            cpu: "a processor".to_owned(),
            cores: 2,
            usable_cores: None,
            memory_bytes: 8 << 30,
        },
        threads: 1,
        each: Duration::from_secs(5),
        planned: 1,
        runs: vec![RunRecord {
            work: Work::Streams,
            load: Applied::Rate(50.0),
            folder: "points/01-rate-50-streams".to_owned(),
        }],
    }
}
