//! The ledger is the truth: what clients counted is what it says.

mod common;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use common::{Connection, Server, assert_balanced, client, instant, taking, workers};
use mock_server::Inference;
use mock_server::latency::{Distribution, Latency};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// What one client counted: requests by route and status, bodies sent and received.
#[derive(Default)]
struct Tally {
    answers: BTreeMap<(String, u16), u64>,
    texts: u64,
    sent: u64,
    received: u64,
}

/// The requests that client number `client` sends: every route and every kind of answer, in an
/// order of its own.
fn requests(client: usize) -> Vec<(&'static str, &'static str, Option<Value>, u64)> {
    let kinds: [(&str, &str, Option<Value>, u64); 8] = [
        ("POST", "/predict", Some(json!({ "text": "good" })), 1),
        ("POST", "/predict", Some(json!({ "text": "" })), 0),
        ("POST", "/predict_batch", Some(json!({ "texts": ["good", "bad", "so so"] })), 3),
        ("POST", "/predict_batch", Some(json!({ "texts": vec!["x"; 101] })), 0),
        ("GET", "/health", None, 0),
        ("GET", "/models/info", None, 0),
        ("GET", "/nothing", None, 0),
        ("DELETE", "/predict", None, 0),
    ];
    (0..40 + client % 3).map(|i| kinds[(i * (2 * client + 1) + client) % 8].clone()).collect()
}

async fn drive(url: String, number: usize) -> Tally {
    let mut connection = Connection::open(&url).await;
    let mut tally = Tally::default();
    for (method, path, json, texts) in requests(number) {
        let (status, body) = connection.send(method, path, json.as_ref()).await;
        let route = if path == "/nothing" { "(unrouted)" } else { path };
        *tally.answers.entry((format!("{method} {route}"), status)).or_default() += 1;
        tally.sent += json.map_or(0, |json| json.to_string().len() as u64);
        tally.received += body.len() as u64;
        tally.texts += texts;
    }
    tally
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_clients_count_what_the_ledger_counts() {
    const CLIENTS: usize = 50;
    let base = Distribution::around(Duration::from_millis(2), Duration::from_millis(1)).unwrap();
    let latency = Latency { per_item: Duration::from_micros(100), ..Latency::of(base) };
    let server = Server::start(Inference { latency, ..instant() }).await;

    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        clients.spawn(drive(server.url.clone(), number));
    }
    let mut total = Tally::default();
    while let Some(tally) = clients.join_next().await {
        assert_balanced(&server.ledger().await);
        let tally = tally.unwrap();
        for (key, count) in tally.answers {
            *total.answers.entry(key).or_default() += count;
        }
        total.texts += tally.texts;
        total.sent += tally.sent;
        total.received += tally.received;
    }

    let ledger = server.ledger().await;
    assert_balanced(&ledger);
    let mut answers = BTreeMap::new();
    for (name, route) in &ledger.routes {
        for (status, figures) in &route.statuses {
            answers.insert((name.clone(), *status), figures.count);
        }
        let worked_on = route.statuses.get(&200).filter(|_| name.starts_with("POST"));
        assert_eq!(route.intended.count, worked_on.map_or(0, |figures| figures.count), "{name}");
        assert_eq!(route.work.count, route.intended.count, "{name}");
    }
    assert_eq!(answers, total.answers);
    assert_eq!(ledger.items, total.texts);
    assert_eq!(ledger.request_body_bytes, total.sent);
    assert_eq!(ledger.response_body_bytes, total.received);
    assert_eq!((ledger.requests.in_flight, ledger.requests.abandoned), (0, 0));
    assert!((2..=CLIENTS as u64).contains(&ledger.peak_in_flight));
    assert_eq!(ledger.sockets.accepted, CLIENTS as u64);
    let closed = server.until(|ledger| ledger.sockets.open == 0).await;
    assert_eq!(closed.sockets.accepted, CLIENTS as u64);
}

#[tokio::test]
async fn times_nest_intended_in_work_in_service_in_client() {
    let server = Server::start(taking(workers(1), 5)).await;
    let mut seen = Vec::new();
    for _ in 0..20 {
        let started = Instant::now();
        server.post("/predict", &json!({ "text": "good" })).await.bytes().await.unwrap();
        seen.push(started.elapsed().as_secs_f64() * 1e3);
    }
    let ledger = server.ledger().await;
    let route = &ledger.routes["POST /predict"];
    let service = route.statuses[&200];
    seen.sort_by(f64::total_cmp);
    let client_mean = seen.iter().sum::<f64>() / 20.0;
    assert_eq!((route.intended.mean_ms, route.intended.max_ms), (5.0, 5.0));
    assert!(route.work.mean_ms >= route.intended.mean_ms);
    assert!(service.mean_ms >= route.work.mean_ms);
    assert!(client_mean >= service.mean_ms);
    // The 10th of 20 sorted values is the median; a histogram bucket is 0.1% wide at most.
    assert!(seen[9] * 1.001 >= service.p50_ms);
    assert!(seen[19] >= service.max_ms);
    assert!(service.p50_ms <= service.p95_ms && service.p95_ms <= service.p99_ms);
    assert!(service.p99_ms <= service.max_ms);
}

#[tokio::test]
async fn control_requests_leave_no_trace() {
    let server = Server::start(instant()).await;
    let mut probe = server.connect().await;
    for _ in 0..5 {
        assert_eq!(probe.send("GET", "/control/ledger", None).await.0, 200);
        assert_eq!(probe.send("GET", "/control/nothing", None).await.0, 404);
    }
    let ledger = server.ledger().await;
    assert_eq!(ledger.requests.accepted, 0);
    assert_eq!(ledger.peak_in_flight, 0);
    assert!(ledger.routes.is_empty());
    assert_eq!((ledger.sockets.accepted, ledger.sockets.open), (0, 0));

    // The same connection counts once it carries a request of the service.
    assert_eq!(probe.send("GET", "/health", None).await.0, 200);
    assert_eq!(probe.send("GET", "/control/ledger", None).await.0, 200);
    let ledger = server.ledger().await;
    assert_eq!(ledger.requests.accepted, 1);
    assert_eq!((ledger.sockets.accepted, ledger.sockets.open), (1, 1));
    drop(probe);
    server.until(|ledger| ledger.sockets.open == 0).await;
}

#[tokio::test]
async fn a_client_that_leaves_is_counted_as_abandoned() {
    let server = Server::start(taking(workers(1), 300)).await;
    server.send_and_leave().await;
    let ledger = server.ledger().await;
    assert_balanced(&ledger);
    assert_eq!((ledger.requests.abandoned, ledger.requests.in_flight), (1, 0));
    assert_eq!(ledger.items, 0);
}

#[tokio::test]
async fn a_reset_keeps_what_is_in_flight() {
    let server = Server::start(taking(workers(1), 300)).await;
    server.get("/health").await;
    let url = format!("{}/predict", server.url);
    let slow = tokio::spawn(client().post(url).json(&json!({ "text": "good" })).send());
    server.until(|ledger| ledger.requests.in_flight == 1).await;
    server.reset().await;
    let ledger = server.ledger().await;
    assert_balanced(&ledger);
    assert_eq!((ledger.requests.accepted, ledger.requests.in_flight), (1, 1));
    assert_eq!(ledger.peak_in_flight, 1);
    assert_eq!(ledger.sockets.accepted, 2, "both connections are still open");
    assert!(!ledger.routes.contains_key("GET /health"));

    assert_eq!(slow.await.unwrap().unwrap().status(), 200);
    let ledger = server.ledger().await;
    assert_balanced(&ledger);
    assert_eq!(ledger.requests.answered, 1);
}

#[tokio::test]
async fn clients_cannot_make_the_ledger_grow() {
    let server = Server::start(instant()).await;
    for i in 0..20 {
        let method = format!("M{i}").parse().unwrap();
        server.client.request(method, format!("{}/{i}", server.url)).send().await.unwrap();
    }
    let ledger = server.ledger().await;
    assert_eq!(ledger.routes.len(), 1);
    assert_eq!(ledger.routes["OTHER (unrouted)"].statuses[&404].count, 20);
}
