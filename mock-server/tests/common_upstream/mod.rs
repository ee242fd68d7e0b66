//! A small chat completions service with a script, for what the tests of the multi-query service need
//! of the service behind it: counts, the most calls in flight, sockets, faults by number.
#![allow(dead_code, reason = "every test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test helper fails its test")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use mock_server::draws::Draws;
use mock_server::faults::{Faults, Kind, Rule};
use mock_server::latency::{Distribution, Latency};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use tokio::task::JoinHandle;

/// What the service does.
pub struct Script {
    pub seed: u64,
    pub latency: Latency,
    pub faults: Faults,
    /// So many calls are answered together, each when the last of them is there.
    pub together: Option<usize>,
    /// What the model writes about a prompt.
    pub reply: fn(&str) -> String,
    pub finish_reason: &'static str,
    pub retry_after_ms: Option<u64>,
}

impl Default for Script {
    fn default() -> Self {
        Script {
            seed: 42,
            latency: Latency::ZERO,
            faults: Faults::default(),
            together: None,
            reply: |prompt| json!({ "score": 3, "rationale": prompt }).to_string(),
            finish_reason: "stop",
            retry_after_ms: None,
        }
    }
}

pub fn fixed(ms: u64) -> Latency {
    Latency::of(Distribution::Fixed(Duration::from_millis(ms)))
}

pub fn faults(rules: impl IntoIterator<Item = Rule>) -> Faults {
    Faults::new(rules.into_iter().collect()).unwrap()
}

/// The running service. Dropped, it ends.
pub struct Upstream {
    pub url: String,
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    calls: AtomicU64,
    in_flight: AtomicU64,
    peak: AtomicU64,
    accepted: AtomicU64,
    open: AtomicU64,
    statuses: Mutex<BTreeMap<u16, u64>>,
    bodies: Mutex<Vec<Value>>,
    headers: Mutex<HeaderMap>,
}

struct App {
    script: Script,
    barrier: Option<Barrier>,
    seen: Arc<Seen>,
}

/// Counts one more as long as it lives.
struct Guard<F: Fn(&Seen) -> &AtomicU64>(Arc<Seen>, F);

impl<F: Fn(&Seen) -> &AtomicU64> Drop for Guard<F> {
    fn drop(&mut self) {
        (self.1)(&self.0).fetch_sub(1, Ordering::SeqCst);
    }
}

impl Upstream {
    pub async fn start(script: Script) -> Upstream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Seen::default());
        let barrier = script.together.map(Barrier::new);
        let app = Arc::new(App { script, barrier, seen: Arc::clone(&seen) });
        let router = Router::new()
            .route("/v1/chat/completions", post(chat))
            .route("/openai/deployments/{deployment}/chat/completions", post(chat))
            .with_state(app);
        let task = tokio::spawn(serve(listener, router, Arc::clone(&seen)));
        Upstream { url, seen, task }
    }

    pub fn calls(&self) -> u64 {
        self.seen.calls.load(Ordering::SeqCst)
    }

    pub fn in_flight(&self) -> u64 {
        self.seen.in_flight.load(Ordering::SeqCst)
    }

    pub fn peak(&self) -> u64 {
        self.seen.peak.load(Ordering::SeqCst)
    }

    /// Connections accepted, and open now.
    pub fn sockets(&self) -> (u64, u64) {
        (self.seen.accepted.load(Ordering::SeqCst), self.seen.open.load(Ordering::SeqCst))
    }

    pub fn statuses(&self) -> BTreeMap<u16, u64> {
        self.seen.statuses.lock().unwrap().clone()
    }

    /// Bodies of all requests, in the order of their arrival.
    pub fn bodies(&self) -> Vec<Value> {
        self.seen.bodies.lock().unwrap().clone()
    }

    /// Headers of the last request.
    pub fn headers(&self) -> HeaderMap {
        self.seen.headers.lock().unwrap().clone()
    }

    /// Waits until `condition` holds.
    pub async fn until(&self, condition: impl Fn(&Upstream) -> bool) {
        let met = async {
            while !condition(self) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), met).await.expect("it gets there");
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, router: Router, seen: Arc<Seen>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        seen.accepted.fetch_add(1, Ordering::SeqCst);
        seen.open.fetch_add(1, Ordering::SeqCst);
        let open = Guard(Arc::clone(&seen), |seen| &seen.open);
        let service = TowerToHyperService::new(router.clone());
        connections.spawn(async move {
            let _open = open;
            let server = auto::Builder::new(TokioExecutor::new());
            // How a connection ends is the client's business.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn chat(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let seen = &app.seen;
    let number = seen.calls.fetch_add(1, Ordering::SeqCst);
    let now = seen.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
    seen.peak.fetch_max(now, Ordering::SeqCst);
    let _in_flight = Guard(Arc::clone(seen), |seen| &seen.in_flight);
    let messages = body["messages"].as_array().cloned().unwrap_or_default();
    let prompt = messages.last().unwrap()["content"].as_str().unwrap().to_owned();
    let model = body["model"].clone();
    seen.bodies.lock().unwrap().push(body);
    *seen.headers.lock().unwrap() = headers;

    let draws = Draws::new(app.script.seed, number);
    let time = app.script.latency.draw(draws, 1);
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
    if let Some(barrier) = &app.barrier {
        barrier.wait().await;
    }
    let fault = app.script.faults.decide(draws, "", Duration::ZERO).map(|rule| rule.kind);
    let status = match fault {
        Some(Kind::Status(status)) => status,
        Some(other) => unreachable!("the script knows statuses only, not {other}"),
        None => 200,
    };
    *seen.statuses.lock().unwrap().entry(status).or_default() += 1;
    if status != 200 {
        let error = json!({ "error": { "code": "scripted", "message": "as told" } });
        let mut response = (StatusCode::from_u16(status).unwrap(), Json(error)).into_response();
        if let Some(ms) = app.script.retry_after_ms {
            response.headers_mut().insert("retry-after-ms", ms.into());
        }
        return response;
    }
    let content = (app.script.reply)(&prompt);
    Json(json!({
        "id": format!("chatcmpl-{number}"),
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{
            "index": 0,
            "finish_reason": app.script.finish_reason,
            "message": { "role": "assistant", "content": content },
        }],
        "usage": { "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15 },
    }))
    .into_response()
}
