//! The real FastAPI service: what it answers, and what its two engines do under load.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests panic to fail, and say what they skip"
)]

#[path = "support/gander.rs"]
mod gander;
#[path = "support/peers.rs"]
mod peers;

use std::future::Future;
use std::time::{Duration, Instant};

use peers::Peer;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

async fn post(url: String, body: Value) -> (StatusCode, Value) {
    let response = Client::new().post(url).json(&body).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

async fn get(url: String) -> (StatusCode, Value) {
    let response = Client::new().get(url).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

#[tokio::test]
async fn fastapi_answers_in_the_shapes_of_the_reference_service() {
    let Some(service) = Peer::inference("threaded", 1) else { return };

    let (status, answer) = post(service.url("/predict"), json!({"text": "I love it"})).await;
    assert_eq!(status, 200);
    assert_eq!(answer["text"], "I love it");
    assert_eq!(answer["sentiment"], "positive");
    assert!(answer["confidence"].as_f64().unwrap() > 0.5);
    assert!(answer["model_version"].is_string());

    let batch = json!({"texts": ["awful", "a table"]});
    let (status, answer) = post(service.url("/predict_batch"), batch).await;
    assert_eq!(status, 200);
    assert_eq!(answer["predictions"][0]["sentiment"], "negative");
    assert_eq!(answer["predictions"][1]["sentiment"], "neutral");
    assert_eq!(answer["predictions"].as_array().unwrap().len(), 2);

    let (status, answer) = get(service.url("/health")).await;
    assert_eq!(status, 200);
    assert_eq!(answer["status"], "healthy");
    assert_eq!(answer["model_loaded"], true);
    assert!(answer["service_name"].is_string() && answer["version"].is_string());
    assert_eq!(get(service.url("/")).await.0, 200);
    assert_eq!(get(service.url("/models/info")).await.0, 200);
}

#[tokio::test]
async fn fastapi_refuses_what_is_not_valid_and_its_ledger_counts_it() {
    let Some(service) = Peer::inference("blocking", 1) else { return };

    let too_long = "a".repeat(5001);
    for body in [json!({"text": ""}), json!({"text": "  "}), json!({"text": too_long}), json!({})] {
        let (status, answer) = post(service.url("/predict"), body).await;
        assert_eq!(status, 422);
        assert_eq!(answer["detail"][0]["loc"], json!(["body", "text"]));
    }
    assert_eq!(post(service.url("/predict"), json!({"text": "a".repeat(5000)})).await.0, 200);

    let batch = |size: usize| json!({"texts": vec!["a"; size]});
    assert_eq!(post(service.url("/predict_batch"), batch(100)).await.0, 200);
    let (status, answer) = post(service.url("/predict_batch"), batch(101)).await;
    assert_eq!(status, 400);
    assert_eq!(answer["detail"], "Batch size 101 exceeds maximum allowed size of 100");
    assert_eq!(get(service.url("/nothing/here")).await.0, 404);

    let (_, ledger) = get(service.url("/control/ledger")).await;
    let expected = json!({
        "POST /predict": {"requests": 5, "statuses": {"422": 4, "200": 1}},
        "POST /predict_batch": {"requests": 2, "statuses": {"200": 1, "400": 1}},
        "GET unknown": {"requests": 1, "statuses": {"404": 1}},
    });
    assert_eq!(ledger, expected);
    assert_eq!(post(service.url("/control/reset"), json!({})).await.1, json!({}));
    assert_eq!(get(service.url("/control/ledger")).await.1, json!({}));
}

#[tokio::test]
async fn blocking_serves_one_request_after_another_and_threaded_does_not() {
    let Some(blocking) = Peer::inference("blocking", 100) else { return };
    let Some(threaded) = Peer::inference("threaded", 100) else { return };

    // In turns, and the best of each: what else the machine does is no part of it.
    let mut best = [Duration::MAX; 2];
    for _ in 0..3 {
        best[0] = best[0].min(time(eight_at_once(&blocking)).await);
        best[1] = best[1].min(time(eight_at_once(&threaded)).await);
    }
    let ratio = best[0].as_secs_f64() / best[1].as_secs_f64();
    assert!(ratio > 2.0, "blocking {:?}, threaded {:?}: {ratio:.1}x", best[0], best[1]);
}

async fn eight_at_once(service: &Peer) {
    let one = || post(service.url("/predict"), json!({"text": "good"}));
    for (status, _) in futures_util::future::join_all((0..8).map(|_| one())).await {
        assert_eq!(status, 200);
    }
}

async fn time(work: impl Future) -> Duration {
    let begin = Instant::now();
    work.await;
    begin.elapsed()
}

#[test]
fn the_same_scenario_runs_unchanged_against_fastapi_blocking_and_mended() {
    let Some(uvicorn) = peers::program("uvicorn") else { return };
    let _alone = gander::one_at_a_time();
    let rps = |engine: &str| {
        let gander = gander::Gander::new();
        let spawn = format!("{} app:app --port {{port}} --no-access-log", uvicorn.display());
        let mut load = gander.load(&format!(
            "inference-single --users 10 --duration 6s --warm-up 1s --spawn {} --ready /health \
             --format json",
            shell_words::quote(&spawn)
        ));
        load.current_dir(peers::inference_service()).env("ENGINE", engine).env("BASE_MS", "60");
        let run = gander::finished(load);
        let summary = run.summary();
        assert_eq!(summary["total"]["failed"], 0, "{}", run.stderr);
        let target = &summary["resources"]["target"];
        assert!(
            target["rss_peak_bytes"].as_f64() > Some(10_000_000.0),
            "Python is larger: {target}"
        );
        summary["total"]["rps"].as_f64().expect("a rate")
    };
    let (blocking, threaded) = (rps("blocking"), rps("threaded"));
    let gain = threaded / blocking;
    assert!(gain > 2.0, "{blocking:.1} and {threaded:.1} RPS: {gain:.1}x");
}

#[test]
fn counts_equal_the_fastapi_services_own() {
    let Some(service) = Peer::inference("threaded", 5) else { return };
    let _alone = gander::one_at_a_time();
    let gander = gander::Gander::new();
    let target = service.url("");
    let run = gander.run(&format!("inference-mix --users 6 --duration 8s --target {target}"));
    let summary = run.summary();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (_, ledger) = runtime.block_on(get(service.url("/control/ledger")));
    let of = |name: &str| {
        let steps = summary["steps"].as_array().expect("steps");
        let step = steps.iter().find(|step| step["name"] == name).expect(name);
        step["count"].as_u64().expect("a count")
    };
    let batches = of("batch of 5") + of("batch of 25") + of("batch of 50") + of("batch of 20");
    assert_eq!(ledger["POST /predict"]["requests"].as_u64(), Some(of("single")));
    assert_eq!(ledger["POST /predict_batch"]["requests"].as_u64(), Some(batches));
    assert_eq!(ledger["GET /health"]["requests"].as_u64(), Some(of("health")));
}

#[test]
fn a_spawned_target_is_stopped_with_everything_that_it_started() {
    let Some(uvicorn) = peers::program("uvicorn") else { return };
    let _alone = gander::one_at_a_time();
    let gander = gander::Gander::new();
    // A shell in between: the target is a tree, not one process.
    let spawn = format!("sh -c '{} app:app --port $PORT --no-access-log; true'", uvicorn.display());
    let mut load = gander.load(&format!(
        "inference-single --users 2 --duration 2s --spawn {} --format json",
        shell_words::quote(&spawn)
    ));
    load.current_dir(peers::inference_service());
    let run = gander::finished(load);
    let summary = run.summary();
    assert!(summary["resources"]["target"]["processes_max"].as_u64() >= Some(2), "{}", run.stderr);
    let url = summary["target_url"].as_str().expect("a URL").to_owned();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    assert!(runtime.block_on(reqwest::get(url)).is_err(), "nobody listens there any more");
}

/// Runs `scenario` unchanged against `peer` and returns its summary, which must be of a run without
/// a failure.
fn chat_run(scenario: &str, peer: &Peer, users: u32) -> Value {
    let _alone = gander::one_at_a_time();
    let gander = gander::Gander::new();
    let target = peer.url("");
    let run = gander
        .run(&format!("{scenario} --users {users} --duration 3s --warm-up 0s --target {target}"));
    let summary = run.summary();
    let total = &summary["total"];
    assert_eq!(total["failed"], 0, "{}\n{}", summary["errors"], run.stderr);
    assert!(total["count"].as_u64() > Some(20), "{total}");
    assert_eq!(summary["ledger"]["balances"], true);
    summary
}

/// Streams of 20 tokens, the first after 20 ms and more, the others 5 ms and more apart.
fn assert_streams_of_20_tokens(summary: &Value) {
    let total = &summary["total"];
    let streams = total["count"].as_u64().unwrap();
    assert_eq!(total["ttft"]["count"].as_u64(), Some(streams), "{total}");
    assert_eq!(total["tpot"]["count"].as_u64(), Some(streams), "{total}");
    // Both servers wait at least as long as they say; timers of Node may fire a millisecond early.
    assert!(total["ttft"]["min_ms"].as_f64() > Some(18.0), "{total}");
    assert!(total["tpot"]["min_ms"].as_f64() > Some(3.5), "{total}");
    let [ttft, whole] = ["ttft", "response_time"].map(|name| total[name]["p50_ms"].as_f64());
    assert!(ttft < whole, "{total}");
}

/// The tokens are those that the server says it reported, to the last one.
fn assert_tokens(summary: &Value, served: &Value) {
    let total = &summary["total"];
    let tokens = &total["tokens"];
    assert_eq!(tokens["reported"], total["count"], "{total}");
    assert_eq!(tokens["input"], served["prompt_tokens"], "{total}");
    assert_eq!(tokens["output"], served["completion_tokens"], "{total}");
}

fn ledger_of(peer: &Peer, path: &str) -> Value {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(get(peer.url(path))).1
}

#[test]
fn chat_stream_runs_unchanged_against_fastapi_with_sse_starlette() {
    let Some(service) = Peer::chat() else { return };
    let summary = chat_run("chat-stream", &service, 4);
    assert_streams_of_20_tokens(&summary);
    let served = ledger_of(&service, "/control/ledger");
    let count = summary["total"]["count"].as_u64();
    assert_eq!(served["requests"].as_u64(), count);
    assert_eq!(served["streams"].as_u64(), count);
    assert_tokens(&summary, &served);
    // One connection a user: each is used again for the next stream.
    assert_eq!(served["connections"], 4);
    assert_eq!(summary["total"]["connections_opened"], 4);
}

#[test]
fn chat_runs_unchanged_against_fastapi() {
    let Some(service) = Peer::chat() else { return };
    let summary = chat_run("chat", &service, 4);
    let served = ledger_of(&service, "/control/ledger");
    assert_eq!(served["requests"].as_u64(), summary["total"]["count"].as_u64());
    assert_tokens(&summary, &served);
    assert_eq!(summary["total"]["ttft"], Value::Null, "a whole answer has no first token");
}

#[test]
fn chat_stream_runs_unchanged_against_aimock() {
    let Some(server) = Peer::aimock() else { return };
    let summary = chat_run("chat-stream", &server, 4);
    assert_streams_of_20_tokens(&summary);
    let journal = ledger_of(&server, "/__aimock/journal?path=/v1/chat/completions");
    let entries = journal.as_array().unwrap();
    let count = summary["total"]["count"].as_u64().unwrap();
    assert_eq!(entries.len() as u64, count);
    assert!(entries.iter().all(|entry| entry["body"]["stream"] == true));
    let served = json!({"prompt_tokens": 12 * count, "completion_tokens": 20 * count});
    assert_tokens(&summary, &served);
    assert_eq!(summary["total"]["connections_opened"], 4);
}
