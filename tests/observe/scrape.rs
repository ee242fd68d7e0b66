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

/// The entry of a series.
fn series<'a>(summary: &'a Value, name: &str) -> &'a Value {
    let all = summary["server"]["series"].as_array().expect("series");
    all.iter().find(|one| one["series"] == name).unwrap_or_else(|| panic!("{name} in {all:?}"))
}

/// S1-13: the other three endpoints.
#[test]
fn the_ensembles_pages_in_json_are_read_and_agree() {
    let _alone = one_at_a_time();
    let gander = Gander::new();
    // Nothing is faster than a warning, so that there is an alert.
    let run = gander.run(
        "time-travel --iterations 6 --set service.cache=memory --set service.time_scale=0.003",
    );
    let summary = run.summary();
    let all = summary["server"]["compared"].as_array().unwrap();
    let of = |source: &str, what: &str| {
        let found = all.iter().find(|one| one["source"] == source && one["what"] == what);
        found.unwrap_or_else(|| panic!("{what} of {source} in {all:#?}")).clone()
    };
    let requests = of("total.count", "requests");
    assert_eq!((&requests["server"], &requests["client"]), (&6.0.into(), &6.0.into()));
    // JSON and text are of the same books.
    let means = ["total", "time_travel_total_duration_seconds"]
        .map(|source| of(source, "service time mean, ms")["server"].as_f64().unwrap());
    assert!((means[0] / means[1] - 1.0).abs() < 0.001, "{means:?}");
    // One look-up for each of four snapshots at least; what is found is not looked for again.
    let counted = |name| series(&summary, name)["increase"].as_f64().unwrap();
    assert!(counted("cache_hits") + counted("cache_misses") >= 6.0, "{summary:#}");
    assert_eq!(counted("cache_errors"), 0.0);
    let states = summary["server"]["states"].as_array().unwrap();
    let breaker = states.iter().find(|one| one["state"] == "breaker_state{is=\"closed\"}");
    assert_eq!(breaker.unwrap()["looks"], summary["server"]["looks"], "{states:#?}");
    assert_eq!(breaker.unwrap()["is_last"], true);
    let grid = &summary["server"]["grids"][0];
    assert_eq!((&grid["name"], grid["rows"].as_array().unwrap().len()), (&"breakdown".into(), 6));
    assert_eq!(series(&summary, "alerts")["kind"], "gauge");
    let report = std::fs::read_to_string(gander.run_folder().join("report.md")).unwrap();
    for part in ["breaker_state", "evolution_narrative", "cache_hits", "as the last look had it"] {
        assert!(report.contains(part), "{part}\n{report}");
    }
    assert_eq!(gander.report().summary()["server"], summary["server"]);
}

#[test]
fn what_a_page_lacks_is_told_with_the_nearest_right_path() {
    let _alone = one_at_a_time();
    let gander = Gander::new();
    let table = "[[scrape.json]]\nat = \"/api/monitoring/alerts\"\nvalues = { alarms = \"cuont\", n = \"count\" }\n\
                 [[scrape.json]]\nat = \"/api/monitoring/metrics\"\nvalues = { x = \"x\" }\n\
                 [scrape.compare]\nrequests = \"n\"\n";
    let ensemble = "[[step]]\nname = \"ask\"\nget = \"/api/health\"\n";
    let service = "service = { name = \"ensemble\", time_scale = 0.01 }\n";
    let scenario = gander.scenario(&format!("{service}{table}{ensemble}"));
    let run = gander.run(&format!("{scenario} --users 1 --iterations 3"));
    assert_eq!(series(&run.summary(), "n")["last"], 0.0);
    let report = std::fs::read_to_string(gander.run_folder().join("report.md")).unwrap();
    for part in ["did you mean `count`?", "is not JSON", "[[scrape.json]]"] {
        assert!(report.contains(part), "{part}\n{report}");
    }
    // No request was counted there: that is told of.
    let requests = compared(&run.summary(), "requests").clone();
    assert_eq!((&requests["agrees"], &requests["client"]), (&false.into(), &3.0.into()));
}

#[test]
fn looks_are_as_far_apart_as_asked() {
    let _alone = one_at_a_time();
    let service = Reference::inference(quick());
    let gander = Gander::new();
    let scenario = gander.scenario(&scraping("at = \"/metrics\"\nevery = \"1h\""));
    let arguments = format!("{scenario} --users 1 --duration 2s --target {}", service.url);
    let looks = |run: &crate::gander::Finished| run.summary()["server"]["looks"].as_u64().unwrap();
    // One before the load and one after it.
    assert_eq!(looks(&gander.run(&format!("{arguments} --warm-up 1s"))), 2);
    let report = std::fs::read_to_string(gander.run_folder().join("report.md")).unwrap();
    assert!(report.contains("one each 60 min"), "{report}");
    assert!(report.contains("the server's times are of requests outside of it too"), "{report}");

    let gander = Gander::new();
    let scenario = gander.scenario(&scraping("at = \"/metrics\"\nevery = \"1h\""));
    let arguments = format!("{scenario} --users 1 --duration 2s --target {}", service.url);
    let run = gander.run(&format!("{arguments} --scrape-every 200ms"));
    assert!(looks(&run) > 4, "{}", looks(&run));
    assert_eq!(run.summary()["server"]["every_seconds"], 0.2);
    let report = std::fs::read_to_string(gander.run_folder().join("report.md")).unwrap();
    assert!(!report.contains("outside of it too"), "{report}");

    for (wrong, says) in [("50ms", "from 100ms to 1h"), ("2h", "from 100ms to 1h")] {
        let run = gander.run(&format!("{arguments} --scrape-every {wrong}"));
        assert!(run.code == 2 && run.stderr.contains(says), "{}", run.stderr);
    }
    let scenario = gander.scenario(BUSY);
    let run = gander.run(&format!("{scenario} --scrape-every 5s --target {}", service.url));
    assert!(run.code == 2 && run.stderr.contains("say where it shows them"), "{}", run.stderr);
}

/// The server's own time to first token, held against its ledger and gander's.
#[test]
fn the_time_to_first_token_stands_beside_the_servers() {
    let _alone = one_at_a_time();
    let gander = Gander::new();
    let run = gander.run(
        "chat-stream --users 2 --iterations 12 --scrape /metrics --set service.latency.base=150ms",
    );
    let summary = run.summary();
    let ttft = compared(&summary, "time to first token, from the send p50, ms");
    assert_eq!(ttft["source"], "vllm:time_to_first_token_seconds");
    // 150 ms lie between 100 and 250 ms, and so does what gander saw.
    let within = [0, 1].map(|end| ttft["agrees_within"][end].as_f64().unwrap());
    assert!(within[0] <= 150.0 && 150.0 <= within[1], "{ttft}");
    assert_eq!(ttft["agrees"], true, "{ttft}");
    let times = summary["server"]["times"].as_array().unwrap();
    let own = times.iter().find(|one| one["name"] == "vllm:time_to_first_token_seconds").unwrap();
    // One for each stream of the ledger.
    assert_eq!(own["count"], summary["ledger"]["sent"].as_f64().unwrap());
    assert_eq!(own["client_mean_ms"], summary["total"]["ttft_from_send"]["mean_ms"], "{own}");
    assert_eq!(
        compared(&summary, "inter-chunk latency p50, ms")["source"],
        "vllm:inter_token_latency_seconds"
    );
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
