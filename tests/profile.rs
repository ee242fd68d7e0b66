//! Profiles: each sampler finds the split that is known, and none of them makes a run fail.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests panic to fail, and say what they skip or measured"
)]

#[path = "support/gander.rs"]
mod gander;
#[path = "support/peers.rs"]
#[allow(dead_code, reason = "its servers are for other tests")]
mod peers;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use ::gander::profile::{Folded, ProfileRecord, Profiles, SamplerKind};
use ::gander::store::profiles::read;
use gander::{BUSY, Gander, finished, one_at_a_time};
use serde_json::Value;

/// What part of the work of both functions `tokenize` does in every service here.
const TOKENIZE: f64 = 0.7;
/// How far from it a profile may be.
const WITHIN: f64 = 0.05;
/// Percent of throughput that profiling at 99 Hz may cost.
const MOST_LOST: f64 = 3.0;
/// Runs in which there must be enough samples, however crowded the machine is.
const RUNS: usize = 6;

/// Runs `gander profile` with one request after another against a target that `arguments` name or,
/// where they name none, the reference service; programs are found in `path` first.
fn profile(gander: &Gander, arguments: &str, path: Option<&Path>) -> Profiles {
    let scenario = gander.scenario(&format!("service = \"inference\"\n{BUSY}"));
    let words = format!("profile {scenario} --format json {arguments}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_gander"));
    command.args(shell_words::split(&words).unwrap()).arg("--reports").arg(gander.reports());
    if let Some(folder) = path {
        let old = std::env::var_os("PATH").unwrap_or_default();
        let all = std::iter::once(folder.to_path_buf()).chain(std::env::split_paths(&old));
        command.env("PATH", std::env::join_paths(all).unwrap());
    }
    command.stdin(Stdio::null());
    let run = finished(command);
    run.assert_valid_or_crowded();
    let summary = run.summary();
    assert_eq!(summary["total"]["failed"], 0, "{}\n{}", summary["errors"], run.stderr);
    read(&gander.run_folder()).unwrap()
}

fn of<'p>(profiles: &'p Profiles, name: &str) -> &'p (ProfileRecord, Folded) {
    let found = profiles.taken.iter().find(|(record, _)| record.name == name);
    found.unwrap_or_else(|| panic!("no {name}: {:?}", profiles.missing))
}

/// Samples below a function whose name holds `name`.
fn below(folded: &Folded, name: &str) -> u64 {
    let hits = folded.stacks().filter(|(stack, _)| stack.iter().any(|frame| frame.contains(name)));
    hits.map(|(_, times)| times).sum()
}

/// Adds up what `run` after run finds below `tokenize` and `embed`, until there are so many samples that
/// three standard errors of the share are less than the five points, and holds them to these.
fn assert_split(what: &str, mut run: impl FnMut() -> (u64, u64)) {
    let enough = 9.0 * TOKENIZE * (1.0 - TOKENIZE) / (WITHIN * WITHIN);
    let (mut tokenize, mut embed) = (0, 0);
    for _ in 0..RUNS {
        let (one, other) = run();
        tokenize += one;
        embed += other;
        let samples = (tokenize + embed) as f64;
        let share = tokenize as f64 / samples;
        eprintln!("{what}: tokenize {:.1}% of {samples} samples", share * 100.0);
        if samples >= enough {
            assert!((share - TOKENIZE).abs() <= WITHIN, "{what}: {share} of {samples} samples");
            return;
        }
    }
    panic!("{what}: only {tokenize} + {embed} samples in {RUNS} runs");
}

/// Samples below both functions.
fn split(folded: &Folded) -> (u64, u64) {
    (below(folded, "tokenize"), below(folded, "embed"))
}

#[test]
fn the_reference_service_is_sampled_from_inside() {
    let _alone = one_at_a_time();
    let settings = "--duration 8s --users 2 --frequency 199 --service latency=0s \
                    --service work.tokenize=4.9ms --service work.embed=2.1ms";
    assert_split("reference service", || {
        let gander = Gander::new();
        let profiles = profile(&gander, settings, None);
        let (record, folded) = of(&profiles, "target-cpu");
        assert_eq!(record.sampler, SamplerKind::Http, "the service's own");
        assert_eq!(record.samples, folded.total() + record.empty);
        let (own, stacks) = of(&profiles, "generator-cpu");
        assert_eq!(own.sampler, SamplerKind::InProcess);
        assert_eq!(below(stacks, "tokenize"), 0, "the target's work is not gander's");
        split(folded)
    });
}

#[test]
fn a_go_service_is_asked_for_its_own_profile() {
    let Some(go) = peers::program("go") else { return };
    let _alone = one_at_a_time();
    let folder = tempfile::tempdir().unwrap();
    let service = folder.path().join("split");
    let built = Command::new(go)
        .args(["build", "-o"])
        .args([&service, &services().join("split.go")])
        // It needs the standard library alone, and no network.
        .envs([("GOFLAGS", "-mod=mod"), ("GOPROXY", "off"), ("GO111MODULE", "off")])
        .env("GOCACHE", folder.path().join("cache"))
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let spawn = format!("{} {{port}}", service.display());
    let arguments = format!("--duration 9s --users 2 --spawn {}", shell_words::quote(&spawn));
    assert_split("Go", || {
        let profiles = profile(&Gander::new(), &arguments, None);
        let (record, folded) = of(&profiles, "target-cpu");
        assert_eq!(record.sampler, SamplerKind::Http, "nobody named it: it answers there");
        let (tokenize, embed) = split(folded);
        assert!(below(folded, "main.serve") >= tokenize + embed, "callers are known:\n{folded}");
        (tokenize, embed)
    });
}

#[test]
fn python_is_sampled_by_py_spy_on_and_off_the_processor() {
    let (Some(py_spy), Some(python)) = (peers::program("py-spy"), peers::program("python3")) else {
        return;
    };
    let _alone = one_at_a_time();
    let service = services().join("split.py");
    let spawn = format!("{} {} {{port}}", python.display(), service.display());
    // One user: the more threads there are, the longer does a sample stop them, and the fewer are taken.
    let arguments = format!("--duration 18s --users 1 --spawn {}", shell_words::quote(&spawn));
    assert_split("Python", || {
        let profiles = profile(&Gander::new(), &arguments, py_spy.parent());
        let all = ["target-cpu", "target-wall"].map(|name| of(&profiles, name));
        assert!(all.iter().all(|(record, _)| record.sampler == SamplerKind::PySpy));
        let waiting = |folded| below(folded, "select");
        assert!(
            waiting(&all[1].1) > waiting(&all[0].1),
            "the waiting thread is seen in wall time only"
        );
        let [cpu, wall] = all.map(|(_, folded)| split(folded));
        eprintln!("on a processor {cpu:?}, all {wall:?}, {:?}", all[0].0.notes);
        (cpu.0 + wall.0, cpu.1 + wall.1)
    });
}

#[test]
fn native_code_is_sampled_by_perf_with_and_without_frame_pointers() {
    let (Some(gcc), Some(perf)) = (peers::program("gcc"), peers::program("perf")) else { return };
    let _alone = one_at_a_time();
    for pointers in ["-fno-omit-frame-pointer", "-fomit-frame-pointer"] {
        let folder = tempfile::tempdir().unwrap();
        let service = folder.path().join("split");
        let built = Command::new(&gcc)
            .args(["-O2", "-D_GNU_SOURCE", "-pthread", pointers, "-o"])
            .args([&service, &services().join("split.c")])
            .status();
        assert!(built.unwrap().success());
        let spawn = shell_words::quote(&format!("{} {{port}}", service.display())).into_owned();
        let arguments = format!("--duration 8s --users 2 --frequency 199 --spawn {spawn}");
        assert_split(pointers, || {
            let profiles = profile(&Gander::new(), &arguments, perf.parent());
            let (record, folded) = of(&profiles, "target-cpu");
            assert_eq!(record.sampler, SamplerKind::Perf, "{record:?}");
            let (tokenize, embed) = split(folded);
            let known = below(folded, "serve");
            assert!(known >= (tokenize + embed) * 9 / 10, "callers are known:\n{folded}");
            (tokenize, embed)
        });
    }
}

/// A row takes its part of a request's CPU time, all in all and by function, and the report has both.
fn assert_cpu_per_row(gander: &Gander, summary: &Value) {
    let figure = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{value}"));
    let profile = &summary["profile"]["taken"][0];
    assert_eq!(profile["name"], "target-cpu");
    let each = figure(&summary["rows"]["requests_per_row"]);
    assert!(each < 0.5, "a request of this service carries several rows: {each} requests a row");
    let burn = profile["functions"].as_array().unwrap().iter();
    let burn = burn.max_by(|a, b| figure(&a["self"]).total_cmp(&figure(&b["self"]))).unwrap();
    for (of, row, request) in [
        (profile, "cpu_ms_per_row", "cpu_ms_per_request"),
        (burn, "self_ms_per_row", "self_ms_per_request"),
        (burn, "cumulative_ms_per_row", "cumulative_ms_per_request"),
    ] {
        let ratio = figure(&of[row]) / figure(&of[request]);
        assert!((ratio / each - 1.0).abs() < 0.2, "{row}: {ratio}, {each} requests a row");
    }
    let called = if summary["rows"]["counts_rows"] == true { "row" } else { "iteration" };
    let report = std::fs::read_to_string(gander.run_folder().join("report.md")).unwrap();
    for heading in ["CPU per ", "Self ms/", "Cumulative ms/"] {
        assert!(report.contains(&format!("{heading}{called}")), "{heading}{called}: {report}");
    }
}

#[test]
fn a_service_that_computes_and_one_that_waits_are_told_apart() {
    let _alone = one_at_a_time();
    for (burn_ms, computes) in [(20, true), (0, false)] {
        let gander = Gander::new();
        let mut command = Command::new(env!("CARGO_BIN_EXE_gander"));
        let service = format!("burn_ms={burn_ms}");
        command.args(["profile", "multi-query", "--duration", "5s", "--format", "json"]);
        command.args(["--users", "2", "--service", &service, "--reports"]).arg(gander.reports());
        let run = finished(command);
        run.assert_valid_or_crowded();
        if computes {
            assert_cpu_per_row(&gander, &run.summary());
        }
        let profiles = read(&gander.run_folder()).unwrap();
        // One that waits may be on no processor at any sample.
        let found = profiles.taken.iter().find(|(record, _)| record.name == "target-cpu");
        let (burnt, total) =
            found.map_or((0, 0), |(_, folded)| (below(folded, "burn"), folded.total()));
        assert_eq!(burnt * 2 > total, computes, "{burnt} of {total} samples");
        assert!(computes || burnt == 0, "{burnt} of {total} samples");
    }
}

/// Pairs of runs of the campaign, one with profiling and one without.
const PAIRS: usize = 32;
/// Student's t for 31 degrees of freedom, 95% both sides.
const STUDENT: f64 = 2.040;

/// Mean of the changes, and the half-width of its 95% interval.
fn mean_and_interval(changes: &[f64]) -> (f64, f64) {
    let count = changes.len() as f64;
    let mean = changes.iter().sum::<f64>() / count;
    let variance = changes.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, STUDENT * (variance / count).sqrt())
}

/// Short pairs, so that what changes on the machine changes for both runs of one, in the order ABBA, so that
/// a trend hits both alike; one service for all of them. Both processors are busy: what profiling takes of
/// them is missing from the throughput.
#[test]
#[ignore = "a campaign: 64 runs take 6 minutes, and the machine must do nothing else"]
fn campaign_overhead_of_profiling() {
    let _alone = one_at_a_time();
    let service =
        Service::start("--set latency=0s --set work.tokenize=700us --set work.embed=300us");
    // Target's CPU per request and requests a second, of one run.
    let measured = |profile: &str| {
        let gander = Gander::new();
        let scenario = gander.scenario(BUSY);
        let run = gander.run(&format!(
            "{scenario} --users 2 --warm-up 500ms --duration 4s --target {} --pid {} {profile}",
            service.url,
            service.process.id()
        ));
        let summary = run.summary();
        let figure = |value: &Value| value.as_f64().unwrap();
        let rps = figure(&summary["total"]["rps"]);
        (figure(&summary["resources"]["target"]["cpu_ms_per_request"]), rps)
    };
    // Logarithms of ratios: a gain and a loss of the same size cancel out.
    let (mut cpu, mut throughput) = (Vec::new(), Vec::new());
    for pair in 0..PAIRS {
        let (off, on) = if pair % 2 == 0 {
            let off = measured("");
            (off, measured("--profile"))
        } else {
            let on = measured("--profile");
            (measured(""), on)
        };
        cpu.push((on.0 / off.0).ln());
        throughput.push((on.1 / off.1).ln());
    }
    let percent = |log: f64| log.exp_m1() * 100.0;
    for (what, changes) in [("CPU per request", &cpu), ("requests a second", &throughput)] {
        let (mean, half) = mean_and_interval(changes);
        let [low, mean, high] = [mean - half, mean, mean + half].map(percent);
        eprintln!(
            "{what}: {mean:+.2}% ({low:+.2}% to {high:+.2}%) with profiling at 99 Hz, of {PAIRS} pairs"
        );
    }
    let (mean, half) = mean_and_interval(&throughput);
    assert!(percent(mean + half) > -MOST_LOST, "it costs more");
    assert!(percent(mean - half) > -MOST_LOST, "not decided: the machine is not quiet enough");
}

/// `gander profile multi-query`, and what it says of waiting: of three runs the first in which it is
/// `expected`, for others may hold one up.
fn waiting(arguments: &str, expected: &str) -> Value {
    let once = || {
        let gander = Gander::new();
        let words = format!("profile multi-query --duration 8s --format json {arguments}");
        let mut command = Command::new(env!("CARGO_BIN_EXE_gander"));
        command.args(shell_words::split(&words).unwrap()).arg("--reports").arg(gander.reports());
        command.stdin(Stdio::null());
        let run = finished(command);
        run.assert_valid_or_crowded();
        let summary = run.summary();
        assert_eq!(summary["total"]["failed"], 0, "{}\n{}", summary["errors"], run.stderr);
        summary["profile"]["waiting"].clone()
    };
    let mut said = Value::Null;
    for _ in 0..3 {
        said = once();
        eprintln!("{said}");
        if said["bound"] == expected {
            break;
        }
    }
    said
}

#[test]
fn a_service_that_waits_and_one_that_computes_are_told_apart() {
    let _alone = one_at_a_time();
    let waits = waiting("", "io");
    assert_eq!(waits["bound"], "io", "{waits}");
    assert!(waits["wait_share"].as_f64().unwrap() >= 0.7, "{waits}");
    let computes = waiting("--service llm.latency=1ms --service burn_ms=30", "cpu");
    assert_eq!(computes["bound"], "cpu", "{computes}");
    let share = computes["wait_share"].as_f64().unwrap();
    assert!(share < waits["wait_share"].as_f64().unwrap(), "{computes}");
}

/// A reference service as a process of its own; it ends when this is dropped.
struct Service {
    process: Child,
    url: String,
}

impl Service {
    fn start(settings: &str) -> Service {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gander"));
        command.args(["mock", "inference", "--port", "0", "--until-stdin-closes"]);
        command.args(shell_words::split(settings).unwrap());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let url = line.rsplit(' ').next().unwrap().trim().to_owned();
        Service { process, url }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts and stops the profiler of a service under load, `cycles` times; says how many samples came.
fn cycles(cycles: u32) -> u64 {
    let _alone = one_at_a_time();
    let settings = "--set latency=0s --set work.tokenize=700us --set work.embed=300us";
    let mut service = Service::start(settings);
    let gander = Gander::new();
    let scenario = gander.scenario(BUSY);
    let load =
        gander.start(&format!("{scenario} --users 8 --duration 1h --target {}", service.url));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut samples = 0;
    for cycle in 0..cycles {
        let url = format!("{}/debug/pprof/profile?seconds=0.2&frequency=250", service.url);
        let answer = runtime.block_on(async {
            let answer = reqwest::get(url).await.unwrap();
            assert_eq!(answer.status(), 200, "cycle {cycle}");
            answer.bytes().await.unwrap()
        });
        samples += ::gander::profile::pprof::decode(&answer).unwrap().0.total();
        assert!(
            service.process.try_wait().unwrap().is_none(),
            "cycle {cycle}: the service is gone"
        );
    }
    load.signal("INT");
    load.ended_within(std::time::Duration::from_secs(60));
    samples
}

#[test]
fn profiles_are_started_and_stopped_under_load() {
    assert!(cycles(10) > 0);
}

#[test]
#[ignore = "a campaign: 200 cycles take minutes"]
fn campaign_200_profiles_under_load() {
    let samples = cycles(200);
    eprintln!("200 cycles under load, {samples} samples");
}

#[tokio::test]
async fn a_second_profile_is_refused_and_none_is_in_the_ledger() {
    let service = Service::start("");
    let get = |path: &str| reqwest::get(format!("{}/{path}", service.url));
    let place = "debug/pprof/profile";
    let first = tokio::spawn(get(&format!("{place}?seconds=2")));
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(get(&format!("{place}?seconds=1")).await.unwrap().status(), 409);
    assert_eq!(first.await.unwrap().unwrap().status(), 200);
    assert_eq!(get(&format!("{place}?seconds=0")).await.unwrap().status(), 422);
    assert_eq!(
        get(&format!("{place}?seconds=0.1")).await.unwrap().status(),
        200,
        "it is free again"
    );
    let ledger = get("control/ledger").await.unwrap().text().await.unwrap();
    let ledger: serde_json::Value = serde_json::from_str(&ledger).unwrap();
    assert_eq!(ledger["requests"]["accepted"], 0, "{ledger}");
}

fn services() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/split_service")
}
