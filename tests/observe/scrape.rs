//! `--scrape`: the server's own numbers beside gander's.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use crate::gander::{BUSY, Gander, finished, one_at_a_time};
use crate::reference::{Reference, quick};

/// The entry of a comparison.
fn compared<'a>(summary: &'a Value, what: &str) -> &'a Value {
    let all = summary["server"]["compared"].as_array().expect("comparisons");
    all.iter().find(|one| one["what"] == what).unwrap_or_else(|| panic!("{what} in {all:?}"))
}

#[test]
fn the_servers_counts_and_times_agree_with_the_ledger_and_with_gander() {
    let _alone = one_at_a_time();
    let service = Reference::inference(quick());
    let gander = Gander::new();
    let scenario = gander.scenario(BUSY);
    let run = gander.run(&format!(
        "{scenario} --users 4 --iterations 300 --scrape /metrics --target {}",
        service.url
    ));
    let (summary, ledger) = (run.summary(), service.ledger());
    // Neither the looks nor their connections are in the ledger.
    assert_eq!((ledger.requests.accepted, ledger.routes.len()), (300, 1));
    let requests = compared(&summary, "requests");
    assert_eq!((&requests["server"], &requests["client"]), (&300.0.into(), &300.0.into()));
    assert_eq!(compared(&summary, "answers with an error status")["server"], 0.0);
    for one in summary["server"]["compared"].as_array().unwrap().iter().take(2) {
        assert_eq!(one["agrees"], true, "{one}");
    }
    // The bucket holds what the ledger itself says of the median.
    let median = compared(&summary, "service time p50, ms");
    let truth = ledger.routes["POST /predict"].statuses[&200].p50_ms;
    let within = [0, 1].map(|end| median["agrees_within"][end].as_f64().unwrap());
    assert!(within[0] <= truth && truth <= within[1], "{truth} in {median}");
    assert!(summary["server"]["looks"].as_u64().unwrap() >= 2);
    let report = std::fs::read_to_string(gander.run_folder().join("report.md")).unwrap();
    assert!(report.contains("The server's own numbers"), "{report}");
    assert!(!report.contains("The two sides disagree: requests"), "{report}");
    // The report made again from the folder says the same.
    assert_eq!(gander.report().summary()["server"], summary["server"]);
}

/// A service that counts every third request twice.
fn liar() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicU64::new(0));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let count = Arc::clone(&count);
            std::thread::spawn(move || lie(stream, &count));
        }
    });
    url
}

fn lie(stream: TcpStream, count: &AtomicU64) {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut first, mut length) = (String::new(), 0);
        if reader.read_line(&mut first).unwrap_or(0) == 0 {
            return;
        }
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim().to_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let text = match first.starts_with("GET /metrics ") {
            true => {
                let told = count.load(Ordering::SeqCst) * 4 / 3;
                format!("# TYPE http_requests_total counter\nhttp_requests_total {told}\nload -1\n")
            }
            false => {
                count.fetch_add(1, Ordering::SeqCst);
                "{}".to_owned()
            }
        };
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", text.len());
        if reader.get_mut().write_all((head + &text).as_bytes()).is_err() {
            return;
        }
    }
}

#[test]
fn a_server_that_counts_something_else_is_told_of() {
    let _alone = one_at_a_time();
    let gander = Gander::new();
    let scenario = gander.scenario(BUSY);
    let url = liar();
    let run = gander.run(&format!(
        "{scenario} --users 2 --iterations 300 --scrape {url}/metrics --target {url}"
    ));
    let summary = run.summary();
    let requests = compared(&summary, "requests");
    assert_eq!((&requests["server"], &requests["client"]), (&400.0.into(), &300.0.into()));
    assert_eq!(requests["agrees"], false);
    let report = std::fs::read_to_string(gander.run_folder().join("report.md")).unwrap();
    assert!(report.contains("The two sides disagree"), "{report}");
}

#[test]
fn numbers_that_cannot_be_had_are_told_of_before_the_run() {
    let _alone = one_at_a_time();
    let service = Reference::inference(quick());
    let gander = Gander::new();
    let scenario = gander.scenario(BUSY);
    for (place, code, says) in [
        ("/nowhere", 3, "it answered 404 Not Found"),
        ("/health", 3, "the answer holds no series"),
        ("ftp://x/metrics", 2, "expected a path such as /metrics"),
        ("http://192.0.2.1/metrics", 2, "--allow-host 192.0.2.1"),
    ] {
        let arguments =
            format!("{scenario} --iterations 1 --scrape {place} --target {}", service.url);
        let run = gander.run(&arguments);
        assert!(run.stderr.contains(says), "{place}: {}", run.stderr);
        assert!(run.code == code || place.contains("192"), "{place}: {}", run.code);
        assert_eq!(gander.run_folders().len(), 0, "{place}");
    }
    assert_eq!(service.ledger().routes.get("POST /predict"), None);
}

/// `BUSY` with a `[scrape]` table.
fn scraping(table: &str) -> String {
    BUSY.replace("[[step]]", &format!("[scrape]\n{table}\n[[step]]"))
}

#[test]
fn a_scenario_says_what_is_kept_and_what_is_compared() {
    let _alone = one_at_a_time();
    let gander = Gander::new();
    let scenario = gander.scenario(&scraping(
        "at = \"/metrics\"\nmetrics = [\"load\"]\ncompare = { requests = \"http_requests_total\", response_time = \"nothing_seconds\" }",
    ));
    let url = liar();
    let run = gander.run(&format!("{scenario} --users 2 --iterations 300 --target {url}"));
    let summary = run.summary();
    // What is compared is kept.
    let requests = compared(&summary, "requests");
    assert_eq!((&requests["server"], &requests["client"]), (&400.0.into(), &300.0.into()));
    assert_eq!(summary["server"]["series"].as_array().unwrap().len(), 2);
    assert_eq!(summary["server"]["missing"], serde_json::json!(["nothing_seconds"]));
    let report = std::fs::read_to_string(gander.run_folder().join("report.md")).unwrap();
    assert!(report.contains("Not compared"), "{report}");

    let gander = Gander::new();
    let scenario = gander.scenario(&scraping("at = \"/metrics\"\nmetrics = [\"lo*\"]"));
    let run = gander.run(&format!("{scenario} --users 1 --iterations 5 --target {url}"));
    let series = run.summary()["server"]["series"].as_array().unwrap().clone();
    assert_eq!((series.len(), &series[0]["series"]), (1, &"load".into()));
    let report = std::fs::read_to_string(gander.run_folder().join("report.md")).unwrap();
    assert!(report.contains("1 series that the server shows are not kept"), "{report}");
}

#[test]
fn a_scenario_does_without_numbers_that_cannot_be_had() {
    let _alone = one_at_a_time();
    let service = Reference::inference(quick());
    let gander = Gander::new();
    let scenario = gander.scenario(&scraping("at = \"/nowhere\""));
    let arguments = format!("{scenario} --users 1 --iterations 20 --target {}", service.url);
    let run = gander.run(&arguments);
    assert_eq!(run.summary()["server"], Value::Null);
    assert_eq!(run.summary()["ledger"]["sent"], 20, "{}", run.stdout);
    let report = std::fs::read_to_string(gander.run_folder().join("report.md")).unwrap();
    assert!(report.contains("Not measured"), "{report}");
    assert!(report.contains("it answered 404 Not Found"), "{report}");

    // The command line names another place, and the run needs it.
    let gander = Gander::new();
    let scenario = gander.scenario(&scraping("at = \"/nowhere\""));
    let arguments = format!("{scenario} --users 1 --iterations 20 --target {}", service.url);
    assert_eq!(gander.run(&format!("{arguments} --scrape /missing")).code, 3);
    let run = gander.run(&format!("{arguments} --scrape /metrics"));
    assert_eq!(compared(&run.summary(), "requests")["server"], 20.0);
}

#[test]
fn the_ensembles_own_times_stand_beside_ganders() {
    let _alone = one_at_a_time();
    let gander = Gander::new();
    let run = gander.run("time-travel --iterations 4");
    let summary = run.summary();
    let requests = compared(&summary, "requests");
    assert_eq!((&requests["server"], &requests["client"]), (&4.0.into(), &4.0.into()));
    // S1-13. The service states seconds of another pace.
    assert_eq!(compared(&summary, "service time mean, ms")["agrees"], true, "{summary:#}");
    let times = summary["server"]["times"].as_array().unwrap();
    for (name, count) in [
        ("time_travel_total_duration_seconds", 4.0),
        ("parallel_snapshot_generation_duration_seconds", 4.0),
        ("single_snapshot_duration_seconds", 16.0),
        ("key_changes_duration_seconds", 4.0),
        ("evolution_narrative_duration_seconds", 4.0),
    ] {
        let found = times.iter().find(|time| time["name"] == name);
        assert_eq!(found.map(|time| &time["count"]), Some(&count.into()), "{name} {times:#?}");
    }
    let mean = |name: &str| {
        let found = times.iter().find(|time| time["name"] == format!("{name}_duration_seconds"));
        found.unwrap()["mean_ms"].as_f64().unwrap()
    };
    let parts = ["parallel_snapshot_generation", "key_changes", "evolution_narrative"];
    assert!(parts.map(mean).iter().sum::<f64>() <= mean("time_travel_total"), "{times:#?}");
    let report = std::fs::read_to_string(gander.run_folder().join("report.md")).unwrap();
    assert!(report.contains("evolution_narrative_duration_seconds"), "{report}");
}

#[test]
fn a_sweep_takes_it_too() {
    let _alone = one_at_a_time();
    let service = Reference::inference(quick());
    let gander = Gander::new();
    let scenario = gander.scenario(BUSY);
    let arguments = format!(
        "sweep {scenario} --users 1,2 --iterations 20 --scrape /nowhere --target {}",
        service.url
    );
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_gander"));
    command.args(shell_words::split(&arguments).unwrap()).arg("--reports").arg(gander.reports());
    let run = finished(command);
    assert_eq!(run.code, 3, "{}", run.stderr);
    assert!(run.stderr.contains("it answered 404 Not Found"), "{}", run.stderr);
}
