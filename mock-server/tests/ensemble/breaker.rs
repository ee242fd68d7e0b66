//! S1-8: the circuit breaker over HTTP.

use std::time::Duration;

use mock_server::{CircuitBreaker, Ensemble, Snapshots};
use serde_json::{Value, json};

use super::common::Server;
use super::upstream::{Script, Upstream};
use super::{QUESTION, ask, get, serve};

fn failing() -> Script {
    Script { status: |_, _| 500, ..Script::default() }
}

async fn breaker(server: &Server) -> Value {
    get(server, "/api/monitoring/stats").await["circuit_breaker"].take()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_opens_during_request_2_and_request_3_sends_nothing() {
    for snapshots in [Snapshots::Parallel, Snapshots::Sequential] {
        let upstream = Upstream::start(failing()).await;
        // An hour at a hundredth: it stays open for the rest of the test.
        let circuit_breaker =
            Some(CircuitBreaker { recovery: Duration::from_secs(3_600), ..Default::default() });
        let behaviour = Ensemble { snapshots, circuit_breaker, ..Ensemble::default() };
        let server = serve(behaviour, &upstream).await;
        ask(&server, QUESTION).await;
        assert_eq!(
            (upstream.calls().len(), &breaker(&server).await["state"]),
            (4, &json!("closed"))
        );
        ask(&server, QUESTION).await;
        assert_eq!(breaker(&server).await["state"], "open");
        let sent = upstream.calls().len();
        // In parallel, calls may be in flight when it opens; one after another, only one can.
        assert!((5..=8).contains(&sent), "{sent}");
        assert!(snapshots == Snapshots::Parallel || sent == 5, "{sent}");
        let answer = ask(&server, QUESTION).await;
        assert_eq!((upstream.calls().len(), &answer["is_eligible"]), (sent, &json!(false)));
        assert!(answer["skip_reason"].as_str().unwrap().contains("circuit breaker"));
        let stated = breaker(&server).await;
        assert_eq!((&stated["opened"], &stated["refused"]), (&json!(1), &json!(12 - sent)));
        assert_eq!(get(&server, "/api/health").await["circuit_breaker"], "open");
        let ledger = server.stop().await;
        assert_eq!(ledger.counters["breaker_rejections"], 12 - sent as u64);
        assert_eq!(ledger.upstream.begun, sent as u64, "what is refused is not sent");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_its_recovery_it_probes_and_three_successes_close_it() {
    let upstream = Upstream::start(failing()).await;
    // A second at this scale.
    let recovery = Duration::from_secs(100);
    let circuit_breaker = Some(CircuitBreaker { recovery, ..Default::default() });
    let snapshots = Snapshots::Sequential;
    let behaviour = Ensemble { snapshots, circuit_breaker, ..Ensemble::default() };
    let server = serve(behaviour, &upstream).await;
    for _ in 0..2 {
        ask(&server, QUESTION).await;
    }
    assert_eq!(
        (breaker(&server).await["state"].take(), upstream.calls().len()),
        (json!("open"), 5)
    );

    // The probe fails: one call, and it is open again.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    ask(&server, QUESTION).await;
    let stated = breaker(&server).await;
    assert_eq!((&stated["state"], &stated["opened"]), (&json!("open"), &json!(2)));
    assert_eq!(upstream.calls().len(), 6);

    // Two successes are not enough, three are.
    upstream.follow(Script::default());
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let body = json!({ "question": QUESTION, "max_snapshots": 1 });
    server.post("/api/time-travel", &body).await;
    assert_eq!(upstream.calls().len(), 8, "a snapshot and a narrative");
    let stated = breaker(&server).await;
    assert_eq!((&stated["state"], &stated["successes"]), (&json!("half_open"), &json!(2)));
    server.post("/api/time-travel", &body).await;
    assert_eq!(breaker(&server).await["state"], "closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_one_every_request_sends_its_calls() {
    let upstream = Upstream::start(failing()).await;
    let server = serve(Ensemble { circuit_breaker: None, ..Ensemble::default() }, &upstream).await;
    for _ in 0..3 {
        ask(&server, QUESTION).await;
    }
    assert_eq!((upstream.calls().len(), breaker(&server).await), (12, Value::Null));
}
