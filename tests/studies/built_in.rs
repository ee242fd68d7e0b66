//! The studies that come with gander.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::gander::{Finished, Gander, finished, one_at_a_time};
use crate::record;

const STUDIES: [&str; 3] = ["inference", "multi-query", "time-travel"];

fn built_in(gander: &Gander, name: &str, more: &str) -> Finished {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gander"));
    command.args(["study", name]).args(shell_words::split(more).unwrap());
    command.arg("--reports").arg(gander.reports()).current_dir(gander.path("."));
    command.stdin(Stdio::null());
    finished(command)
}

#[test]
fn each_says_what_it_would_run() {
    for name in STUDIES {
        let gander = Gander::new();
        for more in ["--check", "--check --quick"] {
            let run = built_in(&gander, name, more);
            assert_eq!(run.code, 0, "{name} {more}: {}", run.stderr);
            assert!(run.stdout.contains(" slices, in this order:"), "{}", run.stdout);
        }
        assert!(gander.run_folders().is_empty());
    }
}

/// What failed, of a study's summary.
fn failed(summary: &Value) -> Vec<String> {
    let sections = summary["sections"].as_array().unwrap().iter();
    let all = sections.flat_map(|section| section["expectations"].as_array().unwrap());
    let failed = all.filter(|judged| judged["ruling"] != "passed");
    failed.map(|judged| format!("{}: {}", judged["what"], judged["measured"])).collect()
}

/// The short form, on a machine with nothing else started: every expectation holds. Others who use the
/// machine may hold up a run: then that of another time must do.
fn quick(name: &str) {
    let _alone = one_at_a_time();
    crate::gander::agrees_in_one_of_three(|| {
        let gander = Gander::new();
        let run = built_in(&gander, name, "--quick --format json");
        let summary = run.summary();
        let wrong = failed(&summary);
        let (folder, record) = record(&gander);
        assert_eq!(record["end"], "done", "{}", run.stderr);
        assert!(folder.join("report.html").is_file());
        match (run.code, wrong.is_empty()) {
            (0, true) => Ok(()),
            // The machine is crowded, and the report says so.
            (4, true) if summary["valid"] == false => Ok(()),
            (code, _) => Err(format!("{name}: exit {code}, {wrong:#?}")),
        }
    });
}

#[test]
fn inference_holds() {
    quick("inference");
}

#[test]
fn multi_query_holds() {
    quick("multi-query");
}

#[test]
fn time_travel_holds() {
    quick("time-travel");
}
