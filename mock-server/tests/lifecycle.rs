//! A shutdown ends the service: idle connections at once, requests in flight after their answer.

mod common;

use std::time::{Duration, Instant};

use common::{Server, assert_balanced, client, instant, taking, workers};
use hyper::{Request, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn address(server: &Server) -> &str {
    server.url.strip_prefix("http://").expect("a URL")
}

#[tokio::test]
async fn idle_connections_do_not_hold_a_shutdown_up() {
    let server = Server::start(instant()).await;
    let address = address(&server).to_owned();
    let mut idle = TcpStream::connect(&address).await.unwrap();
    idle.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut head = [0; 12];
    idle.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    let mut fresh = TcpStream::connect(&address).await.unwrap();
    server.until(|ledger| ledger.sockets.open == 2).await;

    let started = Instant::now();
    let ledger = server.stop().await;
    assert!(started.elapsed() < Duration::from_secs(4), "not by the end of the drain");
    assert_balanced(&ledger);
    assert_eq!((ledger.sockets.accepted, ledger.sockets.open), (2, 0));
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    assert_eq!(fresh.read_to_end(&mut rest).await.unwrap(), 0);
    assert!(TcpStream::connect(&address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn requests_in_flight_are_answered() {
    let server = Server::start(taking(workers(2), 300)).await;
    let mut answers = Vec::new();
    for _ in 0..2 {
        let url = format!("{}/predict", server.url);
        let request = client().post(url).json(&json!({ "text": "good" }));
        answers.push(tokio::spawn(request.send()));
    }
    server.until(|ledger| ledger.requests.in_flight == 2).await;
    let ledger = server.stop().await;
    for answer in answers {
        assert_eq!(answer.await.unwrap().unwrap().status(), 200);
    }
    assert_balanced(&ledger);
    assert_eq!((ledger.requests.answered, ledger.requests.in_flight), (2, 0));
}

#[tokio::test]
async fn what_takes_too_long_is_cut_off() {
    let server = Server::start(taking(workers(1), 600_000)).await;
    let url = format!("{}/predict", server.url);
    let stuck = tokio::spawn(client().post(url).json(&json!({ "text": "good" })).send());
    server.until(|ledger| ledger.requests.in_flight == 1).await;
    let ledger = server.stop().await;
    assert!(stuck.await.unwrap().is_err());
    assert_balanced(&ledger);
    assert_eq!((ledger.requests.abandoned, ledger.requests.in_flight), (1, 0));
    assert_eq!(ledger.sockets.open, 0);
}

#[tokio::test]
async fn half_a_request_is_abandoned() {
    let server = Server::start(instant()).await;
    let mut stream = TcpStream::connect(address(&server)).await.unwrap();
    stream
        .write_all(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{\"text\"")
        .await
        .unwrap();
    server.until(|ledger| ledger.requests.in_flight == 1).await;
    drop(stream);
    let ledger = server.until(|ledger| ledger.requests.in_flight == 0).await;
    assert_balanced(&ledger);
    assert_eq!((ledger.requests.abandoned, ledger.requests.answered), (1, 0));
}

#[tokio::test]
async fn http2_is_spoken_too() {
    let server = Server::start(instant()).await;
    let stream = TokioIo::new(TcpStream::connect(address(&server)).await.unwrap());
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    for _ in 0..3 {
        let request = Request::get(format!("{}/health", server.url));
        let response = client.send_request(request.body(String::new()).unwrap()).await.unwrap();
        assert_eq!((response.version(), response.status().as_u16()), (Version::HTTP_2, 200));
    }
    let ledger = server.ledger().await;
    assert_eq!((ledger.requests.answered, ledger.sockets.accepted), (3, 1));
}
