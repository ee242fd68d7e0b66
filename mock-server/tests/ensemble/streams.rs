//! The answer as a stream of events.

use std::time::Duration;

use mock_server::{CacheKind, Ensemble, Outage};
use reqwest::Response;
use serde_json::{Value, json};

use super::common::Server;
use super::upstream::{Kind, Script, Upstream, proportional};
use super::{QUESTION, ask, serve};

async fn stream(server: &Server) -> Response {
    server.post("/api/time-travel-stream", &json!({ "question": QUESTION })).await
}

/// All events of a stream that ends.
async fn events(server: &Server) -> Vec<Value> {
    let response = stream(server).await;
    assert_eq!(response.status(), 200);
    let content_type = response.headers()["content-type"].to_str().unwrap();
    assert!(content_type.starts_with("text/event-stream"), "{content_type}");
    read(&response.text().await.unwrap())
}

fn read(text: &str) -> Vec<Value> {
    let events = text.split_terminator("\n\n");
    events
        .map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap())
        .collect()
}

fn types(events: &[Value]) -> Vec<&str> {
    let types = events.iter().map(|event| event["type"].as_str().unwrap());
    types.filter(|kind| *kind != "heartbeat").collect()
}

const WHOLE: [&str; 11] = [
    "start",
    "classification",
    "snapshot",
    "snapshot",
    "snapshot",
    "snapshot",
    "narrative",
    "insight",
    "insight",
    "timing",
    "complete",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_comes_in_order_and_the_last_is_the_whole_answer() {
    let upstream = Upstream::start(Script { latency: proportional, ..Script::default() }).await;
    let cache = CacheKind::Memory;
    let server = serve(Ensemble { cache, ..Ensemble::default() }, &upstream).await;
    let events = events(&server).await;
    assert_eq!(types(&events), WHOLE);
    for name in ["timestamp_ms", "elapsed_ms"] {
        let times: Vec<f64> = events.iter().map(|event| event[name].as_f64().unwrap()).collect();
        assert!(times.is_sorted(), "{name} {times:?}");
    }
    let complete = &events.last().unwrap()["result"];
    let timing = &events[events.len() - 2]["performance_breakdown"];
    assert_eq!(timing, &complete["performance_breakdown"]);
    // A snapshot comes when it is made, long before the answer is whole.
    let total = complete["performance_breakdown"]["total_ms"].as_f64().unwrap();
    let snapshot = events.iter().find(|event| event["type"] == "snapshot").unwrap();
    assert!(snapshot["elapsed_ms"].as_f64().unwrap() < 0.9 * total, "{snapshot:#}");

    // The other route gives the same answer, here out of the cache; so does a second stream.
    assert_eq!(ask(&server, QUESTION).await["snapshots"], complete["snapshots"]);
    assert_eq!(types(&self::events(&server).await), WHOLE);
    assert_eq!(upstream.calls().len(), 6);
    let ledger = server.stop().await;
    assert_eq!(ledger.counters["snapshots_made"], 4);
    assert_eq!(
        (ledger.counters["prompt_tokens"], ledger.counters["completion_tokens"]),
        (600, 300)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_heartbeat_fills_the_silence() {
    let latency =
        |kind| if kind == Kind::Snapshot { Duration::from_millis(300) } else { Duration::ZERO };
    let upstream = Upstream::start(Script { latency, ..Script::default() }).await;
    // 10 s at a hundredth are 100 ms; an hour is longer than the whole stream.
    for (heartbeat, is_heard) in [(10, true), (3_600, false)] {
        let heartbeat = Duration::from_secs(heartbeat);
        let server = serve(Ensemble { heartbeat, ..Ensemble::default() }, &upstream).await;
        let events = events(&server).await;
        let beats = events.iter().filter(|event| event["type"] == "heartbeat").count();
        assert_eq!(beats > 0, is_heard, "{beats}");
        assert_eq!(types(&events), WHOLE);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_ends_a_stream_with_an_error_where_the_settings_say_so() {
    let script = Script { status: |_, _| 500, ..Script::default() };
    for (outage, expected) in [
        (Outage::NotEligible, vec!["start", "classification", "timing", "complete"]),
        (Outage::Unavailable, vec!["start", "classification", "error"]),
    ] {
        let upstream = Upstream::start(script.clone()).await;
        let server = serve(Ensemble { outage, ..Ensemble::default() }, &upstream).await;
        assert_eq!(types(&events(&server).await), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_takes_the_calls_with_it() {
    let latency = |_| Duration::from_secs(60);
    let upstream = Upstream::start(Script { latency, ..Script::default() }).await;
    let server = serve(Ensemble { time_scale: 1.0, ..Ensemble::default() }, &upstream).await;
    let mut response = stream(&server).await;
    response.chunk().await.unwrap().unwrap();
    server.until(|ledger| ledger.upstream.in_flight == 4).await;
    drop(response);
    let ledger = server.until(|ledger| ledger.upstream.in_flight == 0).await;
    assert_eq!(ledger.upstream.cancelled, 4);
}
