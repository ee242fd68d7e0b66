//! The optimisations of the inference service: what each saves, counted in its ledger (S2-9, S2-10).

#![allow(clippy::unwrap_used, reason = "tests panic to fail")]

mod common;

use common::{Server, instant, taking, workers};
use mock_server::Inference;
use mock_server::ledger::Snapshot;
use serde_json::json;

/// Ten batches each of 10, 25, 50 and 100 texts, of which every tenth batch is the same.
async fn batches(behaviour: Inference) -> Snapshot {
    let server = Server::start(behaviour).await;
    for size in [10, 25, 50, 100] {
        for _ in 0..10 {
            let texts: Vec<String> = (0..size).map(|n| format!("text {n} is good")).collect();
            let response = server.post("/predict_batch", &json!({ "texts": texts })).await;
            assert_eq!(response.status(), 200);
        }
    }
    server.ledger().await
}

#[tokio::test]
async fn calls_and_work_for_each_text_are_counted() {
    let ledger = batches(instant()).await;
    let counters = &ledger.counters;
    assert_eq!((counters["predict"], counters["append"]), (40, 1_850));
    assert_eq!((counters["feature_extractions"], counters["log_lines"]), (1_850, 1_850));
    assert_eq!(ledger.items, 1_850);
    assert!(!counters.contains_key("feature_cache_hits"), "without a cache there is no hit");
}

#[tokio::test]
async fn each_optimisation_moves_its_own_counter() {
    let ledger = batches(Inference { vectorised: true, ..instant() }).await;
    assert_eq!((ledger.counters["append"], ledger.counters["model_passes"]), (0, 40));
    let ledger = batches(Inference { feature_cache: true, ..instant() }).await;
    // The hundred different texts are computed once.
    assert_eq!(ledger.counters["feature_extractions"], 100);
    assert_eq!(ledger.counters["feature_cache_hits"], 1_750);
    let ledger = batches(Inference { logging: false, ..instant() }).await;
    assert_eq!((ledger.counters["log_lines"], ledger.counters["append"]), (0, 1_850));
}

/// 40-60% by one pass, then 20-30% by the cache, then 5-10% without the log: of the intended times,
/// which are exact, and of the actual ones, which are never shorter.
#[tokio::test]
async fn latency_falls_with_each_phase_as_far_as_it_should() {
    let first = taking(workers(1), 40);
    let vectorised = Inference { vectorised: true, ..first.clone() };
    let cached = Inference { feature_cache: true, ..vectorised.clone() };
    let quiet = Inference { logging: false, ..cached.clone() };
    let mut means = Vec::new();
    for behaviour in [first, vectorised, cached, quiet] {
        let server = Server::start(behaviour).await;
        let texts: Vec<String> = (0..25).map(|n| format!("text {n} is good")).collect();
        let batch = json!({ "texts": texts });
        server.post("/predict_batch", &batch).await;
        server.reset().await;
        for _ in 0..3 {
            server.post("/predict_batch", &batch).await;
        }
        let route = server.ledger().await.routes["POST /predict_batch"].clone();
        assert!(route.work.mean_ms >= route.intended.mean_ms);
        means.push(route.intended.mean_ms);
    }
    let saved: Vec<f64> = means.windows(2).map(|w| 1.0 - w[1] / w[0]).collect();
    assert!((0.40..=0.60).contains(&saved[0]), "{saved:?}");
    assert!((0.20..=0.30).contains(&saved[1]), "{saved:?}");
    assert!((0.05..=0.10).contains(&saved[2]), "{saved:?}");
}

/// Computing spends its CPU time in three kinds of work, and all of it.
#[tokio::test]
async fn computing_takes_as_long_as_sleeping() {
    let spend = mock_server::Spend::Cpu;
    let server = Server::start(Inference { spend, ..taking(workers(1), 30) }).await;
    server.post("/predict", &json!({"text": "a good thing"})).await;
    let route = server.ledger().await.routes["POST /predict"].clone();
    assert!(route.work.mean_ms >= route.intended.mean_ms * 0.99, "{route:?}");
}

/// Work that is done counts, whoever waits for it: a client that leaves has warmed the cache up.
#[tokio::test]
async fn work_for_a_client_that_left_is_counted() {
    let server = Server::start(Inference { feature_cache: true, ..taking(workers(1), 100) }).await;
    server.send_and_leave().await;
    assert_eq!(server.post("/predict", &json!({"text": "good"})).await.status(), 200);
    let counters = server.ledger().await.counters;
    assert_eq!((counters["predict"], counters["feature_cache_hits"]), (2, 1));
    assert_eq!(counters["feature_extractions"], 1);
}
