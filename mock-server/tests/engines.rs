//! One request at a time, or as many as there are workers. Assertions are on order, counts and
//! ratios: no absolute time is expected to hold.

mod common;

use std::time::{Duration, Instant};

use common::{Server, assert_balanced, client, taking, workers};
use mock_server::Engine;
use serde_json::{Value, json};
use tokio::task::{JoinHandle, JoinSet};

/// Sends a prediction from a client of its own, and returns when it is in the queue.
async fn send(server: &Server, text: String) -> JoinHandle<Instant> {
    let before = server.ledger().await.requests;
    let url = format!("{}/predict", server.url);
    let answer = tokio::spawn(async move {
        let response =
            client().post(url).json(&json!({ "text": text })).send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert_eq!(response.json::<Value>().await.expect("JSON")["text"], text);
        Instant::now()
    });
    server.until(|ledger| ledger.requests.accepted > before.accepted).await;
    // From the ledger it is a few instructions into the queue.
    tokio::time::sleep(Duration::from_millis(20)).await;
    answer
}

/// The time that `count` simultaneous predictions take together, on connections that are open.
async fn together(server: &Server, count: usize) -> Duration {
    let mut connections = Vec::new();
    for _ in 0..count {
        connections.push(server.connect().await);
    }
    let started = Instant::now();
    let mut clients = JoinSet::new();
    for mut connection in connections {
        clients.spawn(async move {
            connection.send("POST", "/predict", Some(&json!({ "text": "good" }))).await
        });
    }
    for (status, _) in clients.join_all().await {
        assert_eq!(status, 200);
    }
    started.elapsed()
}

fn predicted(ledger: &mock_server::ledger::Snapshot) -> u64 {
    ledger.routes["POST /predict"].requests.answered
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocking_serves_one_after_another() {
    let server = Server::start(taking(Engine::Blocking, 100)).await;
    together(&server, 8).await;
    let ledger = server.ledger().await;
    let route = &ledger.routes["POST /predict"];
    // The k-th of 8 simultaneous requests takes k service times: the mean is 4.5, the longest 8.
    // The requests do not arrive at the same moment, so the figures may be a little less.
    let service = route.statuses[&200];
    assert!(service.max_ms > 6.5 * route.intended.mean_ms, "{service:?}");
    assert!(service.mean_ms > 3.5 * route.intended.mean_ms, "{service:?}");
    assert!(route.work.mean_ms < 2.0 * route.intended.mean_ms, "{:?}", route.work);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocking_serves_in_the_order_of_arrival() {
    let server = Server::start(taking(Engine::Blocking, 150)).await;
    let mut answers = Vec::new();
    for i in 0..6 {
        answers.push(send(&server, format!("text {i}")).await);
    }
    let mut at = Vec::new();
    for answer in answers {
        at.push(answer.await.unwrap());
    }
    assert!(at.is_sorted(), "{at:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocking_makes_every_route_wait_but_control() {
    let server = Server::start(taking(Engine::Blocking, 400)).await;
    let requests =
        [("GET", "/health"), ("GET", "/models/info"), ("GET", "/none"), ("POST", "/predict_batch")];
    for (round, (method, path)) in (1..).zip(requests) {
        let slow = send(&server, "good".to_owned()).await;
        // Read while the prediction runs.
        assert_eq!(server.ledger().await.requests.in_flight, 1, "control does not wait");
        let url = format!("{}{path}", server.url);
        server.client.request(method.parse().unwrap(), url).send().await.unwrap();
        assert_eq!(predicted(&server.ledger().await), round, "{path} waited");
        slow.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threaded_answers_health_at_once() {
    let server = Server::start(taking(workers(1), 2_000)).await;
    let _slow = send(&server, "good".to_owned()).await;
    assert_eq!(server.get("/health").await.status(), 200);
    let bad = server.post("/predict", &json!({ "text": "" })).await;
    assert_eq!(bad.status(), 422, "a request that needs no model does not wait for it");
    let ledger = server.ledger().await;
    assert_eq!(ledger.requests.in_flight, 1, "the prediction still runs");
    assert_balanced(&ledger);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throughput_grows_with_the_workers() {
    let mut servers = Vec::new();
    for count in [1, 4, 8] {
        servers.push(Server::start(taking(workers(count), 100)).await);
    }
    // In turns, and the best of each: what else the machine does is no part of it.
    let mut best = [f64::INFINITY; 3];
    for _ in 0..4 {
        for (best, server) in best.iter_mut().zip(&servers) {
            *best = best.min(together(server, 16).await.as_secs_f64());
        }
    }
    // 16, 4 and 2 service times.
    assert!(best[0] / best[1] > 2.5 && best[0] / best[1] < 5.5, "{best:?}");
    assert!(best[1] / best[2] > 1.4 && best[1] / best[2] < 2.8, "{best:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_wait_for_a_worker_are_in_flight() {
    for engine in [Engine::Blocking, workers(2)] {
        let server = Server::start(taking(engine, 30_000)).await;
        let mut clients = JoinSet::new();
        for _ in 0..16 {
            let url = format!("{}/predict", server.url);
            clients.spawn(client().post(url).json(&json!({ "text": "good" })).send());
        }
        server.until(|ledger| ledger.requests.in_flight == 16).await;
        clients.abort_all();
        let ledger = server.until(|ledger| ledger.requests.in_flight == 0).await;
        assert_eq!(ledger.peak_in_flight, 16);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_goes_on_when_its_client_has_left() {
    let server = Server::start(taking(Engine::Blocking, 400)).await;
    let started = Instant::now();
    server.send_and_leave().await;
    server.get("/health").await;
    // However quick or slow the machine is: the health check waited for the whole prediction.
    let intended = Duration::from_millis(400);
    assert!(started.elapsed() >= intended, "{:?}", started.elapsed());
    assert_balanced(&server.ledger().await);
}
