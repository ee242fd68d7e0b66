//! `gander compare BEFORE AFTER --profile`, by the binary: what grew and what shrank.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests panic to fail, and say what they skip or measured"
)]

#[path = "support/gander.rs"]
mod gander;
mod synthetic;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use ::gander::measure::resource::Observed;
use ::gander::measure::sample::Offset;
use ::gander::profile::{Counts, Folded, Missing, ProfileRecord, Profiles, SamplerKind};
use ::gander::store::entry::Entry;
use ::gander::store::folder::RunFolder;
use ::gander::store::journal::Journal;
use ::gander::store::profiles;
use gander::{BUSY, Finished, Gander, finished, one_at_a_time};

/// `gander compare BEFORE AFTER --profile MORE` in the folder of `gander`.
fn compare(gander: &Gander, [before, after]: [&Path; 2], more: &str) -> Finished {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gander"));
    command.arg("compare").args([before, after]).args(shell_words::split(more).unwrap());
    command.current_dir(gander.path(".")).stdin(Stdio::null());
    finished(command)
}

/// Whether the terminal says `words`, however its lines are broken.
fn says(run: &Finished, words: &str) -> bool {
    run.stdout.split_whitespace().collect::<Vec<_>>().join(" ").contains(words)
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

/// The run folder `name` of a made-up run of 30 s, whose target used 0.7 processors for 40 requests a
/// second, `times` as much where that is said; its profile is of ten of these seconds.
fn made_up(gander: &Gander, name: &str, folded: &str, times: f64) -> PathBuf {
    let (mut run, _) = synthetic::healthy();
    for look in run.resources.iter_mut().filter(|look| look.who == Observed::Target) {
        look.cpu_seconds = look.cpu_seconds.map(|seconds| seconds * times);
    }
    let folder = RunFolder::create(&gander.reports(), name).unwrap();
    let mut journal = Journal::create(folder.path()).unwrap();
    let start = std::iter::once(Entry::Start(Box::new(run.start)));
    let intervals = run.intervals.into_iter().map(|interval| Entry::Interval(Box::new(interval)));
    let looks = run.resources.into_iter().map(|look| Entry::Resource(Box::new(look)));
    let end = run.end.into_iter().map(Entry::End);
    for entry in start.chain(intervals).chain(looks).chain(end) {
        journal.append(&entry).unwrap();
    }
    let folded = Folded::parse(folded).unwrap();
    let record = ProfileRecord {
        name: "target-cpu".to_owned(),
        who: Observed::Target,
        counts: Counts::Cpu,
        sampler: SamplerKind::Perf,
        from: Offset::from(Duration::from_secs(10)),
        to: Offset::from(Duration::from_secs(20)),
        sampled: Duration::from_secs(10),
        frequency: 999.0,
        samples: folded.total(),
        empty: 0,
        lost: None,
        notes: Vec::new(),
    };
    profiles::write(&folder, &Profiles { taken: vec![(record, folded)], missing: Vec::new() })
        .unwrap();
    folder.path().to_path_buf()
}

#[test]
fn what_grew_and_what_shrank_is_said_and_what_did_neither_is_not() {
    let gander = Gander::new();
    let stacks = |tokenize: u32, embed: u32, store: u32| {
        format!(
            "main;serve;tokenize {tokenize}\nmain;serve;embed {embed}\nmain;serve;store {store}\n"
        )
    };
    // A sample is a millisecond of 7 s. Embedding takes a third of its time, storing twice, the rest of
    // the difference is chance: by shares, tokenizing would have grown.
    let before = made_up(&gander, "before", &stacks(3500, 2700, 800), 1.0);
    let after = made_up(&gander, "after", &stacks(3560, 900, 1600), 6060.0 / 7000.0);
    let run = compare(&gander, [&before, &after], "--profile --out compared");
    assert_eq!(run.code, 0, "{}\n{}", run.stdout, run.stderr);
    assert!(says(&run, "1 function grew, 1 function shrank"), "{}", run.stdout);
    let report = std::fs::read_to_string(gander.path("compared/compare.md")).unwrap();
    let rows = compared(&report);
    for (function, verdict) in [
        ("embed", "**shrank**"),
        ("store", "**grew**"),
        ("tokenize", "no"),
        // With what it calls it shrank, by a seventh.
        ("serve", "**shrank**"),
    ] {
        let of_it = rows.iter().filter(|row| row.name == function && row.before > 0.0);
        let verdicts: Vec<_> = of_it.map(|row| row.verdict.trim_end_matches(" |")).collect();
        assert!(!verdicts.is_empty(), "{function} is missing: {report}");
        assert!(verdicts.iter().all(|said| *said == verdict), "{function}: {verdicts:?}\n{report}");
    }
    // The other way round, what shrank has grown.
    let run = compare(&gander, [&after, &before], "--profile --out reversed");
    assert_eq!(run.code, 0, "{}", run.stderr);
    let report = std::fs::read_to_string(gander.path("reversed/compare.md")).unwrap();
    let embed = compared(&report).into_iter().find(|row| row.name == "embed");
    assert!(embed.unwrap().verdict.contains("grew"), "{report}");
    // A run and itself: nothing.
    let run = compare(&gander, [&before, &before], "--profile --out same");
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(says(&run, "0 functions grew, 0 functions shrank"), "{}", run.stdout);
}

#[test]
fn why_the_targets_profile_is_missing_is_not_why_ganders_is() {
    let gander = Gander::new();
    let before = made_up(&gander, "before", "main;a 3000\n", 1.0);
    let after = made_up(&gander, "after", "main;a 3000\n", 1.0);
    let missing = |who, why: &str| Missing { who, sampler: None, why: why.to_owned(), mend: None };
    let both = vec![
        missing(Observed::Generator, "no thread for the sampler"),
        missing(Observed::Target, "perf is not installed"),
    ];
    let nothing = Profiles { taken: Vec::new(), missing: both };
    std::fs::remove_dir_all(after.join("profile")).unwrap();
    profiles::write(&RunFolder::open(after.clone()), &nothing).unwrap();
    let run = compare(&gander, [&before, &after], "--profile --out compared");
    assert_eq!(run.code, 2, "{}\n{}", run.stdout, run.stderr);
    assert!(run.stderr.contains("CPU time (perf is not installed)"), "{}", run.stderr);
}

#[test]
fn profiles_of_few_samples_decide_nothing() {
    let gander = Gander::new();
    let before = made_up(&gander, "before", "main;a 90\nmain;b 60\n", 1.0);
    let after = made_up(&gander, "after", "main;a 10\nmain;b 60\n", 0.5);
    let run = compare(&gander, [&before, &after], "--profile --out compared");
    assert_eq!(run.code, 4, "{}\n{}", run.stdout, run.stderr);
    assert!(says(&run, "low quality: no conclusions"), "{}", run.stdout);
    let report = std::fs::read_to_string(gander.path("compared/compare.md")).unwrap();
    let rows = compared(&report);
    assert!(rows.iter().all(|row| row.verdict.starts_with("no")), "{report}");
}

/// `gander profile` of the reference service whose embedding takes `embed`; the run folder.
fn profiled(gander: &Gander, embed: &str) -> PathBuf {
    let scenario = gander.scenario(&format!("service = \"inference\"\n{BUSY}"));
    let words = format!(
        "profile {scenario} --users 1 --format json --duration 8s --frequency 199 \
         --service latency=0s --service work.tokenize=4ms --service work.embed={embed}"
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_gander"));
    command.args(shell_words::split(&words).unwrap()).arg("--reports").arg(gander.reports());
    command.stdin(Stdio::null());
    let run = finished(command);
    run.assert_valid_or_crowded();
    gander.run_folder()
}

#[test]
fn what_became_cheaper_is_told_from_what_did_not() {
    let _alone = one_at_a_time();
    let take = |embed: &str| {
        let gander = Gander::new();
        let folder = profiled(&gander, embed);
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
        let judged = |function, verdict| {
            rows.iter().any(|row| is(&row, function) && row.verdict.contains(verdict))
        };
        // Its own time, and with what it calls: the latter is what it was made to take.
        let embed = rows.iter().filter(|row| is(row, "embed"));
        let embed = embed.max_by(|one, other| one.before.total_cmp(&other.before)).unwrap();
        assert!(embed.after < 0.7 * embed.before, "a third of what it took: {report}");
        eprintln!("{}", run.stdout);
        match run.code {
            0 if judged("embed", "shrank") && !judged("tokenize", "shrank") => return,
            0 => assert!(!last, "{report}"),
            // Others crowd this machine: then nothing may be concluded.
            4 => {
                assert!(says(&run, "low quality: no conclusions"), "{}", run.stdout);
                assert!(rows.iter().all(|row| row.verdict.starts_with("no ")), "{report}");
            }
            code => panic!("{code}: {}", run.stderr),
        }
    }
    // What a sound profile says is held to by the made-up runs above.
    eprintln!("no verdict: the machine is too crowded for sound profiles");
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
