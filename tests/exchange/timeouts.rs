//! A timeout covers every phase, and says which one it was.

use std::time::Duration;

use gander::http::HttpOptions;
use gander::measure::sample::Outcome;
use tokio::net::{TcpSocket, TcpStream};

use super::scripted::{Client, OK, Peer, serve, settle, whole};

const SHORT: Duration = Duration::from_millis(150);

async fn expect_timeout(client: &mut Client, phase: &str) {
    client.timeout = SHORT;
    let exchange = client.exchange().await;
    let failure = exchange.failure.as_ref().unwrap();
    assert_eq!(failure.outcome, Outcome::Timeout, "{failure:?}");
    assert_eq!(failure.message, format!("timed out after 150ms while {phase}"));
    assert!(exchange.done.since(exchange.started) >= SHORT, "{exchange:?}");
}

#[tokio::test]
async fn waiting_and_reading() {
    for (reply, phase) in [
        ("", "waiting for the first byte"),
        ("H", "reading the response"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no", "reading the response"),
    ] {
        let server = serve(move |number, mut peer: Peer| async move {
            if number > 0 {
                return peer.behave().await;
            }
            peer.request().await;
            peer.send(reply).await;
            peer.hold().await;
        })
        .await;
        let mut client = server.client();
        expect_timeout(&mut client, phase).await;
        client.timeout = Duration::from_secs(20);
        whole(&client.exchange().await, 200, "ok");
        assert_eq!(server.counts.connections(), 2);
    }
}

#[tokio::test]
async fn a_slow_body_does_not_extend_it() {
    let server = serve(|_, mut peer: Peer| async move {
        peer.request().await;
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await;
        loop {
            peer.send("x").await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    expect_timeout(&mut server.client(), "reading the response").await;
}

#[tokio::test]
async fn nor_does_one_that_never_pauses() {
    let server = serve(|_, mut peer: Peer| async move {
        peer.request().await;
        peer.send("HTTP/1.1 200 OK\r\n\r\n").await;
        let piece = vec![b'x'; 1024 * 1024];
        while peer.counts.connections() == 1 {
            peer.send(&piece).await;
        }
    })
    .await;
    let options = HttpOptions { max_body: u64::MAX, ..HttpOptions::default() };
    let mut client = Client::new(&format!("http://{}", server.address), options);
    expect_timeout(&mut client, "reading the response").await;
    server.counts.connections.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
}

#[tokio::test]
async fn sending() {
    let server = serve(|_, peer: Peer| async move {
        let _open = peer;
        std::future::pending().await
    })
    .await;
    let mut client = server.client();
    client.body = vec![b'x'; 20 * 1024 * 1024];
    expect_timeout(&mut client, "sending the request").await;
}

#[tokio::test]
async fn connecting() {
    // A full queue of connections that nobody accepts: the kernel lets further ones wait.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(SHORT, TcpStream::connect(address)).await {
        queued.push(stream);
    }
    let mut client = Client::new(&format!("http://{address}"), HttpOptions::default());
    expect_timeout(&mut client, "connecting").await;
}

#[tokio::test]
async fn each_exchange_has_its_own() {
    // The timer is shared by the exchanges of a connection: longer, shorter and longer again.
    let server = serve(|_, mut peer: Peer| async move {
        let mut number = 0;
        while peer.request().await.is_some() {
            number += 1;
            if number == 3 {
                tokio::time::sleep(SHORT * 6).await;
            }
            peer.send(OK).await;
        }
    })
    .await;
    let mut client = server.client();
    for timeout in [Duration::from_secs(20), SHORT * 4, Duration::from_secs(20)] {
        client.timeout = timeout;
        whole(&client.exchange().await, 200, "ok");
    }
    settle().await;
    assert_eq!(server.counts.connections(), 1);
    let silent = serve(|_, peer: Peer| peer.hold()).await;
    let mut client = silent.client();
    expect_timeout(&mut client, "waiting for the first byte").await;
    expect_timeout(&mut client, "waiting for the first byte").await;
}
