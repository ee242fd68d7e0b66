//! Sleeping costs no CPU time; computing costs exactly as much as was asked for. One test, in a
//! process of its own: CPU time is counted for the whole process.

mod common;

use std::thread::available_parallelism;

use common::{Server, client, taking, workers};
use cpu_time::ProcessTime;
use mock_server::{Inference, Spend};
use serde_json::json;
use tokio::task::JoinSet;

/// CPU time of the process as a share of the intended service time of predictions that run together,
/// four on every processor: who counts wall-clock time spends a quarter of the CPU time.
async fn cpu_share(spend: Spend) -> f64 {
    let together = 4 * available_parallelism().expect("a number of processors").get();
    let server = Server::start(Inference { spend, ..taking(workers(together), 100) }).await;
    server.get("/health").await;
    let started = ProcessTime::now();
    let mut running = JoinSet::new();
    for _ in 0..together {
        let body = json!({ "texts": ["good", "a somewhat longer text", "x".repeat(5_000)] });
        let url = format!("{}/predict_batch", server.url);
        running.spawn(client().post(url).json(&body).send());
    }
    for response in running.join_all().await {
        assert_eq!(response.expect("an answer").status(), 200);
    }
    let used = started.elapsed().as_secs_f64() * 1e3;
    let ledger = server.ledger().await;
    let route = &ledger.routes["POST /predict_batch"];
    assert_eq!(route.intended.mean_ms, 100.0);
    assert!(route.work.mean_ms >= 100.0, "no CPU time can pass in less wall-clock time");
    used / (route.intended.mean_ms * together as f64)
}

#[tokio::test]
async fn only_computing_spends_cpu_time() {
    let sleeping = cpu_share(Spend::Sleep).await;
    let computing = cpu_share(Spend::Cpu).await;
    assert!(sleeping < 0.5, "sleeping took {sleeping:.2} of its time as CPU time");
    // On top of the work itself: the requests, the client, the ledger.
    assert!((1.0..1.5).contains(&computing), "computing took {computing:.2}");
}
