//! The report of a study on made-up runs: golden.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::gander::analysis::assess;
use ::gander::analysis::diagnose::Diagnosis;
use ::gander::analysis::group::Group;
use ::gander::analysis::profile::ProfileFindings;
use ::gander::measure::validity::Validity;
use ::gander::profile::Profiles;
use ::gander::report::{markdown, terminal};
use ::gander::scenario::errors::Source;
use ::gander::store::run::Run;
use ::gander::store::study::{SCHEMA_VERSION, SliceRecord, StudyEnd, StudyRecord};
use ::gander::study::Study;
use ::gander::study::figures::Measured;
use ::gander::study::report::{Findings, build};

use crate::synthetic::{self, Scene};

const STUDY: &str = r#"
title   = "Made-up service: before and after"
subject = "Figures that are known"

[[run]]
name    = "before"
about   = "as it was"
command = "load inference-mix --users 10"
ask     = { stats = "/stats" }

[[run]]
name    = "after"
about   = "as it is"
command = "load inference-mix --users 10 --service engine=threaded"

[[run]]
name    = "never"
about   = "not made"
command = "load inference-mix --users 99"

[[section]]
title = "Findings"
list  = [
    { when = "after.mean < before.mean", text = "**Faster**: {{ (after.mean / before.mean) | change }}." },
    { when = "after.mean > before.mean", text = "Slower." },
    "Interval: {{ interval('before', 'after', 'ok_rps') }}, of a pair that nobody compares {{ interval('after', 'before', 'ok_rps') }}.",
    "p99 is {{ after.p99 | ms }}, with {{ after.ttft.p99 | ms }} to the first token.",
]

[[section]]
title     = "Impact"
category  = "Load"
diagnosis = ["after"]
text     = """
The pool of `{{ before.stats.pool }}` places.

A second paragraph.
"""
runs    = ["before", "after", "never"]
columns = ["Figure", "Before", "After"]
compare = [
    { before = "before", after = "after", what = "all steps" },
    { before = "before", after = "never" },
]

[[section.row]]
key   = "before.p50"
cells = ["p50", "{{ before.p50 | ms }}", "{{ after.p50 | ms }}"]

[[section.row]]
key   = "before.p99"
cells = ["p99", "{{ before.p99 | ms }}", "{{ after.p99 | ms }}"]

[[section.row]]
when  = "before.p99 < 0"
cells = ["never shown", "", ""]

[[section.chart]]
kind   = "bars"
axis   = "p99 (ms)"
series = ["before", "after"]
bar    = [{ name = "all", values = ["before.p99", "after.p99"] }]

[[section.chart]]
kind = "memory"
runs = ["never"]

[[section.expect]]
what     = "faster"
expected = "half"
value    = "before.mean / after.mean"
min      = 1.2
max      = 4.0
shown    = "x"

[[section.expect]]
what  = "failures"
value = "after.failure_share"
max   = 0.0
shown = "share"

[[section.expect]]
what  = "wrong on purpose"
value = "before.count"
max   = 1.0

[[section.expect]]
what  = "no queue, found by no rule"
value = "not after.diagnosis.queueing"
control = true

[[section.expect]]
what  = "first tokens"
value = "after.ttft.p99"
max   = 1.0

[[section]]
title    = "Short"
level    = 2
category = "Load"

[[section.expect]]
what  = "a short table stays"
value = "after.count"
min   = 1.0

[[section]]
title    = "Next"
level    = 2
category = "Advice"
when     = "never.count > 0"
text     = "Not shown."
"#;

fn measured(runs: Vec<Run>, doubt: Option<&str>) -> Measured {
    let last = runs.last().unwrap();
    let judged = assess(last).unwrap();
    Measured {
        diagnosis: Diagnosis::of(last, &judged, None).unwrap(),
        last: judged,
        profile: ProfileFindings::of(&Profiles { taken: Vec::new(), missing: Vec::new() }, last),
        group: Group::of(runs).unwrap(),
        validity: Validity { reasons: doubt.into_iter().map(str::to_owned).collect() },
        asked: BTreeMap::from([("stats".to_owned(), serde_json::json!({ "pool": 4 }))]),
        ledger: None,
        behind: None,
    }
}

fn runs(median_ms: fn(f64) -> f64) -> Vec<Run> {
    (1..=3).map(|seed| Scene { median_ms, seed, ..Scene::default() }.run()).collect()
}

fn findings(end: Option<StudyEnd>, doubt: Option<&str>) -> Findings {
    let source = Arc::new(Source { name: "made-up.toml".to_owned(), text: STUDY.to_owned() });
    let study = Study::read("made-up", &source).unwrap();
    let (run, _) = synthetic::healthy();
    let slices = ["before", "after"].into_iter().flat_map(|run| {
        (1..=3).map(move |slice| SliceRecord {
            run: run.to_owned(),
            slice,
            folder: format!("slices/0{slice}-{run}-{slice}"),
            asked: BTreeMap::new(),
            ledger: None,
            behind: None,
        })
    });
    let record = StudyRecord {
        schema_version: SCHEMA_VERSION,
        study: "made-up".to_owned(),
        source: STUDY.to_owned(),
        is_quick: false,
        started_at: "2026-03-04T10:15:00+01:00".to_owned(),
        command_line: ["gander", "study", "./made-up.toml"].map(str::to_owned).to_vec(),
        environment: run.start.environment,
        seed: 42,
        slice: Duration::from_secs(10),
        planned: 9,
        slices: slices.collect(),
        set_aside: vec![SliceRecord {
            run: "after".to_owned(),
            slice: 2,
            folder: "slices/02-after-2".to_owned(),
            asked: BTreeMap::new(),
            ledger: None,
            behind: None,
        }],
        end,
    };
    let measured = BTreeMap::from([
        ("before".to_owned(), measured(runs(|_| 180.0), None)),
        ("after".to_owned(), measured(runs(|_| 90.0), doubt)),
    ]);
    Findings::of(study, record, measured)
}

#[test]
fn a_report_tells_what_held_what_failed_and_what_nobody_knows() {
    let findings = findings(Some(StudyEnd::Interrupted), Some("the generator was busy"));
    let report = build(&findings);
    insta::assert_snapshot!("study.md", markdown::render(&report));
    insta::assert_snapshot!("study.100", terminal::render(&report, 100, false));
    insta::assert_snapshot!("study.json", format!("{:#}", findings.summary()["sections"]));
}

#[test]
fn a_study_whose_slices_are_not_all_there_is_not_valid() {
    assert!(!findings(Some(StudyEnd::Done), None).is_valid());
}
