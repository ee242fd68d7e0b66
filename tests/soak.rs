//! `gander soak`: rows are done exactly once, also where gander is killed; what a soak says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/gander.rs"]
mod gander;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::gander::store::journal;
use gander::{Finished, Gander, Started, one_at_a_time};

/// A service that notes which rows it was asked for. Its threads end with the connections.
struct Rows {
    url: String,
    seen: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl Rows {
    /// One that takes so long for each answer.
    fn that_take(time: Duration) -> Rows {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(BTreeMap::new()));
        let ledger = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let ledger = Arc::clone(&ledger);
                std::thread::spawn(move || serve(stream.unwrap(), time, &ledger));
            }
        });
        Rows { url, seen }
    }

    fn seen(&self) -> BTreeMap<String, u64> {
        self.seen.lock().unwrap().clone()
    }
}

/// Answers requests until the client leaves, which is no error.
fn serve(stream: TcpStream, time: Duration, ledger: &Mutex<BTreeMap<String, u64>>) -> Option<()> {
    let mut writer = stream.try_clone().ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        std::thread::sleep(time);
        *ledger.lock().unwrap().entry(String::from_utf8(body).ok()?).or_default() += 1;
        writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").ok()?;
    }
}

fn soak(arguments: &str, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gander"));
    command.arg("soak").args(shell_words::split(arguments).unwrap()).args(more);
    command.args(["--format", "json"]).stdin(Stdio::null());
    command
}

/// The scenario and the command line of a soak of `rows` rows, each a number.
fn of_rows(gander: &Gander, rows: usize, users: usize, url: &str) -> String {
    let scenario = gander.scenario(&asking(rows, ""));
    format!("{scenario} --rows {rows} --users {users} {}", besides(gander, url))
}

/// A scenario of `rows` rows, each a number that the service is told after `before`.
fn asking(rows: usize, before: &str) -> String {
    let numbers: Vec<String> = (0..rows).map(|row| row.to_string()).collect();
    format!(
        "rows = \"number\"\n[data]\nnumber = [{}]\n[[step]]\nname = \"ask\"\npost = \"/ask\"\n\
         body = \"{before}{{{{ number }}}}\"\n",
        numbers.join(", ")
    )
}

/// Arguments of every soak.
fn besides(gander: &Gander, url: &str) -> String {
    let reports = gander.reports();
    let reports = shell_words::quote(reports.to_str().unwrap()).into_owned();
    format!("--target {url} --settle 100ms --reports {reports}")
}

fn resume(gander: &Gander) -> Command {
    soak("", &["--resume", gander.run_folder().to_str().unwrap()])
}

/// Kills a soak of about `rows` rows `kills` times, at whatever it does then, and lets it end.
fn killed(gander: &Gander, service: &Rows, arguments: &str, rows: usize, kills: usize) -> Finished {
    let mut started = Started::new(soak(arguments, &[]));
    let mut kill_after = 0;
    for kill in 1..=kills {
        // A different moment each time, in and between the seconds.
        kill_after += rows / (kills + 1) + kill * 7 % 13;
        let is_due = || service.seen().len() >= kill_after;
        started.until("the moment of the kill", || gander.intervals() >= kill && is_due());
        started.signal("KILL");
        assert_eq!(started.ended_within(Duration::from_secs(60)).code, 137);
        started = Started::new(resume(gander));
    }
    let ended = started.ended_within(Duration::from_secs(300));
    let summary = ended.summary();
    let resumed = summary["resumed"].as_array().unwrap();
    assert_eq!(resumed.len(), kills, "{}", ended.stderr);
    assert!(resumed.iter().all(|part| part["killed"] == true), "{resumed:?}");
    assert_eq!(summary["ledger"]["balances"], true);
    ended
}

/// All of `rows` rows were done, and counted once.
fn all_done(ended: &Finished, service: &Rows, rows: usize) {
    let summary = ended.summary();
    assert_eq!(summary["rows"]["ok"], rows, "{}\n{}", summary["rows"], ended.stderr);
    assert_eq!(summary["ledger"]["iterations_ok"], rows);
    assert_eq!(summary["stop"], "iterations");
    ended.assert_passed_or_crowded();
    let seen = service.seen();
    assert_eq!(seen.len(), rows, "every row at least once");
    assert!(seen.keys().all(|row| row.parse::<usize>().unwrap() < rows), "and no other");
    // Done twice is only what no record said was done: that of the last second, at most.
    let total: u64 = seen.values().sum();
    assert!(total < 2 * rows as u64, "{total} requests for {rows} rows");
}

#[test]
fn rows_are_done_exactly_once_although_gander_is_killed() {
    let _alone = one_at_a_time();
    let (gander, service) = (Gander::new(), Rows::that_take(Duration::from_millis(5)));
    let ended = killed(&gander, &service, &of_rows(&gander, 3000, 4, &service.url), 3000, 2);
    all_done(&ended, &service, 3000);
}

#[test]
fn arrivals_are_done_exactly_once_although_gander_is_killed() {
    let _alone = one_at_a_time();
    let (gander, service) = (Gander::new(), Rows::that_take(Duration::from_millis(30)));
    let scenario = gander.scenario(&asking(900, ""));
    let arguments = format!(
        "{scenario} --rate 200 --arrivals poisson --rows 900 {}",
        besides(&gander, &service.url)
    );
    let ended = killed(&gander, &service, &arguments, 900, 2);
    all_done(&ended, &service, 900);
    assert_eq!(ended.summary()["ledger"]["iterations_dropped"], 0);
}

#[test]
fn recorded_arrivals_go_on_and_those_of_another_file_do_not() {
    let _alone = one_at_a_time();
    let (gander, service) = (Gander::new(), Rows::that_take(Duration::from_millis(5)));
    let file = gander.path("arrivals.txt");
    let every = |ms: u32| (0..500).map(|n| format!("{}\n", f64::from(n * ms) / 1e3)).collect();
    let (written, other): (String, String) = (every(7), every(8));
    std::fs::write(&file, &written).unwrap();
    let arguments = format!(
        "{} --arrivals-file {} {}",
        gander.scenario(&asking(500, "")),
        shell_words::quote(file.to_str().unwrap()),
        besides(&gander, &service.url)
    );
    let mut started = Started::new(soak(&arguments, &[]));
    started.until("rows", || gander.intervals() >= 2 && service.seen().len() > 200);
    started.signal("KILL");
    assert_eq!(started.ended_within(Duration::from_secs(60)).code, 137);
    std::fs::write(&file, other).unwrap();
    refused(&gander, resume(&gander), "recorded arrivals have changed since");
    std::fs::write(&file, written).unwrap();
    all_done(&gander::finished(resume(&gander)), &service, 500);
}

/// Without its users the run would not be valid: each second is held against the plan.
#[test]
fn stages_of_users_go_on_where_they_were() {
    let _alone = one_at_a_time();
    let (gander, service) = (Gander::new(), Rows::that_take(Duration::from_millis(10)));
    let scenario = gander.scenario(&asking(10_000, ""));
    let arguments =
        format!("{scenario} --stages 2u:3s,6u:4s/2s,3u:3s {}", besides(&gander, &service.url));
    let mut started = Started::new(soak(&arguments, &[]));
    started.until("the second stage", || gander.intervals() >= 6);
    started.signal("KILL");
    assert_eq!(started.ended_within(Duration::from_secs(60)).code, 137);
    let ended = gander::finished(resume(&gander));
    let summary = ended.summary();
    assert_eq!(summary["stop"], "duration");
    ended.assert_passed_or_crowded();
    let run = journal::read(&gander.run_folder()).unwrap();
    let users = |at: f64| {
        let second = run.intervals.iter().find(|second| second.end.as_secs_f64() > at).unwrap();
        second.users
    };
    // Before the kill, after it, and at the end of the last stage.
    assert_eq!([2.0, 7.5, 10.5].map(users), [2, 6, 3]);
    assert_eq!(run.done().ranges(), 1, "no row is left out: {:?}", run.done());
    assert_eq!(run.done().count(), summary["ledger"]["iterations_ok"]);
}

/// What no record holds, the target was asked for besides: no more than that.
#[test]
fn a_budget_counts_what_the_records_show_was_spent() {
    let _alone = one_at_a_time();
    let (gander, service) = (Gander::new(), Rows::that_take(Duration::from_millis(5)));
    let scenario = gander.scenario(&asking(5_000, ""));
    let arguments = format!(
        "{scenario} --duration 60s --users 4 --max-requests 2500 {}",
        besides(&gander, &service.url)
    );
    let mut started = Started::new(soak(&arguments, &[]));
    started.until("rows", || gander.intervals() >= 2 && service.seen().len() > 300);
    started.signal("KILL");
    assert_eq!(started.ended_within(Duration::from_secs(60)).code, 137);
    let recorded = journal::read(&gander.run_folder()).unwrap().ledger().sent;
    let asked = || service.seen().values().sum::<u64>();
    let unrecorded = asked() + 4 - recorded.min(asked());
    let ended = gander::finished(resume(&gander));
    let summary = ended.summary();
    assert_eq!(summary["stop"], "budget", "{}", ended.stderr);
    assert_eq!(summary["ledger"]["sent"], 2500);
    assert!((2500..=2500 + unrecorded).contains(&(asked() + 4)), "{} of {unrecorded}", asked());
    let report = std::fs::read_to_string(gander.run_folder().join("report.md")).unwrap();
    assert!(report.contains("is not known and not counted"), "{report}");
    refused(&gander, resume(&gander), "ended as planned");
}

#[test]
fn rows_of_several_scenarios_are_each_done_exactly_once() {
    let _alone = one_at_a_time();
    let (gander, service) = (Gander::new(), Rows::that_take(Duration::from_millis(20)));
    let [first, second] = ["first", "second"].map(|name| {
        let path = gander.path(&format!("{name}.toml"));
        std::fs::write(&path, asking(2_000, &format!("{name} "))).unwrap();
        shell_words::quote(path.to_str().unwrap()).into_owned()
    });
    for load in ["--users 8", "--rate 300"] {
        for folder in gander.run_folders() {
            std::fs::remove_dir_all(folder).unwrap();
        }
        service.seen.lock().unwrap().clear();
        let arguments = format!(
            "{first}@3 {second} --iterations 1200 {load} {}",
            besides(&gander, &service.url)
        );
        let ended = killed(&gander, &service, &arguments, 1200, 2);
        assert_eq!(ended.summary()["ledger"]["iterations_ok"], 1200, "{}", ended.stderr);
        let done = journal::read(&gander.run_folder()).unwrap().done();
        assert_eq!((done.count(), done.ranges()), (1200, 2), "none is left out: {done:?}");
        let seen = service.seen();
        let of = |name: &str| seen.keys().filter(|row| row.starts_with(name)).count();
        assert!(of("first") > of("second") && of("second") > 100, "{load}");
        assert!(seen.len() >= 1200);
    }
}

/// Takes half a minute.
#[test]
#[ignore = "a campaign: half a minute"]
fn rows_are_done_exactly_once_although_gander_is_killed_ten_times() {
    let _alone = one_at_a_time();
    let (gander, service) = (Gander::new(), Rows::that_take(Duration::from_millis(5)));
    let ended = killed(&gander, &service, &of_rows(&gander, 6000, 4, &service.url), 6000, 10);
    all_done(&ended, &service, 6000);
}

fn refused(gander: &Gander, command: Command, expected: &str) {
    let before = std::fs::read(gander.run_folder().join("journal.log")).unwrap();
    let refused = gander::finished(command);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains(expected), "{}", refused.stderr);
    let after = std::fs::read(gander.run_folder().join("journal.log")).unwrap();
    assert_eq!(before, after, "what was recorded stays as it is");
}

#[test]
fn an_interrupted_soak_goes_on_and_a_changed_or_whole_one_does_not() {
    let _alone = one_at_a_time();
    let (gander, service) = (Gander::new(), Rows::that_take(Duration::from_millis(10)));
    let arguments = of_rows(&gander, 2000, 4, &service.url);
    let mut started = Started::new(soak(&arguments, &[]));
    started.until("rows", || gander.intervals() >= 2 && service.seen().len() > 50);
    started.signal("INT");
    let interrupted: Finished = started.ended_within(Duration::from_secs(60));
    assert_eq!(interrupted.code, 130, "{}", interrupted.stderr);

    let path = gander.path("scenario.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("/ask", "/other")).unwrap();
    refused(&gander, resume(&gander), "has changed since");
    std::fs::write(&path, text).unwrap();
    let folder = gander.run_folder();
    let with_users = soak("--users 9", &["--resume", folder.to_str().unwrap()]);
    refused(&gander, with_users, "--users does not go with --resume");

    // A torn line, as a kill leaves it.
    let journal = std::fs::OpenOptions::new().append(true).open(folder.join("journal.log"));
    journal.unwrap().write_all(b"0badf00d {\"entry\":\"inter").unwrap();
    let ended = gander::finished(resume(&gander));
    let summary = ended.summary();
    assert_eq!(summary["rows"]["ok"], 2000, "{}", ended.stderr);
    ended.assert_passed_or_crowded();
    assert_eq!(service.seen().len(), 2000);
    refused(&gander, resume(&gander), "ended as planned");
}

#[test]
fn a_soak_that_is_killed_while_its_target_settles_has_done_its_work() {
    let _alone = one_at_a_time();
    let (gander, service) = (Gander::new(), Rows::that_take(Duration::from_millis(10)));
    let arguments = of_rows(&gander, 100, 2, &service.url).replace("100ms", "60s");
    let mut started = Started::new(soak(&arguments, &[]));
    let ended = || journal_of(&gander).contains("\"entry\":\"end\"");
    started.until("the end of the load", ended);
    let seconds = gander.intervals();
    started.until("seconds of settling", || gander.intervals() >= seconds + 2);
    started.signal("KILL");
    assert_eq!(started.ended_within(Duration::from_secs(60)).code, 137);
    refused(&gander, resume(&gander), "ended as planned, with 100 iterations done");
    // The time in which the target settled is none in which it was loaded.
    let run = journal::read(&gander.run_folder()).unwrap();
    let recorded = run.intervals.last().unwrap().end.as_secs_f64();
    let measured = run.window().length().as_secs_f64();
    assert!(measured < recorded - 1.0, "{measured} s of {recorded} s");
    let summary = gander.report().summary();
    assert_eq!(summary["rows"]["ok"], 100);
    assert_eq!(summary["soak"]["settled_seconds"], serde_json::Value::Null);
}

/// The journal of the one run, as far as it is written.
fn journal_of(gander: &Gander) -> String {
    let folder = gander.run_folders().pop();
    let text = folder.and_then(|folder| std::fs::read_to_string(folder.join("journal.log")).ok());
    text.unwrap_or_default()
}

#[test]
fn a_soak_that_goes_on_may_name_the_new_process_and_no_dead_one() {
    let _alone = one_at_a_time();
    let (gander, service) = (Gander::new(), Rows::that_take(Duration::from_millis(10)));
    let mut first = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let arguments = of_rows(&gander, 400, 2, &service.url);
    let mut started = Started::new(soak(&arguments, &["--pid", &first.id().to_string()]));
    started.until("rows", || gander.intervals() >= 2 && service.seen().len() > 20);
    started.signal("INT");
    assert_eq!(started.ended_within(Duration::from_secs(60)).code, 130);
    first.kill().unwrap();
    first.wait().unwrap();
    // The one that was named is gone.
    refused(&gander, resume(&gander), &format!("--pid {}: there is no such process", first.id()));
    let own = std::process::id().to_string();
    let folder = gander.run_folder();
    let ended =
        gander::finished(soak(&format!("--pid {own}"), &["--resume", folder.to_str().unwrap()]));
    assert_eq!(ended.summary()["rows"]["ok"], 400, "{}", ended.stderr);
    assert!(journal_of(&gander).contains(&format!("\"pid\":{own}")));
}

#[test]
fn a_target_whose_process_is_gone_is_said_to_be() {
    let _alone = one_at_a_time();
    let (gander, service) = (Gander::new(), Rows::that_take(Duration::from_millis(10)));
    let mut process = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let arguments = of_rows(&gander, 600, 2, &service.url);
    let mut started = Started::new(soak(&arguments, &["--pid", &process.id().to_string()]));
    started.until("a look", || gander.intervals() >= 1);
    process.kill().unwrap();
    process.wait().unwrap();
    let summary = started.ended_within(Duration::from_secs(60)).summary();
    let leaks = summary["leaks"].as_array().unwrap();
    let why = |found: &serde_json::Value| found["why"].as_str().unwrap().to_owned();
    assert!(leaks.iter().all(|found| why(found).contains("was gone from ")), "{leaks:#?}");
}

#[test]
fn a_soak_that_goes_on_from_another_folder_names_the_right_one() {
    let _alone = one_at_a_time();
    let (gander, service) = (Gander::new(), Rows::that_take(Duration::from_millis(10)));
    let arguments = of_rows(&gander, 400, 2, &service.url);
    // Its path is meant from the folder in which it is begun.
    let begun_in = gander.path(".").canonicalize().unwrap();
    let scenario = gander.path("scenario.toml");
    let mut command = soak(&arguments.replace(scenario.to_str().unwrap(), "scenario.toml"), &[]);
    command.current_dir(&begun_in);
    let mut started = Started::new(command);
    started.until("rows", || gander.intervals() >= 2 && service.seen().len() > 20);
    started.signal("INT");
    assert_eq!(started.ended_within(Duration::from_secs(60)).code, 130);
    let expected = format!("was begun in {}", begun_in.display());
    refused(&gander, resume(&gander), &expected);
    let mut command = resume(&gander);
    command.current_dir(&begun_in);
    assert_eq!(gander::finished(command).summary()["rows"]["ok"], 400);
}

#[test]
fn a_soak_says_what_is_given_back_and_what_it_cannot_say_yet() {
    let _alone = one_at_a_time();
    let gander = Gander::new();
    let reports = gander.reports();
    let reports = shell_words::quote(reports.to_str().unwrap()).into_owned();
    let arguments = format!(
        "inference-single --duration 4s --users 3 --settle 1s --reports {reports} \
         --service 'faults=[{{ kind = 500, rate = 0.2 }}]' --set step.predict.expect.status=200"
    );
    let ended = gander::finished(soak(&arguments, &[]));
    let summary = ended.summary();
    let soak = &summary["soak"];
    assert!(soak["settled_seconds"].as_f64().unwrap() >= 1.0);
    for resource in soak["returned"].as_array().unwrap() {
        if resource["resource"] != "threads" && !resource["before"].is_null() {
            let [before, after] = ["before", "after"].map(|key| resource[key].as_u64().unwrap());
            assert!(after <= before, "{resource}");
        }
    }
    assert_eq!(soak["service"]["open"], 0, "{soak}");
    for drift in soak["drifts"].as_array().unwrap() {
        assert_eq!(drift["trend"], "too_early", "{drift}");
    }
    // The default alerts: one row in five fails.
    let alerts = summary["alerts"].as_array().unwrap();
    let row_errors = alerts.iter().find(|alert| alert["name"] == "row errors").unwrap();
    assert_eq!(row_errors["fired"], "yes", "{row_errors}");
    assert_eq!(row_errors["windows"]["fired"], 1, "{row_errors}");
    let memory = alerts.iter().find(|alert| alert["name"] == "memory").unwrap();
    assert_eq!(memory["fired"], "unknown", "{memory}");
    let report = std::fs::read_to_string(gander.run_folder().join("report.md")).unwrap();
    for section in ["# Soak: ", "## Leaks", "## Drift", "## Given back", "## Alerts"] {
        assert_eq!(report.matches(section).count(), 1, "{section} in {report}");
    }
}

#[test]
fn a_soak_must_know_how_long() {
    let refused = gander::finished(soak("inference-single", &[]));
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("--rows 1000 or --duration 4h"), "{}", refused.stderr);
}

/// Takes some minutes; `--release` is faster.
#[test]
#[ignore = "a campaign: a million rows"]
fn a_million_rows_cost_no_memory_and_little_disk() {
    let _alone = one_at_a_time();
    let gander = Gander::new();
    let scenario = "service = { name = \"inference\", latency = \"0ms\" }\nrows = \"number\"\n\
                    [data]\nnumber = [1, 2, 3, 5, 7, 11]\n[[step]]\nname = \"predict\"\n\
                    post = \"/predict\"\njson = { text = \"row {{ number }}\" }\n";
    let scenario = gander.scenario(scenario);
    let reports = gander.reports();
    let reports = shell_words::quote(reports.to_str().unwrap()).into_owned();
    let command = soak(
        &format!("{scenario} --rows 1000000 --users 12 --settle 100ms --reports {reports}"),
        &[],
    );
    let ended = Started::new(command).ended_within(Duration::from_secs(1200));
    assert_eq!(ended.summary()["rows"]["ok"], 1_000_000, "{}", ended.stderr);
    let folder = gander.run_folder();
    let looks = std::fs::read_to_string(folder.join("resources.jsonl")).unwrap();
    let looks = looks.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let of_gander = looks.filter(|look| look["who"] == "generator");
    let memory: Vec<u64> = of_gander.filter_map(|look| look["rss_bytes"].as_u64()).collect();
    let (first_tenth, rest) = memory.split_at(memory.len() / 10 + 1);
    let growth = rest.iter().max().unwrap().saturating_sub(*first_tenth.last().unwrap());
    assert!(growth < 8_000_000, "{growth} bytes more");
    let size = |entry: std::fs::DirEntry| entry.metadata().unwrap().len();
    let files = std::fs::read_dir(&folder).unwrap().map(|entry| size(entry.unwrap()));
    assert!(files.sum::<u64>() < 50_000_000);
}
