//! A multi-query service with a scripted upstream, and rows for it.
#![allow(dead_code, reason = "every test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test helper fails its test")]

use mock_server::{Behaviour, MultiQuery};
use serde_json::{Value, json};

use crate::common::Server;
use crate::common_upstream::{Script, Upstream};

pub struct Service {
    pub server: Server,
    pub upstream: Upstream,
}

impl Service {
    /// The service with these settings, in front of an upstream with this script.
    pub async fn start(script: Script, mut settings: MultiQuery) -> Service {
        let upstream = Upstream::start(script).await;
        settings.upstream.endpoint = Some(upstream.url.clone());
        let server = Server::of(Behaviour::MultiQuery(settings)).await;
        Service { server, upstream }
    }

    /// The answer to a batch.
    pub async fn send(&self, state_id: &str, rows: &[Value]) -> Value {
        self.post(&json!({ "state_id": state_id, "rows": rows })).await
    }

    pub async fn post(&self, body: &Value) -> Value {
        let response = self.server.post("/rows", body).await;
        assert_eq!(response.status(), 200);
        response.json().await.unwrap()
    }

    pub async fn stats(&self) -> Value {
        self.server.get("/stats").await.json().await.unwrap()
    }
}

/// A row for the default case studies.
pub fn row(number: usize) -> Value {
    let background = format!("patient {number}");
    json!({ "id": number, "cs1_bg": background, "cs2_bg": background })
}

pub fn rows(count: usize) -> Vec<Value> {
    (0..count).map(row).collect()
}

/// How many rows of an answer failed.
pub fn failed(answer: &Value) -> usize {
    answer["rows"].as_array().unwrap().iter().filter(|row| row.get("_error").is_some()).count()
}

/// Asserts that every row has all its outputs (4 queries with 6 each, and 3 fields) or an error and
/// none, and that an error counts right.
pub fn assert_whole(answer: &Value) {
    for row in answer["rows"].as_array().unwrap() {
        let fields = row.as_object().unwrap().len();
        match row.get("_error") {
            None => assert_eq!(fields, 3 + 4 * 6, "{row}"),
            Some(error) => {
                assert_eq!(fields, 3 + 1, "{row}");
                let failed = error["failed_queries"].as_array().unwrap().len() as u64;
                assert!(failed > 0);
                assert_eq!(error["succeeded_count"].as_u64().unwrap() + failed, 4);
            }
        }
    }
}

/// The time of a batch as the service measured it, milliseconds.
pub fn elapsed(answer: &Value) -> f64 {
    answer["stats"]["elapsed_ms"].as_f64().unwrap()
}
