//! `gander sweep` as a user runs it, held against the reference service's own ledger; and its
//! report, from points that are made up.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "support/gander.rs"]
mod gander;
#[path = "support/reference.rs"]
mod reference;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use ::gander::analysis::capacity::search::{Judged, Next, next};
use ::gander::analysis::capacity::{Point, PointFigures, assess, ladder, tried};
use ::gander::analysis::{Ruling, Verdict};
use ::gander::report::{markdown, sweep, terminal};
use ::gander::scenario::slo::Slo;
use ::gander::store::sweep::{Axis, Dimension, PointRecord, Stage, SweepEnd, SweepRecord};
use gander::{BUSY, Finished, Gander, finished, one_at_a_time};
use mock_server::Inference;
use mock_server::latency::{Distribution, Latency};
use reference::Reference;
use serde_json::Value;

/// `gander sweep ARGUMENTS --format json`, in a test's own place.
fn sweep_of(gander: &Gander, arguments: &str) -> Finished {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gander"));
    command.arg("sweep").args(shell_words::split(arguments).unwrap()).stdin(Stdio::null());
    command.arg("--reports").arg(gander.reports()).args(["--format", "json"]);
    finished(command)
}

/// A service of four workers, each of which takes this long.
fn four_workers(each: Duration) -> Reference {
    let latency = Latency::of(Distribution::Fixed(each));
    Reference::inference(Inference { latency, ..Inference::default() })
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("a number: {value}"))
}

/// Nothing but noise of other tests speaks against the points.
fn assert_valid_or_crowded(summary: &Value) {
    for point in summary["points"].as_array().unwrap() {
        for reason in point["reasons"].as_array().unwrap() {
            assert!(reason.as_str().unwrap().starts_with("the generator was "), "{point}");
        }
    }
}

fn report_of(gander: &Gander) -> (PathBuf, String) {
    let folder = gander.run_folder();
    let page = std::fs::read_to_string(folder.join("report.md")).unwrap();
    (folder, page)
}

#[test]
fn efficiency_falls_beyond_the_workers_and_counts_agree_with_the_ledger() {
    let _alone = one_at_a_time();
    let service = four_workers(Duration::from_millis(50));
    let gander = Gander::new();
    let scenario = gander.scenario(BUSY);
    let run = sweep_of(
        &gander,
        &format!("{scenario} --users 1,4,8,16 --duration 2s --target {}", service.url),
    );
    let summary = run.summary();
    assert_valid_or_crowded(&summary);
    let points = summary["points"].as_array().unwrap();
    let at: Vec<&str> = points.iter().map(|p| p["at"][0].as_str().unwrap()).collect();
    assert_eq!(at, ["1", "4", "8", "16"]);
    let counted: u64 = points.iter().map(|p| p["count"].as_u64().unwrap()).sum();
    assert_eq!(counted, service.ledger().requests.answered);
    let rps: Vec<f64> = points.iter().map(|p| number(&p["rps"])).collect();
    // Four workers of 50 ms answer at most 80 a second, and one more at the edge of the window each.
    assert!(rps.iter().all(|rps| *rps <= 80.0 + 4.0), "{rps:?}");
    assert!(rps[1] > 2.0 * rps[0], "{rps:?}");
    assert!(rps[3] / 16.0 < 0.5 * rps[0], "{rps:?}");

    // The report is made again from the folder, to the last byte.
    let (folder, page) = report_of(&gander);
    assert_eq!(folder.join("points").read_dir().unwrap().count(), 4);
    for name in ["sweep.json", "charts/latency-by-load.svg", "charts/throughput-by-load.svg"] {
        let is_chart_of_invalid = name.starts_with("charts") && run.code != 0;
        assert!(is_chart_of_invalid || folder.join(name).is_file(), "{name}");
    }
    std::fs::remove_file(folder.join("report.md")).unwrap();
    let again = gander.report();
    assert_eq!((again.code, again.summary()), (run.code, summary));
    assert_eq!(report_of(&gander).1, page);
}

#[test]
fn the_search_finds_the_knee_of_the_service() {
    let _alone = one_at_a_time();
    // Users wait in turn for four workers of 100 ms: up to 8 of them wait 200 ms, 9 to 12 wait 300.
    let service = four_workers(Duration::from_millis(100));
    let gander = Gander::new();
    let scenario = gander.scenario(BUSY);
    let run = sweep_of(
        &gander,
        &format!(
            "{scenario} --users 2..20/2 --until 'mean < 250ms' --trials 2 --duration 2s --target {}",
            service.url
        ),
    );
    let summary = run.summary();
    assert_valid_or_crowded(&summary);
    let answer = &summary["answer"];
    if run.code == 4 {
        // The machine was too crowded to trust a run: that is said, and nothing is found.
        assert!(answer.is_null() || answer["found"] == "unclear", "{answer}");
        return;
    }
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(answer["found"], "limit", "{answer}");
    // Ten users wait 250 ms on average, so that they may fall on either side.
    assert!([8.0, 10.0].contains(&number(&answer["safe"])), "{answer}");
    assert_eq!(answer["held"]["of"], 2);
    assert!(report_of(&gander).1.contains("Max safe load"));
}

#[test]
fn even_the_smallest_load_may_break_a_rule() {
    let _alone = one_at_a_time();
    let service = four_workers(Duration::from_millis(20));
    let gander = Gander::new();
    let scenario = gander.scenario(BUSY);
    let arguments = "--users 1..3/1 --until 'mean < 10ms' --trials 1 --duration 1s";
    let run = sweep_of(&gander, &format!("{scenario} {arguments} --target {}", service.url));
    assert!([1, 4].contains(&run.code), "{}", run.stderr);
    if run.code == 1 {
        assert_eq!(run.summary()["answer"]["found"], "none_safe");
    }
}

#[test]
fn a_dead_target_ends_the_sweep_at_once() {
    let gander = Gander::new();
    let scenario = gander.scenario(BUSY);
    let run =
        sweep_of(&gander, &format!("{scenario} --users 1,2 --target http://127.0.0.1:9 --quiet"));
    assert_eq!(run.code, 3, "{}", run.stderr);
    assert!(run.stderr.contains("127.0.0.1:9"), "{}", run.stderr);

    // One that answers nothing but errors: one point, and a report that says why there is no second.
    let _alone = one_at_a_time();
    let service = Reference::inference(reference::quick());
    let gander = Gander::new();
    let scenario = gander.scenario(&BUSY.replace("/predict", "/nothing-here"));
    let run = sweep_of(
        &gander,
        &format!("{scenario} --users 1,2,4 --duration 1s --target {}", service.url),
    );
    assert_eq!(run.code, 3, "{}", run.stderr);
    assert_eq!(run.summary()["points"].as_array().unwrap().len(), 1);
    assert!(report_of(&gander).1.contains("the target is dead"));
}

/// A scenario with its own service, whose model takes as long as the sweep says.
const PATIENT: &str = r#"
service = "inference"
summary = "One text, and little patience."
[load]
users = 2
duration = "1s"
[[step]]
name = "predict"
post = "/predict"
json = { text = "a good table" }
timeout = "300ms"
"#;

#[test]
fn a_setting_that_answers_nothing_is_no_dead_target_once_another_answered() {
    let _alone = one_at_a_time();
    let gander = Gander::new();
    let scenario = gander.scenario(PATIENT);
    let run = sweep_of(&gander, &format!("{scenario} --service latency.base=10ms,5s,20ms"));
    let summary = run.summary();
    let points = summary["points"].as_array().unwrap();
    assert_eq!(points.len(), 3, "{summary}");
    assert_eq!(points[1]["count"], points[1]["failed"]);
    assert!(number(&points[2]["count"]) > number(&points[2]["failed"]));
    // The point without a success is not valid.
    assert_eq!((run.code, &summary["end"]), (4, &Value::from("done")), "{}", run.stderr);
    // The scenario's own duration holds: nothing else was said.
    let folder = gander.run_folder().join(points[0]["folder"].as_str().unwrap());
    let saved: Value =
        serde_json::from_slice(&std::fs::read(folder.join("run.json")).unwrap()).unwrap();
    let words = saved["plan"]["command_line"].as_array().unwrap();
    let is_length = |word: &&Value| word.as_str().unwrap().starts_with("--duration");
    assert_eq!(words.iter().find(is_length), None);
    let hold = &saved["plan"]["load"]["closed"]["stages"][0]["hold"];
    assert_eq!(hold["secs"], 1, "{}", saved["plan"]["load"]);
}

#[test]
fn a_budget_is_for_the_whole_sweep() {
    let _alone = one_at_a_time();
    let service = four_workers(Duration::from_millis(5));
    let gander = Gander::new();
    let scenario = gander.scenario(BUSY);
    let run = sweep_of(
        &gander,
        &format!(
            "{scenario} --users 1,2,4 --iterations 20 --max-requests 50 --target {}",
            service.url
        ),
    );
    assert_eq!(run.code, 4, "{}", run.stderr);
    let summary = run.summary();
    assert_eq!(service.ledger().requests.accepted, 50);
    let points = summary["points"].as_array().unwrap();
    let counts: Vec<u64> = points.iter().map(|point| point["count"].as_u64().unwrap()).collect();
    assert_eq!(counts, [20, 20, 10]);
    assert_eq!(points[2]["partial"], "budget");
    let said = "the budget of 50 requests is used up";
    assert_eq!(summary["end"]["budget"], said);
    let page = report_of(&gander).1;
    assert!(page.contains(&format!("{said}; 3 points measured")), "{page}");
}

#[test]
fn a_rule_of_rows_is_searched_until_it_rests_on_enough_rows() {
    let _alone = one_at_a_time();
    let service = four_workers(Duration::from_millis(20));
    let gander = Gander::new();
    let step = |name: &str| {
        format!("[[step]]\nname = \"{name}\"\npost = \"/predict\"\njson = {{ text = \"x\" }}\n")
    };
    let ten: String = (0..10).map(|n| step(&format!("step-{n}"))).collect();
    let scenario = gander.scenario(&format!("summary = \"Ten requests a row.\"\n{ten}"));
    // Five rows a second and user: a p95 needs twenty, the requests of the first run alone are fifty.
    let run = sweep_of(
        &gander,
        &format!(
            "{scenario} --users 1,2 --until 'row p95 < 10s' --trials 1 --duration 1s --target {}",
            service.url
        ),
    );
    let summary = run.summary();
    assert_valid_or_crowded(&summary);
    let points = summary["points"].as_array().unwrap();
    if points.iter().any(|point| !point["reasons"].as_array().unwrap().is_empty()) {
        return;
    }
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(summary["answer"]["found"], "no_limit", "{summary}");
    assert!(points.len() > 3, "the first was too short: {summary}");
}

#[test]
fn the_length_of_a_load_is_never_dropped_in_silence() {
    let gander = Gander::new();
    let staged = PATIENT.replace("users = 2\nduration = \"1s\"", "stages = \"1u:1s,3u:1s\"");
    let scenario = gander.scenario(&staged);
    let run = gander.run(&format!("{scenario} --duration 1s"));
    assert_eq!(run.code, 2, "{}", run.stderr);
    assert!(run.stderr.contains("give --users with --duration"), "{}", run.stderr);

    let _alone = one_at_a_time();
    let run = gander.run(&format!("{scenario} --iterations 5"));
    run.assert_passed_or_crowded();
    assert_eq!(run.summary()["ledger"]["iterations_ok"], 5);
    let run = std::fs::read(gander.run_folder().join("run.json")).unwrap();
    let run: Value = serde_json::from_slice(&run).unwrap();
    let stages = &run["plan"]["load"]["closed"]["stages"];
    assert_eq!((&stages[0]["users"], &stages[1]["users"]), (&1.into(), &3.into()), "{stages}");
}

#[test]
fn what_is_wrong_is_said_before_anything_runs() {
    let gander = Gander::new();
    let scenario = gander.scenario(&format!("service = \"inference\"\n{BUSY}"));
    for (arguments, why) in [
        ("--users 5..50", "a range needs a step"),
        ("--users 10", "nothing is swept"),
        ("--users 1,2 --until 'p9 < 1s'", "there is no metric `p9`"),
        ("--users 1,2 --stages 1u:1s", "cannot be used with '--stages"),
        ("--users 1,2 --duration 0s", "--duration"),
        ("--users 1,2 --until 'p99 < 1s' --service workers=1,2", "--until searches along"),
    ] {
        let run = sweep_of(&gander, &format!("{scenario} {arguments}"));
        assert_eq!(run.code, 2, "{arguments}: {}", run.stderr);
        assert!(run.stderr.contains(why), "{arguments}: {}", run.stderr);
    }
    assert!(gander.run_folders().is_empty());
}

fn record(until: &[&str], values: &[&str]) -> SweepRecord {
    SweepRecord {
        variant: None,
        settings: Vec::new(),
        schema_version: 1,
        scenario: "inference-single".to_owned(),
        started_at: "2026-03-04T05:06:07+00:00".to_owned(),
        command_line: vec!["gander".to_owned(), "sweep".to_owned()],
        seed: 42,
        axes: vec![Axis {
            dimension: Dimension::Users,
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        }],
        until: until.iter().map(|rule| Slo::parse(rule, &[]).unwrap()).collect(),
        trials: 3,
        resolution: 5.0,
        points: Vec::new(),
        end: None,
    }
}

/// A made-up point of a service with some contention.
fn point(record: &mut SweepRecord, load: f64, stage: Stage, limit: f64) -> Point {
    let rps = 10.0 * load / (1.0 + 0.04 * (load - 1.0) + 0.0008 * load * (load - 1.0));
    let number = record.points.len() + 1;
    let trial = 1 + record.points.iter().filter(|p| p.at == [load.to_string()]).count() as u32;
    let of = PointRecord {
        at: vec![load.to_string()],
        trial,
        stage,
        folder: format!("points/{number:02}-users-{load}"),
    };
    record.points.push(of.clone());
    let mean_ms = load / rps * 1000.0;
    let ruling = if load <= limit { Ruling::Passed } else { Ruling::Failed };
    let verdict = |slo: &Slo| Verdict {
        rule: slo.text.clone(),
        measured: format!("{:.0} ms", mean_ms * 2.0),
        ruling,
    };
    Point {
        record: of,
        figures: PointFigures {
            rps: Some(rps * (1.0 + 0.002 * f64::from(trial))),
            mean_ms: Some(mean_ms),
            p50_ms: Some(mean_ms * 0.9),
            p95_ms: Some(mean_ms * 1.6),
            p99_ms: Some(mean_ms * 2.0),
            count: (rps * 10.0) as u64,
            failed: u64::from(load > 50.0),
            in_flight: Some(load),
        },
        verdicts: record.until.iter().map(verdict).collect(),
        reasons: Vec::new(),
        partial: None,
        lengthen: 0.0,
    }
}

#[test]
fn the_report_of_a_list_reads_as_agreed() {
    let mut record = record(&[], &["1", "5", "10", "20", "40", "80"]);
    let loads = [1.0, 5.0, 10.0, 20.0, 40.0, 80.0];
    let points = loads.map(|load| point(&mut record, load, Stage::Listed, 0.0));
    let mut points = points.to_vec();
    points[3].reasons = vec!["the generator was late".to_owned()];
    record.end = Some(SweepEnd::Done);
    let report = sweep::build(&record, &assess(&record, points)).saved_as("reports/x/report.md");
    insta::assert_snapshot!("list.md", markdown::render(&report));
    for chart in report.charts() {
        roxmltree::Document::parse(&chart.svg).unwrap();
        assert!(!chart.svg.contains("NaN"));
    }
    assert_eq!(report.charts().count(), 2);
}

#[test]
fn the_report_of_a_search_reads_as_agreed() {
    let values: Vec<String> = (1..=20).map(|step| (step * 5).to_string()).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let mut record = record(&["p99 < 500ms"], &values);
    let ladder = ladder(&record).unwrap();
    let mut points: Vec<Point> = Vec::new();
    while let Next::Try(load, stage) = next(&ladder, &tried(&points)) {
        points.push(point(&mut record, load, stage, 30.0));
    }
    assert_eq!(points.last().unwrap().judged(), Judged::Broke);
    record.end = Some(SweepEnd::Done);
    let report = sweep::build(&record, &assess(&record, points)).saved_as("reports/x/report.md");
    insta::assert_snapshot!("search.100", terminal::render(&report, 100, false));
}

/// A search over made-up points of a service that holds up to 30, of which one run in this place is
/// unlucky, and some requests fail.
fn searched(rules: &[&str], unlucky: Option<(f64, u32)>) -> String {
    let values: Vec<String> = (1..=20).map(|step| (step * 5).to_string()).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let mut record = record(rules, &values);
    let ladder = ladder(&record).unwrap();
    let mut points: Vec<Point> = Vec::new();
    while let Next::Try(load, stage) = next(&ladder, &tried(&points)) {
        let mut point = point(&mut record, load, stage, 30.0);
        point.figures.failed = point.figures.count / 25;
        if unlucky == Some((load, point.record.trial)) {
            point.verdicts.iter_mut().for_each(|verdict| verdict.ruling = Ruling::Failed);
        }
        points.push(point);
    }
    record.end = Some(SweepEnd::Done);
    let page = markdown::render(&sweep::build(&record, &assess(&record, points)));
    page.replace("&lt;", "<").replace("\\`", "`")
}

#[test]
fn the_answer_says_what_its_rules_do_not_bound() {
    let page = searched(&["p99 < 500ms"], None);
    let said = "4.00% of its requests failed**: no rule of this search bounds failures";
    let line = page.lines().find(|line| line.contains("Max safe load")).unwrap();
    assert!(line.contains("30 users") && line.contains(said), "{line}");
    let page = searched(&["p99 < 500ms", "failures < 5%"], None);
    let line = page.lines().find(|line| line.contains("Max safe load")).unwrap();
    assert!(line.ends_with("of its requests failed**"), "{line}");
}

#[test]
fn an_unlucky_run_decides_no_search() {
    for (unlucky, said) in [
        ((5.0, 1), "confirmed in 3 of 3 trials; 35 users broke `p99 < 500ms` in 3 of 3 trials"),
        ((20.0, 1), "confirmed in 3 of 3 trials; 35 users broke `p99 < 500ms` in 3 of 3 trials"),
        ((30.0, 3), "confirmed in 2 of 3 trials; 35 users broke `p99 < 500ms` in 3 of 3 trials"),
    ] {
        let page = searched(&["p99 < 500ms"], Some(unlucky));
        let line = page.lines().find(|line| line.contains("Max safe load")).unwrap();
        assert!(line.contains("30 users") && line.contains(said), "{unlucky:?}: {line}");
        let mixed = format!("{} users held in some runs and broke in others", unlucky.0);
        assert!(page.contains(&mixed), "{page}");
    }
}

#[test]
fn an_interrupted_sweep_says_so_and_has_no_answer() {
    let mut record = record(&["p99 < 500ms"], &["5", "10", "15"]);
    let points = vec![point(&mut record, 5.0, Stage::Climb, 30.0)];
    record.end = Some(SweepEnd::Interrupted);
    let capacity = assess(&record, points);
    assert_eq!(capacity.answer, None);
    let page = markdown::render(&sweep::build(&record, &capacity));
    assert!(page.contains("Interrupted") && page.contains("1 point measured"), "{page}");
    assert!(page.contains("Not fitted"), "{page}");
}
