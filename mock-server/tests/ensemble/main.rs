//! The ensemble service against a chat completions service that is scripted. Assertions are on
//! counts, orderings and ratios within one run: no absolute time is expected to hold.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;

mod answers;
mod breaker;
mod caches;
mod connections;
mod monitoring;
mod redis;
mod settings;
mod streams;
mod switches;
mod upstream;

use mock_server::{Behaviour, Ensemble, UpstreamSettings};
use serde_json::{Value, json};

use common::Server;
use upstream::Upstream;

/// A question that snapshots are made of.
const QUESTION: &str = "What are the best AI models?";

/// The service in front of an upstream.
async fn serve(behaviour: Ensemble, upstream: &Upstream) -> Server {
    let endpoint = Some(upstream.url.clone());
    let upstream = UpstreamSettings { endpoint, ..behaviour.upstream.clone() };
    Server::of(Behaviour::Ensemble(Ensemble { upstream, ..behaviour })).await
}

/// Asks, and returns the answer.
async fn ask(server: &Server, question: &str) -> Value {
    let response = server.post("/api/time-travel", &json!({ "question": question })).await;
    assert_eq!(response.status(), 200);
    response.json().await.unwrap()
}

/// What a GET of `path` answers.
async fn get(server: &Server, path: &str) -> Value {
    let response = server.get(path).await;
    assert_eq!(response.status(), 200);
    response.json().await.unwrap()
}

/// The date labels of the snapshots in an answer.
fn labels(answer: &Value) -> Vec<&str> {
    let snapshots = answer["snapshots"].as_array().unwrap();
    snapshots.iter().map(|snapshot| snapshot["date_label"].as_str().unwrap()).collect()
}

/// One part of an answer's breakdown, milliseconds.
fn part(answer: &Value, name: &str) -> f64 {
    answer["performance_breakdown"][name].as_f64().unwrap()
}
