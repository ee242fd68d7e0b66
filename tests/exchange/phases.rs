//! Times and byte counts are those of the wire.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::scripted::{OK, Peer, serve, settle, whole};

#[tokio::test]
async fn first_byte_is_the_first_byte() {
    // One byte, a pause, then the rest: the end of the headers comes after the pause.
    let pause: Arc<Mutex<Option<Duration>>> = Arc::default();
    let seen = pause.clone();
    let server = serve(move |_, mut peer: Peer| {
        let seen = seen.clone();
        async move {
            while peer.request().await.is_some() {
                peer.send(&OK[..1]).await;
                let begun = Instant::now();
                tokio::time::sleep(Duration::from_millis(300)).await;
                peer.send(&OK[1..]).await;
                *seen.lock().unwrap() = Some(begun.elapsed());
            }
        }
    })
    .await;
    let mut client = server.client();
    for _ in 0..2 {
        let exchange = client.exchange().await;
        whole(&exchange, 200, "ok");
        settle().await;
        let pause = pause.lock().unwrap().take().unwrap();
        let first_byte = exchange.first_byte.unwrap();
        let ratio = exchange.done.since(first_byte).as_secs_f64() / pause.as_secs_f64();
        assert!((0.5..1.5).contains(&ratio), "{ratio}: {exchange:?}");
        assert!(first_byte.since(exchange.sent) < pause / 2, "{exchange:?}");
    }
}

#[tokio::test]
async fn done_is_the_last_byte_of_the_body() {
    for reply in [
        ["HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nok", "ok"],
        ["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nokok\r\n", "0\r\n\r\n"],
    ] {
        let server = serve(move |_, mut peer: Peer| async move {
            peer.request().await;
            peer.send(reply[0]).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
            peer.send(reply[1]).await;
            peer.hold().await;
        })
        .await;
        let exchange = server.client().exchange().await;
        whole(&exchange, 200, "okok");
        let (first_byte, done) = (exchange.first_byte.unwrap(), exchange.done);
        assert!(done.since(first_byte) > first_byte.since(exchange.sent), "{exchange:?}");
    }
}

#[tokio::test]
async fn only_the_exchange_that_connects_has_a_connect_time() {
    let server = serve(|_, peer: Peer| peer.behave()).await;
    let mut client = server.client();
    let first = client.exchange().await;
    let connect = first.connect.unwrap();
    assert!(connect <= first.sent.since(first.started), "{first:?}");
    assert_eq!(first.tls, None);
    let second = client.exchange().await;
    assert_eq!((second.connect, second.tls, second.sent), (None, None, second.started));
    assert!(second.started >= first.done);
}

#[tokio::test]
async fn bytes_are_those_that_the_service_read_and_wrote() {
    let server = serve(|_, mut peer: Peer| async move {
        let mut size = 1;
        while peer.request().await.is_some() {
            size *= 100;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n");
            peer.send("HTTP/1.1 100 Continue\r\n\r\n").await;
            peer.send(&head).await;
            peer.send(vec![b'x'; size]).await;
        }
    })
    .await;
    let mut client = server.client();
    let counts = server.counts.clone();
    for (size, body) in [(100, 0), (10_000, 100_000), (1_000_000, 3_000_000)] {
        let before = (counts.read.load(Ordering::SeqCst), counts.written.load(Ordering::SeqCst));
        client.body = vec![b'y'; body];
        let exchange = client.exchange().await;
        assert_eq!(exchange.failure, None);
        assert_eq!(exchange.body.len(), size);
        settle().await;
        let read = counts.read.load(Ordering::SeqCst) - before.0;
        let written = counts.written.load(Ordering::SeqCst) - before.1;
        assert_eq!(exchange.bytes.sent, read as u64);
        assert_eq!(exchange.bytes.received, written as u64);
    }
}

#[tokio::test]
async fn a_failed_exchange_counts_what_was_read() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345";
    let server = serve(move |_, mut peer: Peer| async move {
        peer.request().await;
        peer.send(cut).await;
    })
    .await;
    let exchange = server.client().exchange().await;
    assert_eq!(exchange.bytes.received, cut.len() as u64);
    assert_eq!(exchange.bytes.sent, server.counts.read.load(Ordering::SeqCst) as u64);
    assert_eq!((exchange.status, &exchange.body[..]), (Some(200), &b"12345"[..]));
}
