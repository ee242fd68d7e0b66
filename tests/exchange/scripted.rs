//! Scripted servers, and the client that meets them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gander::clock::Clock;
use gander::http::Wanted;
use gander::http::{
    Connection, Exchange, ExchangeOptions, HttpOptions, HttpTarget, HttpVersion, Request,
};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A small whole response.
pub const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// What happened at a server so far.
#[derive(Debug, Default)]
pub struct Counts {
    pub connections: AtomicUsize,
    pub requests: AtomicUsize,
    pub read: AtomicUsize,
    pub written: AtomicUsize,
}

impl Counts {
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// The server's end of a connection.
pub struct Peer {
    pub socket: TcpStream,
    pub counts: Arc<Counts>,
}

impl Peer {
    /// Reads one request with its body; `None` where the client has closed.
    pub async fn request(&mut self) -> Option<String> {
        let mut bytes = Vec::new();
        let mut piece = vec![0; 64 * 1024];
        loop {
            let count = self.socket.read(&mut piece).await.ok().filter(|&count| count > 0)?;
            self.counts.read.fetch_add(count, Ordering::SeqCst);
            bytes.extend_from_slice(&piece[..count]);
            let text = String::from_utf8_lossy(&bytes);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |digits| digits.parse().unwrap());
            if body.len() >= length {
                self.counts.requests.fetch_add(1, Ordering::SeqCst);
                return Some(text.into_owned());
            }
        }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // A client that has seen enough may be gone.
        if self.socket.write_all(bytes.as_ref()).await.is_ok() {
            self.counts.written.fetch_add(bytes.as_ref().len(), Ordering::SeqCst);
        }
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        self.socket.set_zero_linger().unwrap();
    }

    /// Holds the connection open until the client closes it.
    pub async fn hold(mut self) {
        while self.request().await.is_some() {}
    }

    /// Answers every request in full.
    pub async fn behave(mut self) {
        while self.request().await.is_some() {
            self.send(OK).await;
        }
    }
}

/// A server that runs `script` on each connection, given its number from 0.
pub async fn serve<F, Fut>(script: F) -> Server
where
    F: Fn(usize, Peer) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let counts = Arc::new(Counts::default());
    let shared = counts.clone();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            socket.set_nodelay(true).unwrap();
            let number = shared.connections.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(script(number, Peer { socket, counts: shared.clone() }));
        }
    });
    Server { address, counts }
}

pub struct Server {
    pub address: SocketAddr,
    pub counts: Arc<Counts>,
}

impl Server {
    pub fn client(&self) -> Client {
        Client::new(&format!("http://{}", self.address), HttpOptions::default())
    }
}

/// One user's connection, with defaults that tests override.
pub struct Client {
    /// Whether heads are counted among the bytes.
    http1: bool,
    pub connection: Connection,
    pub method: Method,
    pub path: PathAndQuery,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub timeout: Duration,
}

impl Client {
    pub fn new(url: &str, options: HttpOptions) -> Client {
        let http1 = options.version == HttpVersion::Http1;
        let target = Arc::new(HttpTarget::new(&url.parse().unwrap(), options).unwrap());
        Client {
            http1,
            connection: Connection::new(target, Clock::start()),
            method: Method::GET,
            path: PathAndQuery::from_static("/"),
            headers: HeaderMap::new(),
            body: Vec::new(),
            timeout: Duration::from_secs(20),
        }
    }

    pub async fn exchange(&mut self) -> Exchange {
        let request = Request {
            method: &self.method,
            path: &self.path,
            headers: &self.headers,
            body: &self.body,
        };
        let options = ExchangeOptions { timeout: self.timeout, wanted: Wanted::Whole };
        let exchange = self.connection.exchange(request, options).await;
        in_order(&exchange);
        if self.http1 {
            assert_eq!(exchange.first_byte.is_some(), exchange.bytes.received > 0, "{exchange:?}");
        }
        exchange
    }
}

/// What holds for every exchange.
fn in_order(exchange: &Exchange) {
    assert!(exchange.started <= exchange.sent, "{exchange:?}");
    assert!(exchange.sent <= exchange.done, "{exchange:?}");
    if let Some(first_byte) = exchange.first_byte {
        assert!(exchange.sent <= first_byte && first_byte <= exchange.done, "{exchange:?}");
    }
    assert!(exchange.failure.is_some() || exchange.status.is_some(), "{exchange:?}");
    if let Some(failure) = &exchange.failure {
        assert!(!failure.message.contains('\n'), "{failure:?}");
    }
}

/// Asserts a whole response with this status and body.
#[track_caller]
pub fn whole(exchange: &Exchange, status: u16, body: &str) {
    assert_eq!(exchange.failure, None);
    assert_eq!(exchange.status, Some(status));
    assert_eq!(exchange.body, body.as_bytes());
}

/// Lets the client's runtime see what has arrived at idle connections.
pub async fn settle() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}
