//! What the diagnosis says of causes that are planted, and of services that have none.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, and a campaign shows its table"
)]

#[path = "support/gander.rs"]
mod gander;
#[allow(dead_code, reason = "each test file uses a part")]
#[path = "support/peers.rs"]
mod peers;
mod synthetic;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ::gander::analysis::Assessment;
use ::gander::analysis::capacity::{self, Point, PointFigures};
use ::gander::analysis::diagnose::{Cause, Confidence, Diagnosis};
use ::gander::analysis::profile::ProfileFindings;
use ::gander::measure::resource::Observed;
use ::gander::measure::sample::{Offset, Outcome};
use ::gander::profile::{Counts, Folded, ProfileRecord, Profiles, SamplerKind};
use ::gander::report::{diagnosis, markdown, run};
use ::gander::store::run::Run;
use ::gander::store::sweep::{Axis, Dimension, PointRecord, Stage, SweepEnd, SweepRecord};
use serde::Deserialize;
use serde_json::Value;
use synthetic::{Failure, Scene, assess};

#[derive(Deserialize)]
struct Cases {
    case: Vec<Case>,
}

/// A run, and what must be found in it.
#[derive(Deserialize)]
struct Case {
    what: String,
    #[serde(default)]
    names: BTreeSet<String>,
    /// What a finding must say to look the same.
    #[serde(default)]
    or_else: BTreeSet<String>,
    /// What may follow from what is planted.
    #[serde(default)]
    may: BTreeSet<String>,
    arguments: String,
    scenario: Option<String>,
}

fn cases() -> Vec<Case> {
    let text = include_str!("diagnosis/cases.toml");
    toml::from_str::<Cases>(text).unwrap().case
}

/// Makes the run of a case. A run that says that the machine was crowded is made again, four times
/// at most.
fn diagnosed(case: &Case, seed: u64) -> Value {
    let mut last = Value::Null;
    for _ in 0..5 {
        let gander = gander::Gander::new();
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/data");
        let scenario = case.scenario.as_deref().map(|text| gander.scenario(text));
        std::os::unix::fs::symlink(&data, gander.path("data")).unwrap();
        let arguments = case.arguments.replace("SCENARIO", &scenario.unwrap_or_default());
        let arguments = arguments.replace("DATA", data.to_str().unwrap());
        let run =
            gander.run(&format!("{arguments} --seed {seed} --warm-up 1s --duration 10s --quiet"));
        last = run.summary()["diagnosis"].take();
        if !is_crowded(&last) {
            break;
        }
    }
    last
}

/// Whether others left gander, or a profiled target, too little of the machine.
fn is_crowded(diagnosis: &Value) -> bool {
    let mut not_judged = diagnosis["not_judged"].as_array().unwrap().iter();
    let says = |not: &Value| not["why"].as_str().unwrap().contains("give the machine fewer tasks");
    names(diagnosis).contains("generator_bound") || not_judged.any(says)
}

fn names(diagnosis: &Value) -> BTreeSet<String> {
    let findings = diagnosis["findings"].as_array().unwrap();
    let faults = findings.iter().filter(|finding| finding["is_fault"] == true);
    faults.map(|finding| finding["cause"].as_str().unwrap().to_owned()).collect()
}

/// Whether what was found is right: all that is planted, and nothing that does not follow from it.
fn is_right(case: &Case, diagnosis: &Value) -> bool {
    let found = names(diagnosis);
    let findings = diagnosis["findings"].as_array().unwrap();
    let also: BTreeSet<String> = findings
        .iter()
        .flat_map(|finding| finding["or_else"].as_array().unwrap())
        .map(|cause| cause.as_str().unwrap().to_owned())
        .collect();
    let allowed: BTreeSet<String> = case.names.union(&case.may).cloned().collect();
    case.names.is_subset(&found) && found.is_subset(&allowed) && case.or_else.is_subset(&also)
}

/// A few of the causes, and a healthy service.
#[test]
fn planted_causes_are_named_and_healthy_services_are_left_alone() {
    let _alone = gander::one_at_a_time();
    let wanted = [
        "the model is called on the event loop",
        "two workers for",
        "one request in twenty is answered",
        "healthy: a mix",
    ];
    for case in
        cases().iter().filter(|case| wanted.iter().any(|start| case.what.starts_with(start)))
    {
        gander::agrees_in_one_of_three(|| {
            let found = diagnosed(case, 7);
            match is_right(case, &found) {
                true => Ok(()),
                false => Err(format!("{}: {found:#}", case.what)),
            }
        });
    }
}

/// Causes of requests that wait for each other or for a processor.
const WAITS: [&str; 4] = ["serialised", "pool_too_small", "cpu_bound", "queueing"];
/// Causes of requests that do not succeed.
const FAILURES: [&str; 8] = [
    "rate_limited",
    "retry_storm",
    "model_not_loaded",
    "idle_timeout",
    "hanging",
    "broken_connections",
    "bad_answers",
    "server_errors",
];

fn plants(case: &Case, causes: &[&str]) -> bool {
    case.names.iter().any(|name| causes.contains(&name.as_str()))
}

/// A part of the confusion matrix of `docs/diagnosis.md`, as the three below.
#[test]
#[ignore = "a campaign of 7 minutes: see docs/diagnosis.md"]
fn campaign_of_waits() {
    assert_nearly_all(campaign(|case| plants(case, &WAITS)));
}

#[test]
#[ignore = "a campaign of 9 minutes: see docs/diagnosis.md"]
fn campaign_of_failures() {
    assert_nearly_all(campaign(|case| plants(case, &FAILURES)));
}

#[test]
#[ignore = "a campaign of 7 minutes: see docs/diagnosis.md"]
fn campaign_of_other_causes() {
    let is_other = |case: &Case| !plants(case, &WAITS) && !plants(case, &FAILURES);
    assert_nearly_all(campaign(|case| !case.names.is_empty() && is_other(case)));
}

#[test]
#[ignore = "a campaign of 7 minutes: see docs/diagnosis.md"]
fn campaign_of_healthy_services() {
    let (right, all) = campaign(|case| case.names.is_empty());
    assert_eq!(right, all, "findings on healthy services");
}

fn assert_nearly_all((right, all): (u32, u32)) {
    assert!(f64::from(right) >= 0.95 * f64::from(all), "{right} of {all}");
}

/// Makes the runs of all cases that are wanted, five seeds each, and prints their table: how many were
/// right, of how many.
fn campaign(is_wanted: impl Fn(&Case) -> bool) -> (u32, u32) {
    const SEEDS: std::ops::RangeInclusive<u64> = 1..=5;
    let _alone = gander::one_at_a_time();
    let (mut right, mut all) = (0, 0);
    let mut table = String::from("| Planted | Right | Found (runs) |\n|---|---|---|\n");
    for case in cases().into_iter().filter(|case| is_wanted(case)) {
        let (mut right_here, mut found) = (0, BTreeMap::<String, u32>::new());
        for seed in SEEDS {
            let diagnosis = diagnosed(&case, seed);
            let is_right = is_right(&case, &diagnosis);
            right_here += u32::from(is_right);
            for name in names(&diagnosis) {
                *found.entry(name).or_default() += 1;
            }
            if !is_right {
                eprintln!("WRONG: {}, seed {seed}: {diagnosis}", case.what);
            }
        }
        let of = SEEDS.count() as u32;
        (right, all) = (right + right_here, all + of);
        let found: Vec<String> = found.iter().map(|(name, n)| format!("`{name}` {n}")).collect();
        let found = if found.is_empty() { "nothing".to_owned() } else { found.join(", ") };
        let row = format!("| {} | {right_here} of {of} | {found} |\n", case.what);
        eprint!("{row}");
        table += &row;
    }
    eprintln!("{table}\n{right} of {all} right.");
    (right, all)
}

#[test]
fn the_blocking_endpoint_of_a_real_fastapi_service_is_named_and_the_mended_one_is_not() {
    let Some(uvicorn) = peers::program("uvicorn") else { return };
    let _alone = gander::one_at_a_time();
    let case = cases().into_iter().next().unwrap();
    let diagnosed = |engine: &str, users: u32| {
        let gander = gander::Gander::new();
        let scenario = gander.scenario(case.scenario.as_deref().unwrap());
        let spawn = format!("{} app:app --port {{port}} --no-access-log", uvicorn.display());
        let mut load = gander.load(&format!(
            "{scenario} --users {users} --warm-up 1s --duration 10s --spawn {} --ready /health --quiet \
             --format json",
            shell_words::quote(&spawn)
        ));
        load.current_dir(peers::inference_service()).env("ENGINE", engine).env("BASE_MS", "60");
        gander::finished(load).summary()["diagnosis"].take()
    };
    gander::agrees_in_one_of_three(|| {
        let blocking = diagnosed("blocking", 8);
        let findings = blocking["findings"].as_array().unwrap();
        let serialised = findings.iter().find(|finding| finding["cause"] == "serialised");
        let advice = serialised.and_then(|finding| finding["advice"].as_str()).unwrap_or_default();
        // Four threads, and no more users than these.
        let mended = names(&diagnosed("threaded", 4));
        match advice.contains("POST /predict") && mended.is_empty() {
            true => Ok(()),
            false => Err(format!("blocking: {blocking:#}; mended: {mended:?}")),
        }
    });
}

fn of(run: &Run, assessment: &Assessment) -> Diagnosis {
    Diagnosis::of(run, assessment, None).unwrap()
}

fn faults(diagnosis: &Diagnosis) -> Vec<Cause> {
    diagnosis.faults().map(|finding| finding.cause).collect()
}

#[test]
fn a_made_up_healthy_run_has_no_fault_and_says_what_was_not_judged() {
    let (run, assessment) = synthetic::healthy();
    let diagnosis = of(&run, &assessment);
    assert_eq!(faults(&diagnosis), []);
    let judged = diagnosis.clear.len() + diagnosis.findings.len() + diagnosis.not_judged.len();
    assert_eq!(judged, Cause::ALL.len(), "each rule says something");
    let why = |cause| diagnosis.not_judged.iter().find(|it| it.cause == cause).map(|it| &it.why);
    assert!(why(Cause::Logging).unwrap().contains("no profile"));
    assert!(why(Cause::BreakerOpen).unwrap().contains("--scrape"));
}

/// The share of failures decides, and whether it is seen all over the run decides how sure that is.
#[test]
fn failures_are_told_apart_by_outcome_and_status() {
    let with = |outcome, status, every: u64, from: f64| {
        let scene = Scene {
            fails: Box::new(move |number, moment| {
                (number % every == 1 && moment > from).then(|| Failure {
                    outcome,
                    status,
                    message: "so it says".to_owned(),
                })
            }),
            ..Scene::default()
        };
        let run = scene.run();
        let assessment = assess(&run, &[], &[]);
        of(&run, &assessment)
    };
    for (outcome, status, cause) in [
        (Outcome::RateLimited, Some(429), Cause::RateLimited),
        (Outcome::HttpStatus, Some(500), Cause::ServerErrors),
        (Outcome::HttpStatus, Some(404), Cause::Rejected),
        (Outcome::Timeout, None, Cause::Hanging),
        (Outcome::Connect, None, Cause::Refused),
        (Outcome::Reset, None, Cause::BrokenConnections),
        (Outcome::CheckFailed, Some(200), Cause::BadAnswers),
    ] {
        let found = with(outcome, status, 20, 0.0);
        assert_eq!(faults(&found), [cause], "{outcome:?}");
        let often = found.finding(cause).unwrap().confidence.share().unwrap();
        assert!(often > 0.95, "{often}");
        // Hardly any, and only at the end: less sure, or nothing.
        let late = with(outcome, status, 20, 25.0);
        let late = late.finding(cause).map_or(0.0, |it| it.confidence.share().unwrap());
        assert!(late < often, "{late} and {often}");
        assert_eq!(faults(&with(outcome, status, 400, 0.0)), [], "{outcome:?}: too few");
    }
}

#[test]
fn a_generator_that_was_the_bottleneck_leaves_nothing_to_say_of_the_target() {
    let (run, _) = synthetic::failing();
    let reason = "the generator was the bottleneck: gander kept its 2 worker thread(s) 97% busy";
    let diagnosis = of(&run, &assess(&run, &[reason], &[]));
    assert_eq!(faults(&diagnosis), [Cause::GeneratorBound]);
    assert_eq!(diagnosis.findings[0].confidence, Confidence::Seen);
    assert_eq!(diagnosis.not_judged.len(), Cause::ALL.len() - 1);
}

fn profiled(stacks: &str, run: &Run) -> ProfileFindings {
    let mut folded = Folded::default();
    for line in stacks.lines() {
        let (stack, times) = line.rsplit_once(' ').unwrap();
        folded.add(stack.split(';').map(str::to_owned).collect(), times.parse().unwrap());
    }
    let seconds = |at| Offset::from(std::time::Duration::from_secs(at));
    let record = ProfileRecord {
        name: "target-cpu".to_owned(),
        who: Observed::Target,
        counts: Counts::Cpu,
        sampler: SamplerKind::PySpy,
        from: seconds(6),
        to: seconds(26),
        sampled: std::time::Duration::from_secs(20),
        frequency: 100.0,
        samples: folded.total(),
        empty: 0,
        lost: None,
        notes: Vec::new(),
    };
    ProfileFindings::of(&Profiles { taken: vec![(record, folded)], missing: Vec::new() }, run)
}

#[test]
fn profiles_name_locks_logs_and_forms_by_their_share() {
    let (run, assessment) = synthetic::healthy();
    let with = |stacks: &str| {
        let findings = profiled(stacks, &run);
        assert!(findings.target_cpu().unwrap().is_sound(), "{findings:?}");
        Diagnosis::of(&run, &assessment, Some(&findings)).unwrap()
    };
    let found = with("main;handle;Logger._log 120\nmain;handle;predict 1000\n");
    assert_eq!(faults(&found), [Cause::Logging]);
    assert!(found.finding(Cause::Logging).unwrap().evidence[0].starts_with("10.7%"));
    let found = with("main;handle;json.dumps 300\nmain;pthread_mutex_lock 200\nmain;run 600\n");
    assert_eq!(faults(&found), [Cause::LockContention, Cause::Serialisation]);
    // Near the threshold the samples leave it open.
    let near = with("main;Logger._log 51\nmain;predict 949\n");
    let share = near.finding(Cause::Logging).unwrap().confidence.share().unwrap();
    assert!((0.5..0.7).contains(&share), "{share}");
    assert_eq!(faults(&with("main;catalog::login 400\nmain;block_on 600\n")), []);
}

#[test]
fn the_section_reads_as_agreed() {
    let (run, assessment) = synthetic::failing();
    let mut report = run::build(&run, &assessment);
    diagnosis::add_to(&mut report, &of(&run, &assessment));
    let section = report.only("diagnosis").unwrap();
    insta::assert_snapshot!("section.md", markdown::render(&section));
}

/// A sweep over users in which `rps` users are served a second.
fn swept(rps: fn(f64) -> f64) -> Diagnosis {
    let users = [1.0, 4.0, 16.0, 64.0];
    let mut record = SweepRecord {
        variant: None,
        settings: Vec::new(),
        schema_version: 1,
        scenario: "inference-single".to_owned(),
        started_at: "2026-03-04T05:06:07+00:00".to_owned(),
        command_line: Vec::new(),
        seed: 42,
        axes: vec![Axis {
            dimension: Dimension::Users,
            values: users.map(|users| users.to_string()).to_vec(),
        }],
        until: Vec::new(),
        trials: 2,
        resolution: 5.0,
        points: Vec::new(),
        end: Some(SweepEnd::Done),
    };
    let mut points = Vec::new();
    for (trial, off) in [(1, 0.99), (2, 1.01)] {
        for users in users {
            let folder = format!("points/{users}-{trial}");
            let at = vec![users.to_string()];
            let of = PointRecord { at, trial, stage: Stage::Listed, folder };
            record.points.push(of.clone());
            let rps = rps(users) * off;
            points.push(Point {
                record: of,
                figures: PointFigures {
                    rps: Some(rps),
                    mean_ms: Some(users / rps * 1000.0),
                    count: 1000,
                    ..PointFigures::default()
                },
                verdicts: Vec::new(),
                reasons: Vec::new(),
                partial: None,
                lengthen: 0.0,
            });
        }
    }
    Diagnosis::of_sweep(&record, &capacity::assess(&record, points))
}

#[test]
fn a_sweep_tells_one_at_a_time_from_few_and_from_any_number() {
    let one = swept(|_| 10.0);
    assert_eq!(faults(&one), [Cause::Serialised]);
    assert!(one.findings[0].evidence.iter().any(|said| said.contains("Universal Scalability")));
    assert!(one.findings[0].confidence.share() > Some(0.99), "{:?}", one.findings[0].confidence);
    let four = swept(|users| 10.0 * users.min(4.0));
    assert_eq!(faults(&four), [Cause::PoolTooSmall]);
    assert!(four.findings[0].advice.contains("About 4.00 requests"), "{four:?}");
    assert_eq!(faults(&swept(|users| 10.0 * users)), []);
}
