//! A study's file: every mistake is shown at its place, and the documentation says what there is.

use std::process::{Command, Stdio};

use ::gander::study::names::{Below, NAMES};
use ::gander::study::words::FILTERS;

use crate::gander::{Gander, finished};

/// What `gander study FILE` says of a file that is wrong.
fn wrong(text: &str) -> String {
    let gander = Gander::new();
    std::fs::write(gander.path("wrong.toml"), text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gander"));
    command.args(["study", "./wrong.toml"]).current_dir(gander.path(".")).stdin(Stdio::null());
    let run = finished(command);
    assert_eq!(run.code, 2, "{}\n{}", run.stdout, run.stderr);
    assert!(gander.run_folders().is_empty(), "nothing is run");
    run.stderr
}

#[test]
fn mistakes_are_shown_at_their_places() {
    insta::assert_snapshot!(
        "mistakes_of_a_study",
        wrong(
            r#"
[length]
full = { duration = "soon", slices = 0 }
[[run]]
name = "before"
command = "load inference-single --usres 10"
ask = { p99 = "/p99", stats = "stats" }
[[run]]
name = "before"
command = "sweep inference-single"
[[run]]
name = "After"
command = "load 'inference-single"
[[run]]
name = "model"
command = "load inference-sngle"
[[section]]
text = "{{ befor.p99 }} {{ before.p98 | ms }} {{ before.rows.p98 }} {{ before.p99.p50 }} {{ before.p99 | msec }} {{ before.p99"
runs = ["befor"]
compare = [{ before = "before", after = "aftr" }]
columns = ["a", "b"]
row = [{ cells = ["1"] }]
[[section.expect]]
what = "something"
value = "before.p99 +"
min = 2.0
max = 1.0
shown = "mss"
[[section.chart]]
kind = "bars"
runs = ["before"]
[[section.chart]]
kind = "waterfall"
series = ["one"]
bar = [{ name = "a", values = ["1", "2"] }]
[[section.chart]]
kind = "curve"
runs = ["before"]
at = [1, 2]
"#
        )
    );
}

#[test]
fn figures_that_there_are_not_have_near_names() {
    insta::assert_snapshot!(
        "misnamed_figures_of_a_study",
        wrong(
            r#"
title = "Misnamed"
[[run]]
name = "before"
command = "load inference-single"
ask = { stats = "/stats" }
[[section]]
title = "One"
list = [
    "{{ befor.p99 }}",
    "{{ before.p98 | ms }}",
    "{{ before.rows.p98 }} {{ before.stats.pool }} {{ before.steps.any.p99 }}",
    "{{ before.p99.p50 }}",
    "{{ before.p99 | msec }} {{ before.diagnosis.serialized }}",
    { text = "a", when = "before.p99 | sme > 2 or befor.p99 > 1" },
]
"#
        )
    );
}

#[test]
fn what_is_wrong_with_a_command_is_found_before_anything_is_run() {
    insta::assert_snapshot!(
        "commands_of_a_study",
        wrong(
            r#"
title = "Commands"
[[run]]
name = "option"
command = "load inference-single --usres 10"
[[run]]
name = "scenario"
command = "load inference-sngle"
[[run]]
name = "command"
command = "sweep inference-single --users 1,2"
[[run]]
name = "setting"
command = "load inference-single --service engine=blokcing"
[[run]]
name = "fault"
command = '''load inference-single --service 'faults=[{kind="model-not-loaded",rate=1.0}]' '''
"#
        )
    );
}

#[test]
fn a_key_that_there_is_not_and_a_kind_that_there_is_not() {
    insta::assert_snapshot!(
        "unknown_keys_of_a_study",
        wrong(
            "titel = \"a\"\n[[run]]\nname = \"a\"\ncomand = \"load\"\n[[section.chart]]\nkind = \"pie\"\n"
        )
    );
}

#[test]
fn a_study_that_there_is_not_has_a_near_name() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gander"));
    command.args(["study", "inferrence"]).stdin(Stdio::null());
    let run = finished(command);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("did you mean `inference`?"), "{}", run.stderr);
}

#[test]
fn the_documentation_names_every_figure_and_filter() {
    let text = include_str!("../../docs/studies.md");
    for name in NAMES.iter().filter(|name| !name.about.is_empty()) {
        let line = format!("| `{}` | {} |", name.name, about(name.below, name.about));
        assert!(text.contains(&line), "docs/studies.md lacks:\n{line}");
    }
    for (filter, about) in FILTERS {
        let line = format!("| `{filter}` | {about} |");
        assert!(text.contains(&line), "docs/studies.md lacks:\n{line}");
    }
}

/// What a name is, and what is below it.
fn about(below: Below, about: &str) -> String {
    match below {
        Below::These(parts) => {
            let parts: Vec<String> = parts.iter().map(|part| format!("`.{part}`")).collect();
            format!("{about}: {}", parts.join(", "))
        }
        Below::Nothing | Below::Anything => about.to_owned(),
    }
}
