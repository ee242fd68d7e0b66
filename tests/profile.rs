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
use gander::{BUSY, Finished, Gander, finished, one_at_a_time};
use serde_json::Value;

/// What part of the work of both functions `tokenize` does in every service here.
const TOKENIZE: f64 = 0.7;
/// How far from it a profile may be.
const WITHIN: f64 = 0.05;

/// Runs `gander profile` with one request after another against a target that `arguments` name or,
/// where they name none, the reference service; programs are found in `path` first.
fn profile(gander: &Gander, arguments: &str, path: Option<&Path>) -> Profiles {
    let scenario = gander.scenario(&format!("service = \"inference\"\n{BUSY}"));
    let words = format!("profile {scenario} --users 2 --format json {arguments}");
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

/// The split, as far as so many samples can tell it: three standard errors of a share, where these are
/// more than the five points.
fn assert_split(tokenize: u64, embed: u64) {
    let samples = (tokenize + embed) as f64;
    assert!(samples > 40.0, "only {samples} samples");
    let share = tokenize as f64 / samples;
    let noise = 3.0 * (TOKENIZE * (1.0 - TOKENIZE) / samples).sqrt();
    eprintln!("tokenize {:.1}% of {samples} samples", share * 100.0);
    assert!((share - TOKENIZE).abs() <= WITHIN.max(noise), "{share} of {samples} samples");
}

#[test]
fn the_reference_service_is_sampled_from_inside() {
    let _alone = one_at_a_time();
    let gander = Gander::new();
    let split = "--duration 10s --service latency=0s --service work.tokenize=4.9ms \
                 --service work.embed=2.1ms";
    let profiles = profile(&gander, split, None);
    let (record, folded) = of(&profiles, "target-cpu");
    assert_eq!(record.sampler, SamplerKind::Http, "the service's own");
    assert_eq!(record.samples, folded.total() + record.empty);
    assert_split(below(folded, "tokenize"), below(folded, "embed"));
    let (own, stacks) = of(&profiles, "generator-cpu");
    assert_eq!(own.sampler, SamplerKind::InProcess);
    assert_eq!(below(stacks, "tokenize"), 0, "the target's work is not gander's");
}

#[test]
fn python_is_sampled_by_py_spy_on_and_off_the_processor() {
    let (Some(py_spy), Some(python)) = (peers::program("py-spy"), peers::program("python3")) else {
        return;
    };
    let _alone = one_at_a_time();
    let service = services().join("split.py");
    let spawn = format!("{} {} {{port}}", python.display(), service.display());
    let arguments = format!("--duration 16s --spawn {}", shell_words::quote(&spawn));
    let gander = Gander::new();
    let profiles = profile(&gander, &arguments, py_spy.parent());
    let all = ["target-cpu", "target-wall"].map(|name| of(&profiles, name));
    assert!(all.iter().all(|(record, _)| record.sampler == SamplerKind::PySpy));
    let sum = |name| all.iter().map(|(_, folded)| below(folded, name)).sum();
    assert_split(sum("tokenize"), sum("embed"));
    let waiting = |folded| below(folded, "select");
    assert!(
        waiting(&all[1].1) > waiting(&all[0].1),
        "the waiting thread is seen in wall time only"
    );
}

#[test]
fn native_code_is_sampled_by_perf_with_and_without_frame_pointers() {
    let (Some(gcc), Some(perf)) = (peers::program("gcc"), peers::program("perf")) else { return };
    let _alone = one_at_a_time();
    for pointers in ["-fno-omit-frame-pointer", "-fomit-frame-pointer"] {
        let gander = Gander::new();
        let service = gander.path("split");
        let built = Command::new(&gcc)
            .args(["-O2", "-D_GNU_SOURCE", "-pthread", pointers, "-o"])
            .args([&service, &services().join("split.c")])
            .status();
        assert!(built.unwrap().success());
        let spawn = format!("{} {{port}}", service.display());
        let arguments = format!("--duration 10s --spawn {}", shell_words::quote(&spawn));
        let profiles = profile(&gander, &arguments, perf.parent());
        let (record, folded) = of(&profiles, "target-cpu");
        assert_eq!(record.sampler, SamplerKind::Perf, "{record:?}");
        let (tokenize, embed) = (below(folded, "tokenize"), below(folded, "embed"));
        assert_split(tokenize, embed);
        assert!(
            below(folded, "serve") >= (tokenize + embed) * 9 / 10,
            "callers are known:\n{folded}"
        );
        eprintln!(
            "{pointers}: {} samples, {} empty, {:?}",
            record.samples, record.empty, record.notes
        );
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
        finished(command).assert_valid_or_crowded();
        let profiles = read(&gander.run_folder()).unwrap();
        // One that waits may be on no processor at any sample.
        let found = profiles.taken.iter().find(|(record, _)| record.name == "target-cpu");
        let (burnt, total) =
            found.map_or((0, 0), |(_, folded)| (below(folded, "burn"), folded.total()));
        assert_eq!(burnt * 2 > total, computes, "{burnt} of {total} samples");
        assert!(computes || burnt == 0, "{burnt} of {total} samples");
    }
}

#[test]
#[ignore = "a campaign: 16 runs take minutes, and the machine must do nothing else"]
fn campaign_overhead_of_profiling() {
    let _alone = one_at_a_time();
    let settings = "--set latency=0s --set work.tokenize=700us --set work.embed=300us";
    // Target's CPU per request and requests a second, of one run.
    let measured = |profile: &str| {
        let service = Service::start(settings);
        let (gander, url) = (Gander::new(), &service.url);
        let scenario = gander.scenario(BUSY);
        let run = gander.run(&format!(
            "{scenario} --users 2 --warm-up 1s --duration 6s --target {url} --pid {} {profile}",
            service.process.id()
        ));
        let summary = run.summary();
        let figure = |value: &serde_json::Value| value.as_f64().unwrap();
        let rps = figure(&summary["total"]["rps"]);
        (figure(&summary["resources"]["target"]["cpu_ms_per_request"]), rps)
    };
    let mut ratios = [Vec::new(), Vec::new()];
    for pair in 0..8 {
        let (first, second) = if pair % 2 == 0 { ("", "--profile") } else { ("--profile", "") };
        let (first, second) = (measured(first), measured(second));
        let (off, on) = if pair % 2 == 0 { (first, second) } else { (second, first) };
        ratios[0].push(on.0 / off.0 - 1.0);
        ratios[1].push(on.1 / off.1 - 1.0);
    }
    for (what, mut changes) in ["CPU per request", "requests a second"].into_iter().zip(ratios) {
        changes.sort_by(f64::total_cmp);
        let count = changes.len() as f64;
        let mean = changes.iter().sum::<f64>() / count;
        let spread = changes.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / (count - 1.0);
        // Student's t for 7 degrees of freedom, 95%.
        let interval = 2.365 * (spread / count).sqrt();
        let (mean, interval) = (mean * 100.0, interval * 100.0);
        eprintln!("{what}: {mean:+.2}% +- {interval:.2}% with profiling at 99 Hz; {changes:.3?}");
    }
}

#[test]
fn a_sampler_that_is_missing_is_said_and_the_run_goes_on() {
    let _alone = one_at_a_time();
    for name in ["py-spy", "perf"] {
        let gander = Gander::new();
        let scenario = gander.scenario(&format!("service = \"inference\"\n{BUSY}"));
        let mut command =
            gander.load(&format!("{scenario} --duration 1s --format json --sampler {name}"));
        command.env("PATH", "/nowhere");
        let run = finished(command);
        run.assert_passed_or_crowded();
        let profiles = read(&gander.run_folder()).unwrap();
        let missing = &profiles.missing[..];
        assert_eq!(missing.len(), 1, "{missing:?}");
        assert_eq!(missing[0].why, format!("{name} is not installed"));
        assert!(missing[0].mend.as_ref().unwrap().contains("install"));
        assert!(profiles.taken.iter().all(|(record, _)| record.name == "generator-cpu"));
    }
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

/// `gander compare BEFORE AFTER --profile MORE` in the folder of `gander`.
fn compare(gander: &Gander, [before, after]: [&Path; 2], more: &str) -> Finished {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gander"));
    command.arg("compare").args([before, after]).args(shell_words::split(more).unwrap());
    command.current_dir(gander.path(".")).stdin(Stdio::null());
    finished(command)
}

/// A row of a comparison: milliseconds of CPU time a request, and the verdict.
struct Compared<'a> {
    name: &'a str,
    before: f64,
    after: f64,
    verdict: &'a str,
}

/// The rows of a comparison's tables of functions and modules.
fn compared(report: &str) -> Vec<Compared<'_>> {
    let rows = report.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("| `")?.split(" | ").collect();
        let [name, before, after, _, _, verdict] = cells[..] else { return None };
        let [before, after] = [before, after].map(|ms| ms.parse().ok());
        Some(Compared { name: name.trim_end_matches('`'), before: before?, after: after?, verdict })
    });
    rows.collect()
}

#[test]
fn what_became_cheaper_is_told_from_what_did_not() {
    let _alone = one_at_a_time();
    let take = |embed: &str| {
        let gander = Gander::new();
        let settings = format!(
            "--duration 8s --frequency 249 --service latency=0s --service work.tokenize=4ms \
             --service work.embed={embed}"
        );
        profile(&gander, &settings, None);
        let folder = gander.run_folder();
        (gander, folder)
    };
    let is = |row: &&Compared<'_>, function: &str| row.name.rsplit("::").next() == Some(function);
    for last in [false, false, true] {
        let ((gander, before), (_other, after)) = (take("3ms"), take("1ms"));
        let run = compare(&gander, [&before, &after], "--profile");
        let folders = gander.run_folders();
        let folder = folders.iter().find(|it| it.to_string_lossy().ends_with("-compare"));
        let folder = folder.unwrap_or_else(|| panic!("{folders:?}\n{}", run.stderr));
        let report = std::fs::read_to_string(folder.join("compare.md")).unwrap();
        assert!(folder.join("charts/diff-after.svg").is_file());
        let rows = compared(&report);
        let says = |function, verdict| {
            rows.iter().any(|row| is(&row, function) && row.verdict.contains(verdict))
        };
        // Its own time, and with what it calls: the latter is what it was made to take.
        let embed = rows.iter().filter(|row| is(row, "embed"));
        let embed = embed.max_by(|one, other| one.before.total_cmp(&other.before)).unwrap();
        assert!(embed.after < 0.7 * embed.before, "a third of what it took: {report}");
        eprintln!("{}", run.stdout);
        match run.code {
            0 if says("embed", "shrank") && !says("tokenize", "shrank") => return,
            0 => assert!(!last, "{report}"),
            // Others crowd this machine: then nothing may be concluded.
            4 => {
                assert!(run.stdout.contains("low quality: no conclusions"), "{}", run.stdout);
                assert!(rows.iter().all(|row| row.verdict.starts_with("no ")), "{report}");
            }
            code => panic!("{code}: {}", run.stderr),
        }
    }
    eprintln!("verdicts skipped: the machine is too crowded for sound profiles");
}

#[test]
fn different_work_is_compared_only_where_that_is_allowed() {
    let _alone = one_at_a_time();
    let [one, other] = [Gander::new(), Gander::new()];
    for (gander, text) in [(&one, BUSY.to_owned()), (&other, BUSY.replace("table", "chair"))] {
        let scenario = gander.scenario(&format!("service = \"inference\"\n{text}"));
        finished(gander.load(&format!("{scenario} --duration 2s --format json --profile")))
            .assert_passed_or_crowded();
    }
    let folders = [one.run_folder(), other.run_folder()];
    let both = [folders[0].as_path(), folders[1].as_path()];
    let refused = compare(&one, both, "--profile");
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("--allow-different"), "{}", refused.stderr);
    let allowed = compare(&one, both, "--profile --allow-different --out compared");
    assert!([0, 4].contains(&allowed.code), "{}", allowed.stderr);
    let report = std::fs::read_to_string(one.path("compared/compare.md")).unwrap();
    assert!(report.contains("the runs did different work"), "{report}");
    let plain = compare(&one, both, "");
    assert_eq!(plain.code, 2, "{}", plain.stderr);

    let mut command = Command::new(env!("CARGO_BIN_EXE_gander"));
    command.arg("report").arg(both[0]).args(["--section", "modulse"]);
    let misspelt = finished(command);
    assert_eq!(misspelt.code, 2, "{}", misspelt.stderr);
    assert!(misspelt.stderr.contains("did you mean `Modules: "), "{}", misspelt.stderr);
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
