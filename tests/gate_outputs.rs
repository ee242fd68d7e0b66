//! What a gate hands to CI systems: the comment on a pull request, JUnit XML, annotations, and the
//! files that the documentation offers for them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/gander.rs"]
mod gander;
#[path = "gate_outputs/made_up.rs"]
mod made_up;
#[path = "gate_outputs/offered.rs"]
mod offered;
mod synthetic;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use ::gander::analysis::Ruling;
use ::gander::analysis::gate::{Call, Decision, Judged};
use ::gander::report::gate::{Told, build, comment, github, json, junit};
use ::gander::report::{inert, markdown};
use ::gander::store::gate::{GateEnd, GateRecord};
use comrak::nodes::NodeValue;
use comrak::{Arena, Options, parse_document};
use made_up::{figures, full, full_record, record, rule, told};
use roxmltree::Document;
use serde_json::Value;
use synthetic::HOSTILE;

#[test]
fn the_forms_of_a_gate_read_as_agreed() {
    let record = full_record();
    let told = full(&record);
    let report = build(&told);
    insta::assert_snapshot!("comment.md", comment::render(&told));
    insta::assert_snapshot!("junit.xml", junit::render(&told).unwrap());
    insta::assert_snapshot!("report.md", markdown::render(&report));
    insta::assert_snapshot!("changes.svg", report.charts().next().unwrap().svg);
    insta::assert_snapshot!("annotations", github::annotations(&told).join("\n"));
    insta::assert_json_snapshot!("gate.json", json::summary(&told));
}

/// What is told of, its figures, and its rules.
type MadeUp = (GateRecord, Vec<Judged>, Vec<(Ruling, &'static str)>);

/// Gates that ended in every way there is.
fn all_gates() -> Vec<MadeUp> {
    let gone = |is_head| GateEnd::Gone { is_head, round: 2, said: "segmentation fault".to_owned() };
    let ends = [
        Some(GateEnd::Decided),
        Some(GateEnd::AllRounds),
        Some(GateEnd::TimeOver),
        Some(gone(true)),
        Some(gone(false)),
        Some(GateEnd::Interrupted),
        Some(GateEnd::Failed("7 of 9 rounds were no valid runs".to_owned())),
        None,
    ];
    let calls: [&[Call]; 6] = [
        &[],
        &[Call::Unchanged, Call::Improved, Call::NoWorse],
        &[Call::Unchanged, Call::Regressed],
        &[Call::Unchanged, Call::Inconclusive],
        &[Call::Inconclusive, Call::Regressed],
        &[Call::Regressed; 7],
    ];
    let rulings: [&[Ruling]; 4] =
        [&[], &[Ruling::Passed], &[Ruling::Passed, Ruling::Failed], &[Ruling::Unknown]];
    let mut gates = Vec::new();
    for end in &ends {
        for calls in &calls {
            for rulings in &rulings {
                let record = GateRecord { end: end.clone(), ..full_record() };
                let judged = figures().into_iter().zip(*calls);
                let judged = judged.map(|(judged, call)| Judged { call: *call, ..judged });
                let rules = rulings.iter().map(|ruling| (*ruling, "p99 < 1s")).collect();
                gates.push((record, judged.collect(), rules));
            }
        }
    }
    gates
}

fn each_gate(mut check: impl FnMut(&Told<'_>)) {
    for (record, judged, rules) in all_gates() {
        let rules = rules.into_iter().map(|(ruling, text)| rule(text, "0.9 s", ruling));
        check(&told(&record, judged, rules.collect()));
    }
}

#[test]
fn junit_fails_where_the_gate_failed_and_passes_only_where_it_passed() {
    each_gate(|told| {
        let xml = junit::render(told).unwrap();
        let document = Document::parse(&xml).unwrap();
        let count = |tag| document.descendants().filter(|node| node.has_tag_name(tag)).count();
        let suite = document.descendants().find(|node| node.has_tag_name("testsuite")).unwrap();
        assert_eq!(suite.attribute("tests"), Some(count("testcase").to_string().as_str()));
        let (failures, errors) = (count("failure"), count("error"));
        let so_far = match (failures, errors) {
            (0, 0) => Decision::Passed,
            (0, _) => Decision::Inconclusive,
            _ => Decision::Failed,
        };
        assert_eq!(so_far, told.decision, "{:?}\n{xml}", told.record.end);
        // Something passed wherever all is well: an empty suite is green too.
        assert!(count("testcase") > count("skipped"), "{xml}");
        let annotated = github::annotations(told);
        let of = |level: &str| annotated.iter().filter(|line| line.starts_with(level)).count();
        assert_eq!((of("::error "), of("::warning ")), (failures, errors), "{annotated:?}");
    });
}

#[test]
fn a_comment_is_short_and_found_again() {
    each_gate(|told| {
        let page = comment::render(told);
        assert!(page.starts_with("<!-- gander-gate:inference-single -->\n**"), "{page}");
        let verdict = told.decision.name().to_uppercase();
        assert!(page.lines().nth(1).unwrap().starts_with(&format!("**{verdict}** ")), "{page}");
        assert!(page.chars().count() < 3000, "{}\n{page}", page.chars().count());
    });
}

#[test]
fn quiet_figures_of_steps_are_folded() {
    let record = record();
    let of_step = |name: &str, call| {
        let mut judged = figures().remove(0);
        judged.subject.step = Some(name.to_owned());
        Judged { call, ..judged }
    };
    let judged =
        [figures(), vec![of_step("quiet", Call::Unchanged), of_step("loud", Call::Regressed)]];
    let page = comment::render(&told(&record, judged.concat(), Vec::new()));
    let (open, folded) = page.split_once("<details>").unwrap();
    assert!(open.contains("| loud: Response time p50 |") && !open.contains("quiet:"), "{page}");
    assert!(folded.contains("| quiet: Response time p50 |"), "{page}");
}

/// Hostile text in every place that is not gander's own.
fn hostile() -> GateRecord {
    let text = || HOSTILE.to_owned();
    let mut record = full_record();
    (record.scenario, record.about, record.digest) = (text(), text(), text());
    record.sides = [text(), text()];
    record.command_line = vec![text()];
    record.started_at = text();
    record.left_out[0] = (text(), text());
    record.set_aside[0].reasons = vec![text()];
    record.end = Some(GateEnd::Gone { is_head: true, round: 3, said: text() + " #12 gh-3" });
    record
}

fn hostile_gate(record: &GateRecord) -> Told<'_> {
    let mut judged = figures();
    judged[0].subject.step = Some(HOSTILE.to_owned());
    judged[1].subject.step = Some(HOSTILE.to_owned());
    judged[2].reason = Some(HOSTILE.to_owned());
    let rules =
        vec![rule(HOSTILE, HOSTILE, Ruling::Failed), rule(HOSTILE, HOSTILE, Ruling::Unknown)];
    told(record, judged, rules)
}

#[test]
fn hostile_text_does_nothing_in_a_comment() {
    let record = hostile();
    let page = comment::render(&hostile_gate(&record));
    let mut options = Options::default();
    options.extension.table = true;
    options.extension.autolink = true;
    options.extension.strikethrough = true;
    options.extension.tasklist = true;
    let arena = Arena::new();
    let mut markup = Vec::new();
    for node in parse_document(&arena, &page, &options).descendants() {
        match &node.data.borrow().value {
            NodeValue::HtmlBlock(block) => markup.push(block.literal.trim().to_owned()),
            NodeValue::Text(text) => {
                let is_reference = |c: &str| c.starts_with("#1") || c.starts_with("gh-");
                assert!(!text.split_whitespace().any(is_reference), "{text}");
                assert!(!text.contains('@') && !text.contains("://"), "{text}");
            }
            NodeValue::HtmlInline(_)
            | NodeValue::Link(_)
            | NodeValue::Image(_)
            | NodeValue::CodeBlock(_)
            | NodeValue::Heading(_)
            | NodeValue::Emph => panic!("acts: {node:?}"),
            _ => {}
        }
    }
    // The marker, and the fold: nothing else is markup.
    assert_eq!(markup.len(), 3, "{markup:?}");
    assert!(markup[0].starts_with("<!-- gander-gate:a%7Cb"), "{markup:?}");
    assert_eq!(markup[0].matches("-->").count(), 1, "{markup:?}");
    assert_eq!(markup[2], "</details>");
    // Far from what GitHub takes, 65 536, however long the texts of others are.
    assert!(page.chars().count() < 10_000, "{}", page.chars().count());
}

#[test]
fn a_marker_is_of_one_scenario_and_cannot_be_left() {
    assert_eq!(comment::marker("chat-stream"), "<!-- gander-gate:chat-stream -->");
    let markers: Vec<String> =
        ["a b", "a_b", "a+b", "--> <b>", "\n"].iter().map(|name| comment::marker(name)).collect();
    for (place, marker) in markers.iter().enumerate() {
        assert_eq!((marker.matches('>').count(), marker.lines().count()), (1, 1), "{marker}");
        assert!(!markers[..place].contains(marker), "{marker}");
    }
}

#[test]
fn hostile_text_does_nothing_in_junit_and_annotations() {
    let record = hostile();
    let told = hostile_gate(&record);
    let xml = junit::render(&told).unwrap();
    let document = Document::parse(&xml).unwrap();
    let known = [
        "testsuites",
        "testsuite",
        "properties",
        "property",
        "testcase",
        "failure",
        "error",
        "skipped",
        "system-out",
    ];
    for node in document.descendants().filter(roxmltree::Node::is_element) {
        assert!(known.contains(&node.tag_name().name()), "{node:?}");
    }
    let rule = document.descendants().find(|node| {
        node.has_tag_name("testcase") && node.attribute("name") == Some(&*inert::visible(HOSTILE))
    });
    assert!(rule.is_some(), "{xml}");
    let annotated = github::annotations(&told);
    assert!(annotated.len() >= 4, "{annotated:?}");
    for line in annotated {
        assert!(line.starts_with("::error title=") || line.starts_with("::warning title="));
        assert_eq!((line.matches("::").count(), line.lines().count()), (2, 1), "{line}");
        assert_eq!(line.chars().find(|c| c.is_control()), None, "{line:?}");
        let title = line.split_once("title=").unwrap().1.split_once("::").unwrap().0;
        assert!(!title.contains(',') && !title.contains(':'), "{title}");
    }
}

#[test]
fn more_annotations_than_are_shown_are_counted() {
    let record = record();
    let regressed = figures().remove(1);
    let lines = github::annotations(&told(&record, vec![regressed; 23], Vec::new()));
    assert_eq!(lines.len(), 10, "{lines:?}");
    assert!(lines[9].ends_with("::14 more: see the report"), "{lines:?}");
}

/// `gander gate ARGUMENTS` in a step of GitHub Actions, whose files are in `folder`.
fn in_a_step(gander: &gander::Gander, arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gander"));
    command.arg("gate").args(shell_words::split(arguments).unwrap());
    command.arg("--reports").arg(gander.reports()).stdin(Stdio::null());
    command.env("GITHUB_ACTIONS", "true");
    command.env("GITHUB_STEP_SUMMARY", gander.path("summary.md"));
    command.env("GITHUB_OUTPUT", gander.path("outputs"));
    command.output().unwrap()
}

const SLOWER: &str = "inference-single --head-service latency.base=150ms --rate 40 --slice 1s \
                      --warm-up 200ms --max-time 60s";

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_step_gets_its_summary_outputs_and_annotations() {
    let _alone = gander::one_at_a_time();
    let gander = gander::Gander::new();
    std::fs::write(gander.path("summary.md"), "what was there\n").unwrap();
    let output = in_a_step(&gander, SLOWER);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let folder = gander.run_folder();
    let comment = read(folder.join("comment.md"));
    assert!(comment.contains("**FAILED**"), "{comment}");
    assert_eq!(read(gander.path("summary.md")), format!("what was there\n{comment}\n"));
    let outputs = format!("verdict=failed\nfolder={}\n", folder.display());
    assert_eq!(read(gander.path("outputs")), outputs);
    let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("::error ")).collect();
    let p50 = "::error title=gander gate inference-single%3A Response time p50::";
    assert!(errors.iter().any(|line| line.starts_with(p50)), "{said}");
    let xml = read(folder.join("junit.xml"));
    let document = Document::parse(&xml).unwrap();
    let failed = document.descendants().filter(|node| node.has_tag_name("failure")).count();
    assert_eq!(failed, errors.len(), "{xml}");
    for file in ["report.md", "report.html", "charts/gate-changes.svg"] {
        assert!(folder.join(file).is_file(), "{file}");
    }
}

#[test]
fn json_on_standard_output_stays_whole_in_a_step() {
    let _alone = gander::one_at_a_time();
    let gander = gander::Gander::new();
    let output = in_a_step(&gander, &format!("{SLOWER} --format json"));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["verdict"], "failed", "{summary:#}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.lines().any(|line| line.starts_with("::error ")), "{said}");
}

#[test]
fn a_gate_that_cannot_be_carried_out_is_an_error_of_the_step() {
    let gander = gander::Gander::new();
    let sides = "--base 'false' --head 'false' --rate 20";
    let output = in_a_step(&gander, &format!("inference-single {sides}"));
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("::error title=gander gate inference-single::"), "{said}");
    let folder = gander.run_folder();
    let xml = read(folder.join("junit.xml"));
    let document = Document::parse(&xml).unwrap();
    let case = document.descendants().find(|node| node.attribute("name") == Some("gate")).unwrap();
    assert!(case.children().any(|node| node.has_tag_name("error")), "{xml}");
    assert!(read(gander.path("outputs")).starts_with("verdict=inconclusive\n"));
}
