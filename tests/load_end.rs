//! How `gander load` ends before its time: refused at once, by a signal, with its target.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "support/gander.rs"]
mod gander;
#[path = "support/reference.rs"]
mod reference;

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use gander::{BUSY, Gander, comes_true, one_at_a_time};
use mock_server::Inference;
use mock_server::latency::{Distribution, Latency};
use reference::{Reference, quick};

/// What is asked to leave does so within this: far from the minutes that the run would take.
const SOON: Duration = Duration::from_secs(10);

#[test]
fn a_target_that_is_down_ends_the_run_at_once_with_one_line() {
    let gander = Gander::new();
    // Bound and dropped: nobody listens there.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let run = gander.run(&format!("--target http://127.0.0.1:{port}"));
    assert_eq!(run.code, 3);
    assert_eq!(run.stderr.trim().lines().count(), 1, "{}", run.stderr);
    assert!(run.stderr.contains("refused"), "{}", run.stderr);
    assert_eq!(gander.run_folders().len(), 0);
}

#[test]
fn bad_input_is_refused_and_the_message_names_what_would_be_right() {
    for (arguments, named) in [
        ("--target http://192.0.2.1:9", "--allow-host"),
        ("inference-mixx", "inference-mix"),
        ("--stages 5u:500ms", "whole second"),
        ("--stages 0u:5s", "user"),
    ] {
        let gander = Gander::new();
        let run = gander.run(arguments);
        assert_eq!(run.code, 2, "{arguments}: {}", run.stderr);
        assert!(run.stderr.contains(named), "{arguments}: {}", run.stderr);
        assert_eq!(gander.run_folders().len(), 0, "{arguments}");
    }
}

#[test]
fn an_interrupted_run_leaves_a_valid_report_of_what_was_done() {
    let _alone = one_at_a_time();
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let service = Reference::inference(quick());
        let gander = Gander::new();
        let scenario = gander.scenario(BUSY);
        let url = &service.url;
        let mut run = gander.start(&format!("{scenario} --users 3 --duration 60s --target {url}"));
        run.until("answers, and two seconds in the journal", || {
            gander.intervals() >= 2 && service.ledger().requests.answered > 0
        });
        run.signal(signal);
        let run = run.ended_within(SOON);
        assert_eq!(run.code, code, "{}", run.stderr);
        run.assert_valid_or_crowded();
        let (sent, accepted) =
            (&run.summary()["ledger"]["sent"], service.ledger().requests.accepted);
        assert_eq!(sent.as_u64(), Some(accepted));
        assert!(accepted > 0);
        assert!(gander.run_folder().join("report.md").is_file());
    }
}

#[test]
fn a_signal_before_the_spawned_target_is_ready_ends_both() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let gander = Gander::new();
        let said = gander.path("pid");
        let spawn = spawn(&gander, &format!("echo $$ > {}; exec sleep 30", quoted(&said)));
        let mut run = gander.start(&format!("{spawn} --duration 60s"));
        run.until("the target is started", || line_of(&said).is_some());
        run.signal(signal);
        let run = run.ended_within(SOON);
        assert_eq!(run.code, code, "{}", run.stderr);
        let process = Path::new("/proc").join(line_of(&said).unwrap());
        assert!(comes_true(SOON, || !process.exists()), "the target is still there");
    }
}

#[test]
fn a_signal_at_any_moment_of_the_beginning_ends_the_run() {
    let _alone = one_at_a_time();
    // Close together at first: which of them falls between what is the machine's affair.
    let moments_ms = (0..75).step_by(3).chain([150, 150, 300]);
    for (after_ms, (signal, code)) in moments_ms.zip([("TERM", 143), ("INT", 130)].iter().cycle()) {
        let gander = Gander::new();
        let run = gander.start("--duration 60s");
        sleep(Duration::from_millis(after_ms));
        run.signal(signal);
        let run = run.ended_within(SOON);
        assert_eq!(run.code, *code, "{signal} after {after_ms} ms: {}", run.stderr);
    }
}

#[test]
fn a_killed_run_loses_at_most_the_last_second() {
    let _alone = one_at_a_time();
    let service = Reference::inference(quick());
    let gander = Gander::new();
    let scenario = gander.scenario(BUSY);
    let url = &service.url;
    let mut run = gander.start(&format!("{scenario} --users 3 --duration 60s --target {url}"));
    run.until("answers, and two seconds in the journal", || {
        gander.intervals() >= 2 && service.ledger().requests.answered > 0
    });
    let before = service.ledger().requests.answered;
    // Two beats later, what was answered before is in the journal, however crowded the machine.
    let seen = gander.intervals();
    run.until("two more seconds are in the journal", || gander.intervals() >= seen + 2);
    run.signal("KILL");
    run.ended_within(SOON);
    assert!(!gander.run_folder().join("report.md").exists());

    let report = gander.report();
    let (summary, after) = (report.summary(), service.ledger().requests.accepted);
    let recovered = summary["total"]["count"].as_u64().expect("a count");
    assert!(
        0 < before && before <= recovered && recovered <= after,
        "{before}, {recovered}, {after}"
    );
    assert!(gander.run_folder().join("report.md").is_file());
}

#[test]
fn a_killed_run_takes_its_spawned_target_with_it() {
    let _alone = one_at_a_time();
    let gander = Gander::new();
    let said = gander.path("port");
    let serve = format!("echo $1 > {}; exec {SERVE}", quoted(&said));
    let spawn = spawn(&gander, &serve);
    let mut run = gander.start(&format!("{spawn} --users 2 --duration 60s"));
    run.until("a second is in the journal", || gander.intervals() >= 1);
    let port: u16 = line_of(&said).unwrap().parse().unwrap();
    let answers = || TcpStream::connect(("127.0.0.1", port)).is_ok();
    assert!(answers(), "the target listens while the run goes on");
    run.signal("KILL");
    run.ended_within(SOON);
    assert!(comes_true(SOON, || !answers()), "the target still listens");
}

#[test]
fn a_spawned_target_that_ends_ends_the_run() {
    let _alone = one_at_a_time();
    let gander = Gander::new();
    let enough = gander.path("enough");
    let serve =
        format!("{SERVE} & until [ -e {} ]; do sleep 0.1; done; kill -9 $!", quoted(&enough));
    let spawn = spawn(&gander, &serve);
    let scenario = gander.scenario(BUSY);
    let mut run = gander.start(&format!("{scenario} {spawn} --users 2 --duration 120s"));
    run.until("two seconds are in the journal", || gander.intervals() >= 2);
    std::fs::write(&enough, "").unwrap();
    let run = run.ended_within(Duration::from_secs(60));
    assert_eq!(run.code, 4, "{}", run.stderr);
    let reasons = run.reasons();
    assert!(reasons.iter().any(|reason| reason.contains("the target ended")), "{reasons:?}");
}

#[test]
fn what_is_waited_for_after_the_end_is_said_once_and_no_figures_follow() {
    let _alone = one_at_a_time();
    let latency = Distribution::around(Duration::from_secs(6), Duration::ZERO).unwrap();
    let service = Reference::inference(Inference { latency: Latency::of(latency), ..quick() });
    let gander = Gander::new();
    let (scenario, url) = (gander.scenario(BUSY), &service.url);
    let run = gander.run(&format!("{scenario} --users 2 --duration 1s --target {url}"));
    let lines: Vec<&str> = run.stderr.lines().collect();
    let told = lines.iter().position(|line| line.contains("time is over; waiting up to 30 s for"));
    let told = told.unwrap_or_else(|| panic!("{}", run.stderr));
    assert!(lines[told].ends_with(" in flight"), "{}", lines[told]);
    let after = &lines[told + 1..];
    assert!(
        !after.iter().any(|line| line.contains("RPS") || line.contains("waiting")),
        "{after:?}"
    );
}

#[test]
fn a_rule_about_times_is_broken_where_every_request_failed() {
    let _alone = one_at_a_time();
    let service = Reference::inference(quick());
    let gander = Gander::new();
    let scenario = gander.scenario(
        "[[step]]\nname = \"a\"\nget = \"/nothing\"\n\
         [[slo]]\nrule = \"a: p95 < 1s\"\n[[slo]]\nrule = \"mean < 1s\"",
    );
    let url = &service.url;
    let run = gander.run(&format!("{scenario} --users 2 --iterations 48 --target {url}"));
    run.assert_valid_or_crowded();
    assert_eq!(run.code, if run.reasons().is_empty() { 1 } else { 4 }, "{}", run.stderr);
    for verdict in run.summary()["verdicts"].as_array().expect("a list") {
        assert_eq!(verdict["ruling"], "failed", "{verdict}");
        assert_eq!(verdict["measured"], "none of 48 requests succeeded");
    }
}

/// In a script for [`spawn`], whose first argument is the port: a service on it.
const SERVE: &str =
    concat!(env!("CARGO_BIN_EXE_gander"), " mock inference --set latency=5ms --port $1");

/// The option that has gander start `script` as its target.
fn spawn(gander: &Gander, script: &str) -> String {
    let path = gander.path("serve.sh");
    std::fs::write(&path, script).expect("a script");
    let command = format!("sh {} {{port}}", quoted(&path));
    format!("--spawn {}", shell_words::quote(&command))
}

fn quoted(path: &Path) -> String {
    shell_words::quote(path.to_str().expect("UTF-8")).into_owned()
}

/// The line that a script wrote, once it is complete.
fn line_of(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()?.strip_suffix('\n').map(str::to_owned)
}
