//! Before and after: what is said of made-up runs whose truth is known, how that reads, and `gander
//! compare` as a user runs it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "support/gander.rs"]
mod gander;
mod synthetic;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ::gander::analysis::compare::workload::{Weight, differences};
use ::gander::analysis::compare::{
    Compared, Comparison, Margins, Quantity, Rules, Statistic, Word, compare,
};
use ::gander::analysis::group::Group;
use ::gander::measure::metric::Metric;
use ::gander::measure::sample::Outcome;
use ::gander::measure::validity::Validity;
use ::gander::report::compare::{Compares, Side, build, json};
use ::gander::report::{markdown, terminal};
use ::gander::store::run::Run;
use gander::{BUSY, Finished, Gander, agrees_in_one_of_three, finished, one_at_a_time};
use serde_json::Value;
use synthetic::{Failure, Scene};

/// A minute of one kind of request.
fn scene(seed: u64, median_ms: Speed) -> Scene {
    Scene {
        seconds: 32.0,
        warm_up: 1.0,
        cool_down: 1.0,
        steps: vec![("predict", "POST", "/predict", 1)],
        median_ms,
        seed,
        ..Scene::default()
    }
}

fn group(runs: Vec<Run>) -> Group {
    Group::of(runs).unwrap()
}

fn compared(before: &Group, after: &Group) -> Comparison {
    compare(before, after, &Rules::default()).unwrap()
}

/// A figure of all steps together.
fn figure(comparison: &Comparison, quantity: Quantity) -> &Compared {
    let all = &comparison.parts[0].figures;
    all.iter().find(|it| it.quantity == quantity).unwrap_or_else(|| panic!("{quantity:?}"))
}

fn response(statistic: Statistic) -> Quantity {
    Quantity::Time(Metric::ResponseTime, statistic)
}

fn width(figure: &Compared) -> f64 {
    let interval = figure.change.unwrap().interval.unwrap();
    assert!(interval.low <= interval.high, "{figure:?}");
    interval.high - interval.low
}

#[test]
fn a_group_of_one_is_its_run_and_a_group_of_two_has_both() {
    let runs: Vec<Run> = (0..2).map(|seed| scene(seed, |_| 100.0).run()).collect();
    let [one, other] = [0, 1].map(|index| runs[index].summary().unwrap());
    let alone = group(vec![runs[0].clone()]);
    assert_eq!(alone.summary.total, one.total);
    assert_eq!(alone.summary.window.length(), one.window.length());
    let both = group(runs.clone());
    assert_eq!(both.summary.total.count(), one.total.count() + other.total.count());
    assert_eq!(both.summary.window.length(), one.window.length() + other.window.length());
    assert_eq!(both.ledger().sent, runs[0].ledger().sent + runs[1].ledger().sent);
    both.ledger().check().unwrap();
    let mean = (one.total.ok_rps.unwrap() + other.total.ok_rps.unwrap()) / 2.0;
    assert!((both.summary.total.ok_rps.unwrap() / mean - 1.0).abs() < 1e-9);
    let used = |group: &Group| group.resources(::gander::measure::resource::Observed::Target);
    let parts: Vec<_> = runs.iter().map(|run| used(&group(vec![run.clone()]))).collect();
    let together = used(&both);
    let peak = parts.iter().filter_map(|it| it.rss_peak_bytes).max();
    assert_eq!(together.rss_peak_bytes, peak);
    let requests = [one.total.rps.unwrap(), other.total.rps.unwrap()];
    let weighted = parts.iter().zip(requests).map(|(it, n)| it.cpu_ms_per_request.unwrap() * n);
    let expected = weighted.sum::<f64>() / requests.iter().sum::<f64>();
    assert!((together.cpu_ms_per_request.unwrap() / expected - 1.0).abs() < 1e-9);
    assert!(group(Vec::new()).summary.total.latencies.is_empty());
}

#[test]
fn runs_that_do_not_differ_seldom_seem_to() {
    let quantities =
        [Statistic::Mean, Statistic::P50, Statistic::P90, Statistic::P95].map(response);
    let (mut outside, mut all) = (0, 0);
    let (mut said, mut figures) = (0, 0);
    for seed in 0..60 {
        let [was, is] =
            [2 * seed, 2 * seed + 1].map(|it| group(vec![scene(100 + it, |_| 110.0).run()]));
        let comparison = compared(&was, &is);
        for (_, it) in comparison.figures() {
            said += usize::from(matches!(it.word, Word::Regressed | Word::Improved));
            figures += 1;
        }
        for quantity in quantities {
            let interval = figure(&comparison, quantity).change.unwrap().interval.unwrap();
            outside += usize::from(!interval.holds(0.0));
            all += 1;
        }
    }
    eprintln!(
        "{outside} of {all} intervals do not hold the truth; {said} of {figures} said to differ"
    );
    assert!(outside * 100 <= all * 8, "{outside} of {all}");
    assert!(said * 100 <= figures * 5, "{said} of {figures}");
}

#[test]
fn a_fifth_more_is_found_in_each_direction_and_nothing_else_is() {
    for seed in 0..10 {
        let [was, is] = [
            group(vec![scene(seed, |_| 100.0).run()]),
            group(vec![scene(50 + seed, |_| 120.0).run()]),
        ];
        for (before, after, word) in [(&was, &is, Word::Regressed), (&is, &was, Word::Improved)] {
            let comparison = compared(before, after);
            for statistic in [Statistic::Mean, Statistic::P50, Statistic::P90] {
                let it = figure(&comparison, response(statistic));
                assert_eq!(it.word, word, "seed {seed}: {it:?}");
                let interval = it.change.unwrap().interval.unwrap();
                let truth = if word == Word::Regressed { 0.2 } else { 1.0 / 1.2 - 1.0 };
                assert!(interval.low - 0.03 < truth && truth < interval.high + 0.03, "{it:?}");
            }
            assert_eq!(figure(&comparison, Quantity::Failures).word, Word::Unchanged);
        }
    }
}

#[test]
fn more_of_what_is_wanted_is_better() {
    let [was, is] = [|_: f64| 40.0, |_: f64| 60.0]
        .map(|rps| group(vec![Scene { rps, ..scene(3, |_| 100.0) }.run()]));
    assert_eq!(figure(&compared(&was, &is), Quantity::Throughput).word, Word::Improved);
    assert_eq!(figure(&compared(&is, &was), Quantity::Throughput).word, Word::Regressed);
}

#[test]
fn intervals_shrink_with_more_data() {
    let long = |seed, seconds| group(vec![Scene { seconds, ..scene(seed, |_| 100.0) }.run()]);
    let short = compared(&long(1, 22.0), &long(2, 22.0));
    let longer = compared(&long(1, 182.0), &long(2, 182.0));
    for statistic in [Statistic::Mean, Statistic::P50, Statistic::P95] {
        let [few, many] = [&short, &longer].map(|it| width(figure(it, response(statistic))));
        assert!(many < 0.6 * few, "{statistic:?}: {few} and {many}");
    }
    let runs = |from: u64, count| {
        group((from..from + count).map(|it| scene(it, |_| 100.0).run()).collect())
    };
    let [three, nine] = [compared(&runs(1, 3), &runs(11, 3)), compared(&runs(1, 9), &runs(11, 9))];
    assert!(three.basis[0].draws_runs && three.basis[0].units == 3.0);
    let [few, many] = [&three, &nine].map(|it| width(figure(it, response(Statistic::Mean))));
    assert!(many < few, "{few} and {many}");
}

/// Median of the response time in milliseconds at a moment.
type Speed = fn(f64) -> f64;

/// Both runs of a pair are as fast as the machine then was: pairs show a change that is lost otherwise.
#[test]
fn what_disturbs_both_runs_of_a_pair_disturbs_no_verdict() {
    let speeds: [[Speed; 2]; 6] = [
        [|_| 80.0, |_| 88.0],
        [|_| 120.0, |_| 132.0],
        [|_| 95.0, |_| 104.5],
        [|_| 150.0, |_| 165.0],
        [|_| 70.0, |_| 77.0],
        [|_| 110.0, |_| 121.0],
    ];
    let runs = |side: usize| {
        let all = speeds.iter().zip(10 * side as u64..);
        group(all.map(|(speeds, seed)| scene(seed, speeds[side]).run()).collect())
    };
    let (was, is) = (runs(0), runs(1));
    let quantity = response(Statistic::Mean);
    let alone = compared(&was, &is);
    assert_eq!(figure(&alone, quantity).word, Word::Inconclusive);
    let rules = Rules { paired: true, ..Rules::default() };
    let pairs = compare(&was, &is, &rules).unwrap();
    assert!(pairs.paired);
    assert_eq!(figure(&pairs, quantity).word, Word::Regressed, "{:?}", figure(&pairs, quantity));
}

#[test]
fn streams_are_compared_by_their_own_times_and_each_step_by_itself() {
    let (run, _) = synthetic::streaming();
    let sides = [0, 1].map(|_| group(vec![run.clone()]));
    let comparison = compared(&sides[0], &sides[1]);
    for metric in [Metric::Ttft, Metric::InterChunk, Metric::Tpot] {
        for statistic in [Statistic::P50, Statistic::P95] {
            let it = figure(&comparison, Quantity::Time(metric, statistic));
            assert_eq!(it.change.unwrap().ratio, Some(1.0), "{it:?}");
        }
    }
    assert!(figure(&comparison, Quantity::OutputTokens).before.unwrap() > 0.0);
    let (before, after) = example(&[]);
    let parts = compared(&before.group, &after.group).parts;
    let steps: Vec<_> = parts.iter().map(|part| part.step.as_deref()).collect();
    assert_eq!(steps, [None, Some("predict"), Some("health")]);
}

/// Whether the `number`-th request fails, where every `every`-th does.
fn failing(every: u64) -> Box<dyn Fn(u64, f64) -> Option<Failure>> {
    Box::new(move |number, _| {
        (number % every == 0).then(|| Failure {
            outcome: Outcome::HttpStatus,
            status: Some(500),
            message: "500".to_owned(),
        })
    })
}

#[test]
fn failures_are_told_where_one_side_has_none() {
    let healthy = group(vec![scene(1, |_| 100.0).run()]);
    let broken = group(vec![Scene { fails: failing(8), ..scene(2, |_| 100.0) }.run()]);
    let dead = group(vec![Scene { fails: failing(1), ..scene(2, |_| 100.0) }.run()]);
    let rise = compared(&healthy, &broken);
    let it = figure(&rise, Quantity::Failures);
    assert_eq!((it.word, it.before), (Word::Regressed, Some(0.0)), "{it:?}");
    assert!(it.change.unwrap().ratio.is_none() && it.change.unwrap().interval.is_some());
    assert_eq!(figure(&compared(&broken, &healthy), Quantity::Failures).word, Word::Improved);
    // Few requests without a failure do not show that there are none.
    let few = |seed| group(vec![Scene { rps: |_| 2.0, ..scene(seed, |_| 100.0) }.run()]);
    let both = compared(&few(1), &few(2));
    let it = figure(&both, Quantity::Failures);
    assert_eq!(it.word, Word::Inconclusive, "{it:?}");
    // Nothing succeeded: there is no time to compare, and that is said.
    let none = compared(&healthy, &dead);
    let it = figure(&none, response(Statistic::P50));
    assert_eq!((it.word, it.after), (Word::Inconclusive, None));
    assert_eq!(it.reason.as_deref(), Some("not measured after"));
    assert_eq!(figure(&none, Quantity::Failures).word, Word::Regressed);
}

#[test]
fn what_rests_on_too_little_is_inconclusive_and_says_so() {
    let short = |seed| group(vec![Scene { seconds: 8.0, ..scene(seed, |_| 100.0) }.run()]);
    let comparison = compared(&short(1), &short(2));
    let reason = |quantity| figure(&comparison, quantity).reason.clone().unwrap_or_default();
    assert_eq!(reason(response(Statistic::P50)), "too few blocks of time");
    assert!(reason(response(Statistic::P99)).ends_with(", and 500 are needed"));
    assert_eq!(reason(Quantity::Memory), "one value a run, fewer than 3 runs");
    for (_, it) in comparison.figures().filter(|(_, it)| it.reason.is_some()) {
        assert_eq!(it.word, Word::Inconclusive, "{it:?}");
    }
}

#[test]
fn every_difference_of_workloads_is_named() {
    let run = scene(1, |_| 100.0).run();
    let noted = |change: &dyn Fn(&mut Run)| {
        let mut other = run.clone();
        change(&mut other);
        let all = differences(std::slice::from_ref(&run), &[other]);
        all.into_iter().map(|it| (it.what, it.weight)).collect::<Vec<_>>()
    };
    assert_eq!(noted(&|_| ()), []);
    let users = Scene { users: 12, ..scene(1, |_| 100.0) }.run().start.plan.load;
    let found = noted(&|run| run.start.plan.load = users.clone());
    assert_eq!(found, [("users".to_owned(), Weight::Workload)]);
    let found = noted(&|run| run.start.plan.digest = "0".repeat(64));
    let digest = "bodies, headers, data, limits or expectations (digest)".to_owned();
    assert_eq!(found, [(digest, Weight::Workload)]);
    let found = noted(&|run| {
        run.start.plan.digest = "0".repeat(64);
        run.start.plan.steps[0].path = "/v2/predict".to_owned();
    });
    assert_eq!(found[0], ("steps".to_owned(), Weight::Workload));
    assert_eq!(
        noted(&|run| run.start.environment.cores = 64),
        [("machine".to_owned(), Weight::Machine)]
    );
    assert_eq!(noted(&|run| run.start.plan.seed = 5), [("seed".to_owned(), Weight::Noted)]);
    let found = noted(&|run| run.start.plan.target.origin = "started with: app".to_owned());
    assert_eq!(found, [("target".to_owned(), Weight::Noted)]);
}

/// A comparison of made-up runs, with a step that regressed and an invalid run.
fn example(reasons: &[&str]) -> (Side, Side) {
    let side = |seed, median_ms, fails, folder: &str, origin: &str, reasons: &[&str]| {
        let steps = vec![("predict", "POST", "/predict", 3), ("health", "GET", "/health", 1)];
        let mut run = Scene { steps, fails, ..scene(seed, median_ms) }.run();
        run.start.plan.target.origin = origin.to_owned();
        Side {
            group: group(vec![run]),
            folders: vec![folder.to_owned()],
            validity: vec![Validity {
                reasons: reasons.iter().map(|it| (*it).to_owned()).collect(),
            }],
        }
    };
    let before =
        side(1, |_| 100.0, Box::new(|_, _| None), "reports/before", "running already", &[]);
    let after = side(2, |_| 152.0, failing(9), "reports/after", "started with: app", reasons);
    (before, after)
}

fn told<T>(reasons: &[&str], tell: impl FnOnce(&Compares<'_>) -> T) -> T {
    let (before, after) = example(reasons);
    let comparison = compared(&before.group, &after.group);
    let differences = differences(&before.group.runs, &after.group.runs);
    let command_line = ["gander", "compare", "reports/before", "reports/after"].map(str::to_owned);
    tell(&Compares {
        before: &before,
        after: &after,
        comparison: &comparison,
        differences: &differences,
        command_line: &command_line,
    })
}

#[test]
fn a_comparison_reads_as_agreed() {
    let report = told(&[], build).saved_as("reports/compare/compare.md");
    insta::assert_snapshot!("compare.md", markdown::render(&report));
    insta::assert_snapshot!("compare.100", terminal::render(&report, 100, false));
    insta::assert_json_snapshot!("compare.json", told(&[], json::summary));
}

#[test]
fn no_form_shows_what_is_not_a_number_and_invalid_runs_are_marked() {
    let report = told(&["the generator was busy"], build);
    let forms = [markdown::render(&report), terminal::render(&report, 100, false)];
    for form in &forms {
        assert!(form.contains("INVALID RUN") && form.contains("the generator was busy"), "{form}");
        assert!(!form.contains("NaN") && !form.contains("inf%"), "{form}");
    }
    let summary = told(&["the generator was busy"], json::summary);
    assert_eq!(summary["after"]["runs"][0]["valid"], Value::Bool(false));
    for (run, _) in [synthetic::empty(), synthetic::single(), synthetic::killed()] {
        let [was, is] = [0, 1].map(|_| group(vec![run.clone()]));
        let comparison = compared(&was, &is);
        for (_, it) in comparison.figures() {
            let known = [it.before, it.after].into_iter().flatten();
            assert!(known.chain(it.amount()).all(f64::is_finite), "{it:?}");
        }
    }
}

#[test]
fn margins_decide_what_is_unchanged() {
    let [was, is] =
        [group(vec![scene(1, |_| 100.0).run()]), group(vec![scene(2, |_| 108.0).run()])];
    let quantity = response(Statistic::Mean);
    assert_eq!(figure(&compared(&was, &is), quantity).word, Word::Regressed);
    let mut margins = Margins::default();
    margins.set("mean=20%").unwrap();
    let wide = compare(&was, &is, &Rules { margins, ..Rules::default() }).unwrap();
    assert_eq!(figure(&wide, quantity).word, Word::Unchanged);
}

/// `gander compare ARGUMENTS` in the folder of `gander`.
fn command(gander: &Gander, [before, after]: [&Path; 2], more: &str) -> Finished {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gander"));
    command.arg("compare").args([before, after]).args(shell_words::split(more).unwrap());
    command.current_dir(gander.path(".")).stdin(Stdio::null());
    finished(command)
}

/// A run of a service that takes so long; its folder.
fn run_of(gander: &Gander, arguments: &str) -> PathBuf {
    let before = gander.run_folders();
    let scenario = gander.scenario(&format!("service = \"inference\"\n{BUSY}"));
    let run = gander.run(&format!("{scenario} {arguments}"));
    run.assert_valid_or_crowded();
    let mut folders = gander.run_folders();
    folders.retain(|folder| !before.contains(folder));
    folders.pop().unwrap_or_else(|| panic!("{}", run.stderr))
}

/// The figure `name` of all steps together.
fn of_all<'a>(summary: &'a Value, name: &str) -> &'a Value {
    let all = summary["parts"][0]["figures"].as_array().unwrap();
    all.iter().find(|it| it["name"] == name).unwrap_or_else(|| panic!("{name}: {summary}"))
}

const TIMES: [&str; 4] =
    ["response_time.mean", "response_time.p50", "response_time.p95", "response_time.p99"];

#[test]
fn settings_run_twice_do_not_differ_and_half_as_much_again_regresses() {
    let _alone = one_at_a_time();
    let load = "--users 8 --duration 15s --seed 1";
    agrees_in_one_of_three(|| {
        let gander = Gander::new();
        let was = run_of(&gander, &format!("{load} --service latency=80ms"));
        let same = run_of(&gander, &format!("{load} --service latency=80ms"));
        let slow = run_of(&gander, &format!("{load} --service latency=120ms"));
        let run = command(&gander, [&was, &same], "--format json --out same");
        let summary: Value = serde_json::from_str(&run.stdout).unwrap();
        for name in TIMES {
            let it = of_all(&summary, name);
            if it["word"] == "regressed" || it["word"] == "improved" {
                return Err(format!("the same settings: {it}"));
            }
        }
        let run = command(&gander, [&was, &slow], "--format json --out slow");
        assert!([0, 4].contains(&run.code), "{}", run.stderr);
        let summary: Value = serde_json::from_str(&run.stdout).unwrap();
        for name in &TIMES[..2] {
            let it = of_all(&summary, name);
            let ends = it["change_95"].as_array().map(|it| it.iter().filter_map(Value::as_f64));
            let ends: Vec<f64> = ends.into_iter().flatten().collect();
            if it["word"] != "regressed" || ends.len() != 2 || ends[0] <= 0.2 {
                return Err(format!("half as slow again: {it}"));
            }
        }
        // The record is enough to make the report again.
        let [page, record] = ["slow/compare.md", "slow/compare.json"].map(|it| gander.path(it));
        let first = std::fs::read_to_string(&page).unwrap();
        std::fs::remove_file(&page).unwrap();
        let mut again = Command::new(env!("CARGO_BIN_EXE_gander"));
        again.arg("report").arg(gander.path("slow")).args(["--format", "json"]);
        let again = finished(again);
        assert_eq!(again.code, run.code, "{}", again.stderr);
        let repeated: Value = serde_json::from_str(&again.stdout).unwrap();
        assert_eq!(repeated["parts"], summary["parts"]);
        assert_eq!(
            repeated["parts"],
            serde_json::from_slice::<Value>(&std::fs::read(record).unwrap()).unwrap()["summary"]["parts"]
        );
        let second = std::fs::read_to_string(&page).unwrap();
        let table = |text: &str| text.lines().filter(|line| line.starts_with("| Response")).count();
        assert!(table(&first) >= 5 && table(&first) == table(&second), "{second}");
        Ok(())
    });
}

#[test]
fn other_users_are_refused_unless_that_is_allowed() {
    let _alone = one_at_a_time();
    let gander = Gander::new();
    let one = run_of(&gander, "--users 2 --duration 2s --service latency=20ms");
    let other = run_of(&gander, "--users 4 --duration 2s --service latency=20ms");
    let both = [one.as_path(), other.as_path()];
    let refused = command(&gander, both, "");
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    for said in ["users: 2 before, 4 after", "--allow-different"] {
        assert!(refused.stderr.contains(said), "{said}: {}", refused.stderr);
    }
    let comparisons =
        || gander.run_folders().iter().any(|it| it.to_string_lossy().ends_with("-compare"));
    assert!(!comparisons(), "nothing is made where nothing is compared");
    let allowed = command(&gander, both, "--allow-different");
    assert!([0, 4].contains(&allowed.code), "{}", allowed.stderr);
    assert!(
        allowed.stdout.contains("Careful") && allowed.stdout.contains("too few blocks of time")
    );
    let twice = format!("{},{}", one.display(), other.display());
    let mixed = command(&gander, [Path::new(&twice), &one], "");
    assert_eq!(mixed.code, 2, "{}", mixed.stderr);
    assert!(mixed.stderr.contains("before, run 2: users"), "{}", mixed.stderr);
    let wrong = command(&gander, both, "--allow-different --margin p98=5%");
    assert_eq!(wrong.code, 2, "{}", wrong.stderr);
    assert!(wrong.stderr.contains("did you mean `p9"), "{}", wrong.stderr);
    let pairs = command(&gander, both, "--allow-different --paired");
    assert_eq!(pairs.code, 2, "{}", pairs.stderr);
}
