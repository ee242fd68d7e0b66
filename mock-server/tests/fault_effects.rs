//! What a client sees of each fault, on a socket of its own, and what the ledger says of it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests panic to fail")]

mod common;

use std::io::ErrorKind;
use std::time::Duration;

use common::{Server, assert_balanced, instant};
use mock_server::Inference;
use mock_server::faults::{Burst, Faults, Kind, Rule};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const BODY: &str = r#"{"text":"a good thing"}"#;

/// As [`raw`], of a connection that is to end, however slow the machine is.
async fn raw_to_its_end(server: &Server) -> (String, Option<Result<(), ErrorKind>>) {
    raw_within(server, Duration::from_secs(60)).await
}

/// All that comes on a socket after one prediction was asked for, and how it ended: cleanly, by a
/// reset, or (none) not within a second, which is long for a service without latency.
async fn raw(server: &Server) -> (String, Option<Result<(), ErrorKind>>) {
    raw_within(server, Duration::from_secs(1)).await
}

async fn raw_within(
    server: &Server,
    patience: Duration,
) -> (String, Option<Result<(), ErrorKind>>) {
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    let request = format!(
        "POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    let read = stream.read_to_end(&mut seen);
    let end = tokio::time::timeout(patience, read).await.ok();
    let end = end.map(|read| read.map(|_| ()).map_err(|error| error.kind()));
    (String::from_utf8_lossy(&seen).into_owned(), end)
}

async fn struck_by(rule: Rule) -> Server {
    let faults = Faults::new(vec![rule]).unwrap();
    Server::start(Inference { faults, ..instant() }).await
}

/// The ledger after one request that was cut short by this fault.
async fn assert_broken(server: &Server, kind: Kind) {
    let ledger = server.until(|ledger| ledger.requests.in_flight == 0).await;
    assert_balanced(&ledger);
    assert_eq!(ledger.requests.broken, 1, "{kind}");
    assert_eq!(ledger.requests.answered, 0, "{kind}");
    assert_eq!(ledger.faults[&kind.to_string()], 1);
    assert_eq!(ledger.routes["POST /predict"].faults[&kind.to_string()], 1);
}

#[tokio::test]
async fn a_reset_is_a_reset_before_any_byte() {
    let server = struck_by(Rule::always(Kind::Reset)).await;
    let (seen, end) = raw_to_its_end(&server).await;
    assert_eq!((seen.as_str(), end), ("", Some(Err(ErrorKind::ConnectionReset))));
    assert_broken(&server, Kind::Reset).await;
}

#[tokio::test]
async fn an_early_end_of_file_is_a_close_before_any_byte() {
    let server = struck_by(Rule::always(Kind::EarlyEof)).await;
    assert_eq!(raw_to_its_end(&server).await, (String::new(), Some(Ok(()))));
    assert_broken(&server, Kind::EarlyEof).await;
}

#[tokio::test]
async fn half_a_header_has_no_end() {
    let server = struck_by(Rule::always(Kind::HalfHeader)).await;
    let (seen, end) = raw_to_its_end(&server).await;
    assert!(seen.starts_with("HTTP/1.1 200 OK\r\n"), "{seen:?}");
    assert!(!seen.contains("\r\n\r\n"), "{seen:?}");
    assert_eq!(end, Some(Ok(())));
    assert_broken(&server, Kind::HalfHeader).await;
}

#[tokio::test]
async fn half_a_body_is_less_than_its_header_promises() {
    let whole = raw_whole().await;
    for (kind, expected) in [(Kind::HalfBody, Some(Ok(()))), (Kind::Stall, None)] {
        let server = struck_by(Rule::always(kind)).await;
        let (seen, end) = match expected {
            Some(_) => raw_to_its_end(&server).await,
            None => raw(&server).await,
        };
        let (head, body) = seen.split_once("\r\n\r\n").unwrap();
        assert!(
            head.to_lowercase().contains(&format!("content-length: {}", whole.len())),
            "{head}"
        );
        assert_eq!(body, &whole[..whole.len() / 2]);
        assert_eq!(end, expected, "{kind}");
        assert_broken(&server, kind).await;
    }
}

/// The body of a prediction that nothing befalls.
async fn raw_whole() -> String {
    let server = Server::start(instant()).await;
    let (seen, end) = raw(&server).await;
    assert_eq!(end, None, "the connection is kept");
    seen.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[tokio::test]
async fn a_slow_drip_comes_in_many_pieces_and_is_whole() {
    let delay = Some(Duration::from_millis(400));
    let server = struck_by(Rule { delay, ..Rule::always(Kind::SlowDrip) }).await;
    let mut response = server.post("/predict", &json!({"text": "a good thing"})).await;
    let (mut pieces, mut body) = (0, Vec::new());
    while let Some(piece) = response.chunk().await.unwrap() {
        pieces += 1;
        body.extend_from_slice(&piece);
    }
    // A client may find several pieces at once, but never more than there are.
    assert!((6..=21).contains(&pieces), "{pieces} pieces");
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["sentiment"], "positive");
    let ledger = server.until(|ledger| ledger.requests.answered == 1).await;
    assert_eq!(ledger.response_body_bytes, body.len() as u64);
    assert!(ledger.routes["POST /predict"].statuses[&200].max_ms >= 350.0, "timed to its end");
}

#[tokio::test]
async fn a_hang_lasts_until_the_client_leaves() {
    let server = struck_by(Rule::always(Kind::Hang)).await;
    server.send_and_leave().await;
    let ledger = server.ledger().await;
    assert_eq!((ledger.requests.abandoned, ledger.faults["hang"]), (1, 1));
    assert_balanced(&ledger);
}

/// A request in flight would have five seconds; these two have nothing to wait for.
#[tokio::test]
async fn a_hang_and_a_stall_do_not_outlast_the_service() {
    for kind in [Kind::Hang, Kind::Stall] {
        let server = struck_by(Rule::always(kind)).await;
        let asked = tokio::spawn({
            let (client, url) = (server.client.clone(), format!("{}/predict", server.url));
            async move { client.post(url).json(&json!({"text": "x"})).send().await?.bytes().await }
        });
        server.until(|ledger| ledger.requests.in_flight == 1).await;
        let ledger = server.stop().await;
        assert!(asked.await.unwrap().is_err());
        assert_eq!((ledger.requests.broken, ledger.requests.abandoned), (1, 0), "{kind}");
        assert_balanced(&ledger);
    }
}

#[tokio::test]
async fn an_idle_timeout_closes_a_connection_that_waits_too_long() {
    let delay = Some(Duration::from_millis(50));
    let faults = Faults::new(vec![Rule { delay, ..Rule::always(Kind::IdleTimeout) }]).unwrap();
    let slow = common::taking(common::workers(1), 600_000);
    let server = Server::start(Inference { faults, ..slow }).await;
    assert_eq!(raw_to_its_end(&server).await, (String::new(), Some(Ok(()))));
    assert_broken(&server, Kind::IdleTimeout).await;
}

#[tokio::test]
async fn refusals_have_the_services_own_form_and_say_when_to_come_again() {
    let retry_after = Some(Duration::from_millis(1_500));
    for status in [400, 401, 403, 404, 429, 500, 502, 503, 504, 529] {
        let server = struck_by(Rule { retry_after, ..Rule::always(Kind::Status(status)) }).await;
        let response = server.post("/predict", &json!({"text": "x"})).await;
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["retry-after"], "2");
        assert_eq!(response.headers()["retry-after-ms"], "1500");
        let body: Value = response.json().await.unwrap();
        assert!(body["detail"].is_string(), "{body}");
        let ledger = server.ledger().await;
        assert_eq!(ledger.routes["POST /predict"].statuses[&status].count, 1);
        assert_eq!(ledger.items, 0, "no work was done");
        // A health check is no work.
        assert_eq!(server.get("/health").await.status(), 200);
    }
}

#[tokio::test]
async fn malformed_answers_are_whole_and_wrong() {
    for kind in [
        Kind::InvalidJson,
        Kind::Truncated,
        Kind::Empty,
        Kind::MissingFields,
        Kind::WrongContentType,
        Kind::InvalidUtf8,
        Kind::BrokenSse,
    ] {
        let server = struck_by(Rule::always(kind)).await;
        let response = server.post("/predict", &json!({"text": "a good thing"})).await;
        assert_eq!(response.status(), 200, "{kind}");
        let is_json = response.headers()["content-type"] == "application/json";
        assert_eq!(is_json, kind != Kind::WrongContentType, "{kind}");
        let body = response.bytes().await.unwrap();
        let value = serde_json::from_slice::<Value>(&body);
        match kind {
            Kind::Empty => assert!(body.is_empty()),
            Kind::MissingFields => assert!(value.unwrap().get("sentiment").is_none()),
            Kind::WrongContentType => assert!(value.unwrap()["sentiment"].is_string()),
            Kind::InvalidUtf8 => assert!(std::str::from_utf8(&body).is_err()),
            _ => assert!(value.is_err() && !body.is_empty(), "{kind}"),
        }
        let ledger = server.ledger().await;
        assert_eq!(ledger.response_body_bytes, body.len() as u64, "{kind}");
        assert_eq!((ledger.requests.answered, ledger.faults[&kind.to_string()]), (1, 1));
        assert_eq!(ledger.items, 1, "the work was done");
    }
}

#[tokio::test]
async fn the_ledger_knows_every_fault_of_many() {
    let faults = Faults::new(vec![
        Rule::every(Kind::Status(429), 3),
        Rule::at_rate(Kind::Reset, 0.2),
        Rule::at_rate(Kind::Status(500), 0.2),
    ]);
    let server = Server::start(Inference { faults: faults.unwrap(), ..instant() }).await;
    let (mut resets, mut limited, mut failed) = (0, 0, 0);
    for _ in 0..150 {
        let url = format!("{}/predict", server.url);
        match common::client().post(url).json(&json!({"text": "x"})).send().await {
            Err(_) => resets += 1,
            Ok(response) if response.status() == 429 => limited += 1,
            Ok(response) if response.status() == 500 => failed += 1,
            Ok(response) => assert_eq!(response.status(), 200),
        }
    }
    let ledger = server.until(|ledger| ledger.requests.in_flight == 0).await;
    assert_balanced(&ledger);
    assert_eq!(limited, 50);
    assert_eq!((ledger.faults["429"], ledger.faults["500"]), (50, failed));
    assert_eq!((ledger.faults["reset"], ledger.requests.broken), (resets, resets));
}

#[tokio::test]
async fn faults_and_latency_change_while_it_runs() {
    let server = Server::start(instant()).await;
    let put = |path: &'static str, body: Value| {
        let request = server.client.put(format!("{}{path}", server.url)).json(&body);
        async move { request.send().await.unwrap() }
    };
    let ask = || async { server.post("/predict", &json!({"text": "x"})).await.status().as_u16() };
    assert_eq!(ask().await, 200);
    assert_eq!(put("/control/faults", json!([{"kind": 503, "every": 2}])).await.status(), 200);
    // Requests are counted from the start: the next one is the second.
    assert_eq!([ask().await, ask().await, ask().await], [503, 200, 503]);
    let faults: Value = server.get("/control/faults").await.json().await.unwrap();
    assert_eq!(faults, json!([{"kind": 503, "every": 2}]));

    let wrong = put("/control/faults", json!([{"kind": 503, "evry": 2}])).await;
    assert_eq!(wrong.status(), 422);
    let detail: Value = wrong.json().await.unwrap();
    assert!(detail["detail"].as_str().unwrap().contains("`evry`"), "{detail}");
    assert_eq!(ask().await, 200, "what was there stays in force");

    assert_eq!(put("/control/faults", json!("silent")).await.status(), 200);
    let answer = put("/control/latency", json!({"base": "20ms", "per_item": "1ms"})).await;
    let latency: Value = answer.json().await.unwrap();
    assert_eq!(latency, json!({"base": "20ms", "per_item": "1ms", "per_token": "0"}));
    server.reset().await;
    assert_eq!(ask().await, 200);
    let intended = server.ledger().await.routes["POST /predict"].intended;
    assert_eq!((intended.count, intended.mean_ms), (1, 21.0));
}

/// Three seconds in which nobody listens.
#[tokio::test]
async fn refused_connections_are_refused_by_the_system_and_the_port_comes_back() {
    let server = Server::start(instant()).await;
    let mut kept = TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    server.until(|ledger| ledger.sockets.open == 1).await;
    let (every, length) = (Duration::from_secs(3_600), Duration::from_secs(3));
    let rule = Rule { burst: Some(Burst { every, length }), ..Rule::always(Kind::Refused) };
    let faults = Faults::new(vec![rule]).unwrap();
    // A burst begins with a reset, which is the last that is heard of the service for a while.
    server.until(|ledger| ledger.elapsed_s > 3.0).await;
    let put = server.client.put(format!("{}/control/faults", server.url)).json(&faults);
    assert_eq!(put.send().await.unwrap().status(), 200);
    let _ = server.client.post(format!("{}/control/reset", server.url)).send().await;

    let address = server.url.trim_start_matches("http://").to_owned();
    let mut refused = 0;
    let again = async {
        loop {
            match TcpStream::connect(&address).await {
                Ok(_) if refused > 0 => return,
                Ok(_) => {}
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
                    refused += 1;
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), again).await.expect("refused, then not");
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(30), kept.read_to_end(&mut rest)).await;
    closed.expect("what was open is closed").unwrap();
    assert!(rest.is_empty());
    assert_eq!(server.get("/health").await.status(), 200);
}

#[tokio::test]
async fn a_freeze_holds_everything_and_loses_nothing() {
    let server = Server::start(instant()).await;
    let (every, length) = (Duration::from_secs(3_600), Duration::from_secs(3_500));
    let rule = Rule { burst: Some(Burst { every, length }), ..Rule::always(Kind::Freeze) };
    let put = |faults: Vec<Rule>| {
        let request = server.client.put(format!("{}/control/faults", server.url));
        let request = request.json(&Faults::new(faults).unwrap());
        async move { assert_eq!(request.send().await.unwrap().status(), 200) }
    };
    put(vec![rule]).await;
    let asked: Vec<_> = ["/health", "/models/info", "/"]
        .into_iter()
        .map(|path| tokio::spawn(common::client().get(format!("{}{path}", server.url)).send()))
        .collect();
    let ledger = server.until(|ledger| ledger.requests.accepted == 3).await;
    assert_eq!(ledger.requests.in_flight, 3, "control answers, the service does not");
    put(vec![]).await;
    for asked in asked {
        assert_eq!(asked.await.unwrap().unwrap().status(), 200);
    }
    assert_eq!(server.ledger().await.requests.answered, 3);
}

#[tokio::test]
async fn without_a_model_predictions_fail_and_the_health_check_says_so() {
    let server = struck_by(Rule::always(Kind::ModelNotLoaded)).await;
    let response = server.post("/predict", &json!({"text": "x"})).await;
    assert_eq!(response.status(), 503);
    assert_eq!(response.json::<Value>().await.unwrap(), json!({"detail": "Model not loaded"}));
    let health = server.get("/health").await;
    assert_eq!(health.status(), 200);
    let health: Value = health.json().await.unwrap();
    assert_eq!((&health["status"], &health["model_loaded"]), (&json!("unhealthy"), &json!(false)));
    assert_eq!(server.ledger().await.faults["model-not-loaded"], 1);
}

#[tokio::test]
async fn a_freeze_holds_what_another_fault_has_struck() {
    let delay = Some(Duration::from_millis(50));
    let server = struck_by(Rule { delay, ..Rule::always(Kind::Slow) }).await;
    let url = format!("{}/predict", server.url);
    let asked = server.client.post(url).json(&json!({"text": "x"})).send();
    let asked = tokio::spawn(asked);
    server.until(|ledger| ledger.requests.in_flight == 1).await;
    let (every, length) = (Duration::from_secs(3_600), Duration::from_secs(3_500));
    let rule = Rule { burst: Some(Burst { every, length }), ..Rule::always(Kind::Freeze) };
    let put = |faults: Vec<Rule>| {
        let request = server.client.put(format!("{}/control/faults", server.url));
        request.json(&Faults::new(faults).unwrap()).send()
    };
    put(vec![rule]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    // On a slow machine the answer may have left before the freeze; it cannot leave during it.
    let held = server.ledger().await.requests.in_flight;
    assert_eq!(asked.is_finished(), held == 0);
    put(vec![]).await.unwrap();
    assert_eq!(asked.await.unwrap().unwrap().status(), 200);
}

/// A probe, a preflight and an error are no work: they take no number, and no fault is counted that
/// did not happen.
#[tokio::test]
async fn only_work_is_struck_and_counted() {
    let server = struck_by(Rule::every(Kind::Status(503), 2)).await;
    let url = format!("{}/predict", server.url);
    for method in [reqwest::Method::GET, reqwest::Method::HEAD, reqwest::Method::OPTIONS] {
        let response = server.client.request(method, &url).send().await.unwrap();
        assert_eq!(response.status(), 405);
    }
    let mut statuses = Vec::new();
    for _ in 0..2 {
        statuses.push(server.post("/predict", &json!({"text": "x"})).await.status().as_u16());
    }
    assert_eq!(statuses, [200, 503]);
    let ledger = server.ledger().await;
    assert_eq!((ledger.requests.abandoned, ledger.requests.answered), (0, 5));

    let server = struck_by(Rule::always(Kind::Truncated)).await;
    assert_eq!(server.post("/predict", &json!({"text": ""})).await.status(), 422);
    assert!(server.ledger().await.faults.is_empty(), "an error is not damaged");
}

#[tokio::test]
async fn a_malformed_body_is_answered_and_counted_as_that() {
    let server = Server::start(instant()).await;
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    let request = "POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    let read = stream.read_to_end(&mut seen);
    tokio::time::timeout(Duration::from_secs(60), read).await.expect("an end").unwrap();
    assert!(seen.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&seen));
    let ledger = server.ledger().await;
    assert_eq!((ledger.requests.answered, ledger.requests.abandoned), (1, 0));
}
