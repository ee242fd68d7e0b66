//! `--scrape`: the server's own numbers beside gander's.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use crate::gander::{BUSY, Gander, one_at_a_time};
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
