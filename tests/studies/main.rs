//! `gander study`: designed experiments, from the file to the report.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests panic to fail, and say what they measured"
)]

mod built_in;
mod file;
mod flips;
#[path = "../support/gander.rs"]
mod gander;
mod report;
#[path = "../synthetic/mod.rs"]
mod synthetic;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use gander::{BUSY, Finished, Gander, Started, one_at_a_time};
use serde_json::Value;

/// A study of counts alone: they hold on any machine.
const COUNTS: &str = r#"
title   = "Twice as slow"
subject = "A service that takes 4 ms, then 20 ms"

[length]
full  = { duration = "1s", slices = 2 }
quick = { duration = "1s", slices = 1 }

[[run]]
name    = "fast"
about   = "4 ms"
command = "load SCENARIO --users 2 --iterations 40 --service latency=4ms"
ask     = { info = "/models/info" }

[[run]]
name      = "slow"
about     = "20 ms"
command   = "load SCENARIO --users 2 --iterations 40 --service latency=20ms"

[[run]]
name      = "extra"
about     = "left out of quick studies"
command   = "load SCENARIO --users 1 --iterations 3 --service latency=4ms"
slices    = 1
full_only = true

[[section]]
title    = "Result"
category = "Counts"
text     = "The slow one takes {{ (slow.mean / fast.mean) | x }} as long; **{{ fast.count }}** requests of `{{ fast.info.model_name }}`."
runs     = ["fast", "slow"]
compare  = [{ before = "fast", after = "slow" }]

[[section.chart]]
kind = "percentiles"
runs = ["fast", "slow"]

[[section.expect]]
what     = "requests"
value    = "fast.count + slow.count"
expected = "40 of each slice"
min      = REQUESTS
max      = REQUESTS

[[section.expect]]
what  = "requests in the service's own ledger, of its last slice"
value = "fast.ledger.requests.answered"
min   = 40.0
max   = 40.0

[[section.expect]]
what  = "the slow one is slower"
value = "slow.mean > fast.mean"

[[section]]
title = "Extra"
when  = "extra.count > 0"
text  = "{{ extra.count }} requests more."

[[section.expect]]
what  = "requests of the extra run"
value = "extra.count"
min   = 3.0
max   = 3.0
"#;

/// A study in a folder of its own; the command line without `gander study`.
fn study(gander: &Gander, text: &str, more: &str) -> Command {
    study_of(Path::new(env!("CARGO_BIN_EXE_gander")), gander, text, more)
}

/// The same with another copy of the program.
fn study_of(program: &Path, gander: &Gander, text: &str, more: &str) -> Command {
    let scenario = gander.scenario(&format!("service = \"inference\"\n{BUSY}"));
    std::fs::write(gander.path("counts.toml"), text.replace("SCENARIO", &scenario)).unwrap();
    let mut command = Command::new(program);
    command.arg("study").arg(gander.path("counts.toml"));
    command.args(shell_words::split(more).unwrap()).arg("--reports").arg(gander.reports());
    command.current_dir(gander.path(".")).stdin(Stdio::null());
    command
}

fn carried_out(gander: &Gander, text: &str, more: &str) -> Finished {
    gander::finished(study(gander, text, more))
}

/// What the folder of the one study says of itself.
fn record(gander: &Gander) -> (PathBuf, Value) {
    let folder = gander.run_folder();
    let text = std::fs::read_to_string(folder.join("study.json")).unwrap();
    (folder, serde_json::from_str(&text).unwrap())
}

/// Slices of the one study so far; none before there is one.
fn slices_made(gander: &Gander) -> usize {
    let folders = gander.run_folders();
    let text = folders.first().and_then(|it| std::fs::read_to_string(it.join("study.json")).ok());
    let record = text.and_then(|text| serde_json::from_str::<Value>(&text).ok());
    record.map_or(0, |record| record["slices"].as_array().unwrap().len())
}

/// Rulings of a summary, by what was judged.
fn ruling(summary: &Value, what: &str) -> String {
    let sections = summary["sections"].as_array().unwrap().iter();
    let mut all = sections.flat_map(|section| section["expectations"].as_array().unwrap());
    let found = all.find(|judged| judged["what"] == what).unwrap_or_else(|| panic!("{summary:#}"));
    found["ruling"].as_str().unwrap().to_owned()
}

/// Passed, but perhaps that others crowded this machine: then the runs may not be trusted.
fn assert_passed_or_crowded(run: &Finished) {
    let summary = run.summary();
    let is_crowded = summary["valid"] == false;
    assert_eq!(run.code, if is_crowded { 4 } else { 0 }, "{summary:#}\n{}", run.stderr);
}

#[test]
fn slices_take_turns_and_every_figure_is_of_all_of_them() {
    let _alone = one_at_a_time();
    let gander = Gander::new();
    let run = carried_out(&gander, &COUNTS.replace("REQUESTS", "160.0"), "--format json");
    assert_passed_or_crowded(&run);
    let summary = run.summary();
    for what in ["requests", "the slow one is slower", "requests of the extra run"] {
        assert_eq!(ruling(&summary, what), "passed", "{what}");
    }
    assert_eq!(summary["runs"]["fast"]["slices"], 2);
    assert_eq!(summary["runs"]["fast"]["info"]["model_name"], "lexicon-sentiment");
    let (folder, record) = record(&gander);
    assert_eq!(record["end"], "done");
    let made: Vec<(String, u64)> = record["slices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|slice| {
            assert!(folder.join(slice["folder"].as_str().unwrap()).join("run.json").is_file());
            (slice["run"].as_str().unwrap().to_owned(), slice["slice"].as_u64().unwrap())
        })
        .collect();
    let turns: Vec<u64> = made.iter().map(|(_, turn)| *turn).collect();
    assert_eq!(turns, [1, 1, 1, 2, 2], "the first slice of every run comes before any second");
    for file in ["report.md", "report.html", "charts/01-1-percentiles.svg"] {
        assert!(folder.join(file).is_file(), "{file}");
    }

    // The same report from the folder alone.
    let report = std::fs::read_to_string(folder.join("report.md")).unwrap();
    std::fs::remove_file(folder.join("report.md")).unwrap();
    let mut again = Command::new(env!("CARGO_BIN_EXE_gander"));
    again.arg("report").arg(&folder);
    assert_eq!(gander::finished(again).code, run.code);
    assert_eq!(std::fs::read_to_string(folder.join("report.md")).unwrap(), report);
}

#[test]
fn with_profile_the_targets_of_all_runs_are_sampled() {
    let _alone = one_at_a_time();
    let gander = Gander::new();
    let text = "title = \"Profiled\"\n[[run]]\nname = \"busy\"\nabout = \"busy\"\ncommand = \"load \
                SCENARIO --users 2 --duration 4s --service latency=0s --service work.tokenize=4ms\"\n";
    let run = carried_out(&gander, text, "--quick --profile --format json");
    assert_passed_or_crowded(&run);
    let (folder, record) = record(&gander);
    let slice = folder.join(record["slices"][0]["folder"].as_str().unwrap());
    assert!(slice.join("profile").is_dir());
    let report = std::fs::read_to_string(folder.join("report.md")).unwrap();
    assert!(report.contains("## Where the time goes: busy"), "{report}");
    // On a crowded machine a profile is of low quality, and nothing of it is shown.
    let is_sound = run.summary()["runs"]["busy"]["profile"]["sound"] == true;
    assert_eq!(report.contains("Functions by self time"), is_sound, "{report}");
}

#[test]
fn a_quick_study_leaves_out_what_is_for_full_ones() {
    let _alone = one_at_a_time();
    let gander = Gander::new();
    let text = COUNTS.replace("REQUESTS", "80.0");
    let run = carried_out(&gander, &text, "--quick --format json");
    assert_passed_or_crowded(&run);
    let (folder, record) = record(&gander);
    assert_eq!(record["slices"].as_array().unwrap().len(), 2);
    let report = std::fs::read_to_string(folder.join("report.md")).unwrap();
    assert!(report.contains("A quick study"), "{report}");
    assert!(!report.contains("requests of the extra run"), "{report}");
}

#[test]
fn what_fails_and_what_cannot_be_judged_is_said_and_never_passes() {
    let _alone = one_at_a_time();
    // A bound that the figure does not keep.
    let gander = Gander::new();
    let text = COUNTS.replace("REQUESTS", "81.0");
    let run = carried_out(&gander, &text, "--quick --format json");
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert_eq!(ruling(&run.summary(), "requests"), "failed");
    let report = std::fs::read_to_string(record(&gander).0.join("report.md")).unwrap();
    assert!(report.contains("1 of 3 expectations failed"), "{report}");
    // A figure that no run has.
    let gander = Gander::new();
    let text =
        COUNTS.replace("REQUESTS", "80.0").replace("slow.mean > fast.mean", "fast.ttft.p99 > 0");
    let run = carried_out(&gander, &text, "--quick --format json");
    assert_eq!(run.code, 4, "{}", run.stderr);
    assert_eq!(ruling(&run.summary(), "the slow one is slower"), "unknown");
}

#[test]
fn an_interrupted_study_has_a_report_of_what_there_is() {
    let _alone = one_at_a_time();
    let gander = Gander::new();
    // The second turn would take an hour.
    let text = COUNTS.replace("REQUESTS", "160.0").replace("slices = 2", "slices = 100");
    let mut run = Started::new(study(&gander, &text, "--format json"));
    run.until("four slices", || slices_made(&gander) >= 4);
    run.signal("INT");
    let run = run.ended_within(Duration::from_secs(60));
    assert_eq!(run.code, 130, "{}", run.stderr);
    let (folder, record) = record(&gander);
    assert_eq!(record["end"], "interrupted");
    let report = std::fs::read_to_string(folder.join("report.md")).unwrap();
    assert!(report.contains("Interrupted after "), "{report}");
    assert!(report.contains(" of 201 slices"), "{report}");
}

#[test]
fn a_study_goes_on_where_its_program_is_replaced() {
    let _alone = one_at_a_time();
    let gander = Gander::new();
    let program = gander.path("gander");
    std::fs::copy(env!("CARGO_BIN_EXE_gander"), &program).unwrap();
    let text = COUNTS.replace("REQUESTS", "160.0");
    let mut run = Started::new(study_of(&program, &gander, &text, "--format json"));
    run.until("a slice", || slices_made(&gander) >= 1);
    std::fs::remove_file(&program).unwrap();
    let run = run.ended_within(Duration::from_secs(60));
    assert_passed_or_crowded(&run);
    assert_eq!(record(&gander).1["end"], "done");
}
