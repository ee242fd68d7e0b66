//! A service on a free loopback port, in this process, and a client that is not ours.
#![allow(dead_code, reason = "every test file uses a part of it")]

use std::io;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::Request;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use mock_server::latency::{Distribution, Latency};
use mock_server::ledger::Snapshot;
use mock_server::{Behaviour, Engine, Inference};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// After this long a test fails instead of waiting on. Nothing is measured by it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running service. Dropping it stops it.
pub struct Server {
    pub url: String,
    pub client: Client,
    shutdown: CancellationToken,
    task: JoinHandle<io::Result<Snapshot>>,
}

impl Server {
    pub async fn start(inference: Inference) -> Server {
        Server::of(Behaviour::Inference(inference)).await
    }

    /// Starts any service.
    pub async fn of(behaviour: Behaviour) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound listener"));
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(mock_server::run(listener, shutdown.clone(), behaviour));
        Server { url, client: client(), shutdown, task }
    }

    pub async fn get(&self, path: &str) -> Response {
        self.client.get(format!("{}{path}", self.url)).send().await.expect("an answer")
    }

    pub async fn post(&self, path: &str, body: &Value) -> Response {
        self.client.post(format!("{}{path}", self.url)).json(body).send().await.expect("an answer")
    }

    pub async fn ledger(&self) -> Snapshot {
        let (status, body) = self.connect().await.send("GET", "/control/ledger", None).await;
        assert_eq!(status, 200);
        serde_json::from_slice(&body).expect("a ledger")
    }

    pub async fn reset(&self) {
        let (status, _) = self.connect().await.send("POST", "/control/reset", None).await;
        assert_eq!(status, 204);
    }

    /// Reads the ledger until `condition` holds.
    pub async fn until(&self, condition: impl Fn(&Snapshot) -> bool) -> Snapshot {
        let met = async {
            loop {
                let ledger = self.ledger().await;
                if condition(&ledger) {
                    return ledger;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, met).await.expect("the ledger gets there")
    }

    pub async fn connect(&self) -> Connection {
        Connection::open(&self.url).await
    }

    /// Sends a prediction from a client of its own and goes away once it is in the service.
    pub async fn send_and_leave(&self) {
        let before = self.ledger().await.requests;
        let url = format!("{}/predict", self.url);
        let client = tokio::spawn(client().post(url).json(&json!({ "text": "good" })).send());
        self.until(|ledger| ledger.requests.accepted > before.accepted).await;
        client.abort();
        self.until(|ledger| ledger.requests.abandoned > before.abandoned).await;
    }

    /// Begins the shutdown.
    pub fn shut_down(&self) {
        self.shutdown.cancel();
    }

    /// Shuts down and returns the ledger at the end.
    pub async fn stop(mut self) -> Snapshot {
        self.shut_down();
        let ended = tokio::time::timeout(PATIENCE, &mut self.task).await;
        ended.expect("an end").expect("no panic").expect("a clean end")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// A client with exactly one connection, which a pooled client does not promise.
pub struct Connection {
    requests: SendRequest<String>,
}

impl Connection {
    pub async fn open(url: &str) -> Connection {
        let address = url.strip_prefix("http://").expect("a plain URL");
        let stream = TcpStream::connect(address).await.expect("a connection");
        let (requests, connection) =
            http1::handshake(TokioIo::new(stream)).await.expect("an HTTP/1.1 connection");
        tokio::spawn(connection);
        Connection { requests }
    }

    /// Sends a request and returns status and body of the answer.
    pub async fn send(&mut self, method: &str, path: &str, json: Option<&Value>) -> (u16, Vec<u8>) {
        self.requests.ready().await.expect("an open connection");
        let mut request = Request::builder().method(method).uri(path).header("host", "x");
        if json.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = json.map_or_else(String::new, Value::to_string);
        let request = request.body(body).expect("a request");
        let response = self.requests.send_request(request).await.expect("an answer");
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.expect("a whole body");
        (status, body.to_bytes().to_vec())
    }
}

/// A pooled client with connections of its own.
pub fn client() -> Client {
    Client::builder().no_proxy().build().expect("a client")
}

/// The service without any service time.
pub fn instant() -> Inference {
    Inference { latency: Latency::ZERO, ..Inference::default() }
}

/// The service with a fixed time a request.
pub fn taking(engine: Engine, base_ms: u64) -> Inference {
    let base = Distribution::Fixed(Duration::from_millis(base_ms));
    Inference { engine, latency: Latency::of(base), ..Inference::default() }
}

pub fn workers(count: usize) -> Engine {
    Engine::Threaded { workers: count.try_into().expect("at least one worker") }
}

/// The identities that hold in every ledger at every moment.
pub fn assert_balanced(ledger: &Snapshot) {
    let all = ledger.requests;
    assert_eq!(all.accepted, all.answered + all.broken + all.abandoned + all.in_flight);
    let mut accepted = 0;
    for (name, route) in &ledger.routes {
        let r = route.requests;
        let ended = r.answered + r.broken + r.abandoned;
        assert_eq!(r.accepted, ended + r.in_flight, "{name}");
        assert_eq!(r.answered, route.statuses.values().map(|f| f.count).sum::<u64>(), "{name}");
        accepted += r.accepted;
    }
    assert_eq!(accepted, all.accepted);
    assert!(ledger.peak_in_flight >= all.in_flight);
    assert!(ledger.sockets.accepted >= ledger.sockets.open);
}
