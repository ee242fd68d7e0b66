//! A chat completions service that does as it is told, and counts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What kind of prompt a call has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Snapshot,
    KeyChanges,
    Narrative,
}

/// How long calls take, and which of them fail.
#[derive(Clone)]
pub struct Script {
    pub latency: fn(Kind) -> Duration,
    /// The status of a call with this kind and prompt; 200 gets an answer.
    pub status: fn(Kind, &str) -> u16,
}

impl Default for Script {
    fn default() -> Self {
        Script { latency: |_| Duration::ZERO, status: |_, _| 200 }
    }
}

/// Times in the proportions of the real ones: 20, 5 and 5 of some unit.
pub fn proportional(kind: Kind) -> Duration {
    match kind {
        Kind::Snapshot => Duration::from_millis(80),
        Kind::KeyChanges | Kind::Narrative => Duration::from_millis(20),
    }
}

/// One call as it arrived.
#[derive(Debug, Clone)]
pub struct Call {
    pub kind: Kind,
    pub body: Value,
}

impl Call {
    pub fn model(&self) -> &str {
        self.body["model"].as_str().unwrap()
    }

    pub fn prompt(&self) -> &str {
        self.body["messages"][0]["content"].as_str().unwrap()
    }
}

#[derive(Default)]
struct Books {
    script: Script,
    calls: Vec<Call>,
    in_flight: BTreeMap<Kind, usize>,
    peak: BTreeMap<Kind, usize>,
    /// Over all kinds.
    peak_together: usize,
    sockets: usize,
}

/// A running service. Dropping it stops it.
pub struct Upstream {
    pub url: String,
    books: Arc<Mutex<Books>>,
    task: JoinHandle<()>,
}

impl Upstream {
    pub async fn start(script: Script) -> Upstream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let books = Arc::new(Mutex::new(Books { script, ..Books::default() }));
        let app =
            Router::new().route("/v1/chat/completions", post(chat)).with_state(Arc::clone(&books));
        let counting = Counting { listener, books: Arc::clone(&books) };
        let task = tokio::spawn(async move { axum::serve(counting, app).await.unwrap() });
        Upstream { url, books, task }
    }

    pub fn follow(&self, script: Script) {
        self.books.lock().unwrap().script = script;
    }

    /// All calls so far, in the order of their arrival.
    pub fn calls(&self) -> Vec<Call> {
        self.books.lock().unwrap().calls.clone()
    }

    /// Calls of a kind that were in flight together.
    pub fn peak(&self, kind: Kind) -> usize {
        self.books.lock().unwrap().peak.get(&kind).copied().unwrap_or_default()
    }

    /// Calls of any kind that were in flight together.
    pub fn peak_together(&self) -> usize {
        self.books.lock().unwrap().peak_together
    }

    /// Connections accepted.
    pub fn sockets(&self) -> usize {
        self.books.lock().unwrap().sockets
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A listener that counts what it accepts.
struct Counting {
    listener: TcpListener,
    books: Arc<Mutex<Books>>,
}

impl axum::serve::Listener for Counting {
    type Io = TcpStream;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (TcpStream, std::net::SocketAddr) {
        let accepted = axum::serve::Listener::accept(&mut self.listener).await;
        self.books.lock().unwrap().sockets += 1;
        accepted
    }

    fn local_addr(&self) -> std::io::Result<std::net::SocketAddr> {
        self.listener.local_addr()
    }
}

async fn chat(State(books): State<Arc<Mutex<Books>>>, Json(body): Json<Value>) -> Response {
    let prompt = body["messages"][0]["content"].as_str().unwrap().to_owned();
    let kind = match prompt.split(' ').next().unwrap() {
        "Snapshot" => Kind::Snapshot,
        "Key" => Kind::KeyChanges,
        "Evolution" => Kind::Narrative,
        other => panic!("a prompt that begins with {other:?}"),
    };
    let model = body["model"].clone();
    let script = books.lock().unwrap().begin(Call { kind, body });
    let _in_flight = InFlight { books, kind };
    tokio::time::sleep((script.latency)(kind)).await;
    match (script.status)(kind, &prompt) {
        200 => Json(json!({
            "model": model,
            "choices": [{
                "index": 0,
                "finish_reason": "stop",
                "message": { "role": "assistant", "content": content(kind, &prompt) },
            }],
            "usage": { "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150 },
        }))
        .into_response(),
        status => {
            let error = json!({ "error": { "code": "scripted", "message": "as scripted" } });
            (StatusCode::from_u16(status).unwrap(), Json(error)).into_response()
        }
    }
}

impl Books {
    fn begin(&mut self, call: Call) -> Script {
        let now = self.in_flight.entry(call.kind).or_default();
        *now += 1;
        let peak = self.peak.entry(call.kind).or_default();
        *peak = (*peak).max(*now);
        self.peak_together = self.peak_together.max(self.in_flight.values().sum());
        self.calls.push(call);
        self.script.clone()
    }
}

/// A call in flight, until it is dropped: answered, or left by its client.
struct InFlight {
    books: Arc<Mutex<Books>>,
    kind: Kind,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        *self.books.lock().unwrap().in_flight.get_mut(&self.kind).unwrap() -= 1;
    }
}

fn content(kind: Kind, prompt: &str) -> String {
    match kind {
        // Longer than what the batched extraction is shown of it.
        Kind::Snapshot => {
            let label = prompt.split('(').next().unwrap().replace("Snapshot as of ", "");
            format!("In {label} there were 175 billion. {}", "More. ".repeat(200))
        }
        Kind::KeyChanges => {
            let headings = prompt.lines().filter(|line| line.starts_with("Transition "));
            let sections: Vec<String> = headings
                .map(|heading| format!("{heading}\n- first of {heading}\n- second"))
                .collect();
            match sections.is_empty() {
                true => "- bigger\n- cheaper".to_owned(),
                false => sections.join("\n"),
            }
        }
        Kind::Narrative => json!({
            "narrative": "It grew.",
            "insights": ["one", "two"],
            "change_velocity": "rapid",
            "future_outlook": "It grows on.",
        })
        .to_string(),
    }
}
