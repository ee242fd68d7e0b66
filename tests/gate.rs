//! `gander gate`: what it says of versions of which the truth is known.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, and a campaign shows its table"
)]

#[path = "support/gander.rs"]
mod gander;
#[path = "gate/simulated.rs"]
mod simulated;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use ::gander::analysis::compare::Quantity;
use ::gander::analysis::gate::{Call, Decision, Round, Subject};
use ::gander::store::journal;
use serde_json::Value;
use simulated::{Noise, gate, judge, rounds, subjects};

/// Rounds at most of a gate of 120 s.
const MOST: u32 = 22;

#[test]
fn equal_versions_fail_as_rarely_as_promised() {
    let judge = judge(MOST);
    for noise in Noise::ALL {
        let gates = 1_500;
        let failed = (0..gates)
            .filter(|seed| {
                let rounds = rounds(*seed, MOST, noise, 0.02, 0.0, |_| false);
                gate(&judge, &rounds).decision == Decision::Failed
            })
            .count();
        eprintln!("{failed} of {gates} gates between equal versions failed with {noise:?}");
        // 1%, and two and a half standard errors of that.
        assert!(failed <= 15 + 10, "{failed} of {gates} with {noise:?}");
    }
}

/// Of a head that is worse by as much as still counts as none, a regression may be found as often as
/// was promised, and no more often.
#[test]
fn a_head_that_is_worse_by_the_floor_fails_as_rarely_as_promised() {
    let judge = judge(MOST);
    let is_p50 = |subject: &Subject| subject.name() == "response_time.p50";
    for noise in Noise::ALL {
        let gates = 1_500;
        let is_found = |seed: &u64| {
            let rounds = rounds(*seed, MOST, noise, 0.04, 0.01, is_p50);
            gate(&judge, &rounds).decision == Decision::Failed
        };
        let failed = (0..gates).filter(is_found).count();
        eprintln!("{failed} of {gates} gates at the floor failed with {noise:?}");
        assert!(failed <= 15 + 10, "{failed} of {gates} with {noise:?}");
    }
}

/// A thousand gates each on rounds that were recorded on a machine that others used.
#[test]
fn recorded_noise_fails_no_equal_version_and_hides_no_slower_one() {
    let judge = judge(MOST);
    let failed = |effect: f64, figure: &str| -> (usize, f64) {
        let mut rounds = 0;
        let is_failed = |seed: &u64| {
            let made = simulated::recorded(*seed, MOST, effect, |it| it.name() == figure);
            let ended = gate(&judge, &made);
            rounds += ended.rounds;
            ended.decision == Decision::Failed
        };
        let failed = (0..1_000).filter(is_failed).count();
        (failed, rounds as f64 / 1_000.0)
    };
    for (effect, figure, expected) in [
        (0.0, "response_time.p50", 0..=10),
        (0.05, "response_time.p50", 800..=1_000),
        (0.1, "response_time.p50", 950..=1_000),
        (0.5, "response_time.p99", 900..=1_000),
        (0.1, "cpu_ms_per_request", 950..=1_000),
    ] {
        let (failed, rounds) = failed(effect, figure);
        eprintln!(
            "{figure} {effect:+}: {failed} of 1000 failed, after {rounds:.1} rounds on average"
        );
        assert!(expected.contains(&failed), "{failed} of 1000: {figure} {effect:+}");
    }
}

#[test]
fn a_figure_that_is_worse_by_twice_its_margin_is_found() {
    let judge = judge(MOST);
    let is_p50 = |subject: &Subject| subject.name() == "response_time.p50";
    for noise in [Noise::Normal, Noise::Shared] {
        let found = (0..200)
            .filter(|seed| {
                let ended = gate(&judge, &rounds(*seed, MOST, noise, 0.025, 0.1, is_p50));
                let is_named = ended
                    .calls
                    .iter()
                    .any(|(subject, call)| is_p50(subject) && *call == Call::Regressed);
                is_named && ended.decision == Decision::Failed
            })
            .count();
        assert!(found >= 190, "{found} of 200 with {noise:?}");
    }
}

#[test]
fn what_is_worse_by_its_margin_hardly_ever_passes() {
    let judge = judge(MOST);
    let gates = 400;
    let passed = (0..gates)
        .filter(|seed| {
            let of_all = |subject: &Subject| {
                !matches!(subject.quantity, Quantity::Failures | Quantity::Throughput)
            };
            let rounds = rounds(*seed, MOST, Noise::Shared, 0.03, 0.06, of_all);
            gate(&judge, &rounds).decision == Decision::Passed
        })
        .count();
    assert!(passed <= 20, "{passed} of {gates}");
}

#[test]
fn quiet_rounds_decide_at_the_first_look_and_noisy_ones_not_at_all() {
    let judge = judge(MOST);
    let quiet = gate(&judge, &rounds(1, MOST, Noise::Normal, 0.002, 0.0, |_| false));
    assert_eq!((quiet.decision, quiet.rounds), (Decision::Passed, 6), "{:?}", quiet.calls);
    let noisy = gate(&judge, &rounds(1, MOST, Noise::Normal, 0.3, 0.0, |_| false));
    assert_eq!((noisy.decision, noisy.rounds), (Decision::Inconclusive, MOST as usize));
}

#[test]
fn improvements_are_named_and_pass() {
    let judge = judge(MOST);
    let all = |subject: &Subject| subject.quantity != Quantity::Failures;
    let ended = gate(&judge, &rounds(3, MOST, Noise::Normal, 0.01, -0.2, all));
    assert_eq!(ended.decision, Decision::Passed);
    let improved = ended.calls.iter().filter(|(_, call)| *call == Call::Improved).count();
    assert_eq!(improved, subjects().len() - 1, "{:?}", ended.calls);
}

/// A round in which failures fell on base and head as given, of so many requests each.
fn with_failures(mut round: Round, counts: [u64; 2], of: u64) -> Round {
    for value in &mut round.values {
        if value.subject.quantity == Quantity::Failures {
            let [base, head] = counts.map(|failed| failed as f64 / of as f64);
            (value.base, value.head, value.difference) =
                (Some(base), Some(head), Some(head - base));
            value.counts = Some(counts.map(|failed| (failed, of)));
        }
    }
    round
}

fn call_of_failures(counts: impl Fn(u32) -> [u64; 2]) -> Call {
    let rounds = rounds(5, 12, Noise::Normal, 0.002, 0.0, |_| false);
    let rounds: Vec<Round> = rounds
        .into_iter()
        .map(|it| {
            let n = it.number;
            with_failures(it, counts(n), 800)
        })
        .collect();
    let judged = judge(12).judge(&rounds);
    judged.iter().find(|it| it.subject.quantity == Quantity::Failures).unwrap().call
}

#[test]
fn failures_are_worse_where_they_are_more_in_all_rounds_and_not_where_one_burst_was() {
    let scatter = |n: u32| u64::from(n * 7 % 5);
    assert_eq!(call_of_failures(|n| [0, 6 + scatter(n)]), Call::Regressed);
    assert_eq!(call_of_failures(|n| [scatter(n), scatter(n + 1)]), Call::Unchanged);
    assert_eq!(call_of_failures(|_| [0, 0]), Call::Unchanged);
    assert_eq!(call_of_failures(|_| [0, 1]), Call::Unchanged);
    assert_ne!(call_of_failures(|n| [0, if n == 4 { 90 } else { 0 }]), Call::Regressed);
}

/// A gate of the real binary.
struct Gate {
    gander: gander::Gander,
}

impl Gate {
    fn new() -> Gate {
        Gate { gander: gander::Gander::new() }
    }

    fn run(&self, arguments: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gander"));
        command.arg("gate").args(shell_words::split(arguments).unwrap());
        command.arg("--reports").arg(self.gander.reports()).stdin(Stdio::null());
        command.output().unwrap()
    }

    /// `gander gate ARGUMENTS --format json`: the summary and the exit code.
    fn json(&self, arguments: &str) -> (Value, Option<i32>) {
        let output = self.run(&format!("{arguments} --format json"));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let summary = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"));
        (summary, output.status.code())
    }
}

fn figure<'a>(summary: &'a Value, name: &str) -> &'a Value {
    let figures = summary["figures"].as_array().unwrap();
    figures.iter().find(|figure| figure["name"] == name).unwrap_or_else(|| panic!("{summary:#}"))
}

fn folder(summary: &Value) -> PathBuf {
    summary["folder"].as_str().unwrap().into()
}

/// Short rounds, for tests: the smallest worsening that they see is large.
const SHORT: &str = "--rate 60 --slice 1s --warm-up 200ms --max-time 60s";

#[test]
fn a_head_that_is_slower_fails_and_the_figure_is_named() {
    let _alone = gander::one_at_a_time();
    let gate = Gate::new();
    let service = "--base-service latency.base=20ms --head-service latency.base=40ms";
    let (summary, code) = gate.json(&format!("inference-single {service} {SHORT}"));
    assert_eq!((&summary["verdict"], code), (&Value::from("failed"), Some(1)), "{summary:#}");
    let p50 = figure(&summary, "response_time.p50");
    assert_eq!(p50["verdict"], "regressed", "{summary:#}");
    // 20 ms and 2.5 ms an item, 40 ms and 2.5 ms an item.
    let effect = p50["effect"].as_f64().unwrap();
    assert!((0.5..1.1).contains(&effect), "{effect}");
    assert!(folder(&summary).join("report.md").is_file());
}

#[test]
fn both_versions_get_the_same_requests_at_the_same_moments() {
    let _alone = gander::one_at_a_time();
    let gate = Gate::new();
    let service = "--head-service latency.base=150ms --arrivals constant";
    let (summary, _) = gate.json(&format!("inference-single {service} {SHORT}"));
    let folders = rounds_of(&folder(&summary));
    assert!(folders.len() >= 6, "{folders:?}");
    let (starts, mut services) = (2 * folders.len(), BTreeSet::new());
    for [base, head] in folders {
        let [base, head] = [base, head].map(|folder| journal::read(&folder).unwrap());
        let [of_base, of_head] = [base.ledger(), head.ledger()];
        assert_eq!(of_base.iterations_started, of_head.iterations_started);
        assert_eq!(of_base.sent, of_head.sent);
        // 60 a second for 1.2 s.
        assert_eq!(of_base.iterations_started, 72);
        assert_eq!(base.start.plan.seed, head.start.plan.seed);
        assert_eq!(base.start.plan.digest, head.start.plan.digest);
        services.extend([base, head].map(|run| run.start.plan.target.origin));
    }
    assert_eq!(services.len(), starts, "each start has draws of its own: {services:?}");
}

/// The run folders of each round of a gate: base and head.
fn rounds_of(folder: &Path) -> Vec<[PathBuf; 2]> {
    let text = std::fs::read(folder.join("gate.json")).unwrap();
    let record: Value = serde_json::from_slice(&text).unwrap();
    let rounds = record["rounds"].as_array().unwrap().iter();
    rounds
        .map(|round| [0, 1].map(|side| folder.join(round["folders"][side].as_str().unwrap())))
        .collect()
}

#[test]
fn a_head_that_fails_more_often_fails() {
    let _alone = gander::one_at_a_time();
    let gate = Gate::new();
    let service = r#"--head-service 'faults=[{ kind = 500, rate = 0.2 }]'"#;
    let (summary, code) = gate.json(&format!("inference-single {service} {SHORT}"));
    assert_eq!((&summary["verdict"], code), (&Value::from("failed"), Some(1)), "{summary:#}");
    assert_eq!(figure(&summary, "failures")["verdict"], "regressed", "{summary:#}");
}

#[test]
fn a_head_that_ends_by_itself_fails() {
    let _alone = gander::one_at_a_time();
    let gate = Gate::new();
    let mock = env!("CARGO_BIN_EXE_gander");
    let base = format!("{mock} mock inference --port {{port}}");
    let head = format!("sh -c 'timeout -s KILL 2 {mock} mock inference --port {{port}}'");
    let base = shell_words::quote(&base).into_owned();
    let head = shell_words::quote(&head).into_owned();
    let sides = format!("--base {base} --head {head} --slice 4s --rate 20");
    let (summary, code) = gate.json(&format!("inference-single {sides}"));
    assert_eq!((&summary["verdict"], code), (&Value::from("failed"), Some(1)), "{summary:#}");
    let says = summary["says"].as_str().unwrap();
    assert!(says.contains("the head ended by itself in round 1"), "{says}");
}

#[test]
fn a_rule_that_the_head_does_not_keep_fails() {
    let _alone = gander::one_at_a_time();
    let gate = Gate::new();
    let (summary, code) =
        gate.json(&format!("inference-single --head-service seed=7 --slo 'p50 < 1ms' {SHORT}"));
    assert_eq!((&summary["verdict"], code), (&Value::from("failed"), Some(1)), "{summary:#}");
    let says = summary["says"].as_str().unwrap();
    assert!(says.contains("p50 < 1ms does not hold"), "{says}");
}

#[test]
fn a_plan_says_how_long_a_gate_must_run() {
    let _alone = gander::one_at_a_time();
    let gate = Gate::new();
    let (summary, code) =
        gate.json(&format!("inference-single --plan --effect 10% --effect 50% {SHORT}"));
    assert_eq!(code, Some(0), "{summary:#}");
    let plan = summary["plan"].as_array().unwrap();
    let p50 = plan.iter().find(|it| it["subject"]["quantity"]["time"][1] == "p50");
    let rounds = p50.unwrap_or_else(|| panic!("{summary:#}"))["rounds"].as_array().unwrap();
    assert_eq!(rounds.len(), 2, "{summary:#}");
    let needed = |place: usize| rounds[place][1].as_u64().unwrap_or(u64::MAX);
    assert!(needed(1) <= needed(0), "a larger effect is found no later: {rounds:?}");
}

#[test]
fn a_gate_that_is_interrupted_reports_and_lets_nothing_through() {
    let _alone = gander::one_at_a_time();
    let gate = Gate::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gander"));
    command.args(["gate", "inference-single", "--head-service", "seed=7", "--rate", "40"]);
    command.args(["--slice", "1s", "--format", "json", "--reports"]).arg(gate.gander.reports());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let has_rounds = || {
        let folders = gate.gander.run_folders();
        folders.first().is_some_and(|folder| {
            folder.join("gate.json").is_file() && rounds_of(folder).len() >= 2
        })
    };
    assert!(gander::comes_true(std::time::Duration::from_secs(60), has_rounds));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    // A rule that does not hold by then may fail it.
    assert_ne!(summary["verdict"], "passed", "{summary:#}");
    assert_eq!(summary["end"], "interrupted", "{summary:#}");
    assert!(folder(&summary).join("report.md").is_file());
}

#[test]
fn bad_input_is_refused_before_anything_starts() {
    let gate = Gate::new();
    let refused = [
        ("inference-single", "there is nothing to compare"),
        ("inference-single --base http://127.0.0.1:1", "name the one after it with --head"),
        ("inference-single --head-service seed=7 --margin p98=3%", "did you mean `p90`"),
        ("inference-single --head-service seed=7 --max-time 10s", "is too short"),
        ("inference-single --head-service seed=7 --slo 'p98 < fast'", "--slo"),
        ("inference-single --head-service engin=blocking", "engine"),
        ("inference-single --head-service seed=7 --rate 10..20", "at one rate"),
        ("inference-single --head ''", "neither a command nor a URL"),
        ("inference-single --head-service seed=7 --rate 1 --slice 4s", "--slice 12s"),
        ("inference-single --plan --head-service seed=7", "leave the head out"),
    ];
    for (arguments, why) in refused {
        let output = gate.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments}: {said}");
        assert!(said.contains(why), "{arguments}: {said}");
    }
    assert!(gate.gander.run_folders().is_empty());
}

/// A service that waits about 20 ms and computes for some, at 150 requests a second: what is changed in
/// the head of a campaign is laid over this.
const SERVICE: [&str; 4] =
    ["latency.base=lognormal(18ms, 0.3)", "latency.per_item=0", "workers=32", "work.tokenize=1ms"];

/// Makes `count` gates of a head that differs by `changes`, and prints and counts how they ended.
fn campaign(what: &str, changes: &[&str], max_time: &str, count: u64) -> [usize; 3] {
    let _alone = gander::one_at_a_time();
    let mut ends = [0; 3];
    let (mut rounds, mut seconds) = (0, 0.0);
    for seed in 1..=count {
        let gate = Gate::new();
        let settings = |side: &str, changes: &[&str]| -> String {
            let all = SERVICE.iter().chain(changes);
            all.map(|it| format!(" --{side}-service {}", shell_words::quote(it))).collect()
        };
        let sides = settings("base", &[]) + &settings("head", changes);
        let (summary, _) = gate.json(&format!(
            "inference-single{sides} --rate 150 --max-time {max_time} --seed {seed} --quiet"
        ));
        let place = ["passed", "failed", "inconclusive"]
            .iter()
            .position(|verdict| summary["verdict"] == *verdict)
            .unwrap();
        ends[place] += 1;
        rounds += summary["rounds"].as_u64().unwrap();
        seconds += summary["seconds"].as_f64().unwrap();
        eprintln!("{what}, {seed}: {} ({})", summary["verdict"], summary["says"]);
    }
    let mean = |sum: f64| sum / count as f64;
    eprintln!(
        "| {what} | {} | {} | {} | {:.1} | {:.0} s |",
        ends[0],
        ends[1],
        ends[2],
        mean(rounds as f64),
        mean(seconds)
    );
    ends
}

/// How many gates each campaign makes: `GATES=60`.
fn gates() -> u64 {
    std::env::var("GATES").ok().and_then(|count| count.parse().ok()).unwrap_or(20)
}

#[test]
#[ignore = "a campaign of half a minute a gate: see docs/ci.md"]
fn campaign_equal() {
    let [_, failed, _] = campaign("equal", &[], "120s", gates());
    assert!(failed <= 1, "{failed}");
}

#[test]
#[ignore = "a campaign of half a minute a gate: see docs/ci.md"]
fn campaign_ten_percent() {
    let slower = "latency.base=lognormal(19.9ms, 0.3)";
    let [_, failed, _] = campaign("p50 +10%", &[slower], "60s", gates());
    assert!(failed as f64 >= 0.95 * gates() as f64, "{failed}");
}

#[test]
#[ignore = "a campaign of a minute a gate: see docs/ci.md"]
fn campaign_five_percent() {
    let slower = "latency.base=lognormal(18.95ms, 0.3)";
    let [_, failed, _] = campaign("p50 +5%", &[slower], "120s", gates());
    assert!(failed as f64 >= 0.8 * gates() as f64, "{failed}");
}

#[test]
#[ignore = "a campaign of a minute a gate: see docs/ci.md"]
fn campaign_tail() {
    let slow = r#"faults=[{ kind = "slow", rate = 0.02, delay = "18ms" }]"#;
    let [_, failed, _] = campaign("p99 +50%", &[slow], "120s", gates());
    assert!(failed as f64 >= 0.9 * gates() as f64, "{failed}");
}

#[test]
#[ignore = "a campaign of half a minute a gate: see docs/ci.md"]
fn campaign_failures() {
    let failing = r#"faults=[{ kind = 500, rate = 0.01 }]"#;
    let [_, failed, _] = campaign("failures +1 point", &[failing], "120s", gates());
    assert!(failed as f64 >= 0.9 * gates() as f64, "{failed}");
}
