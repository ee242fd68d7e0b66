//! When a connection is used again, and when not.

use std::sync::Arc;

use gander::measure::sample::Outcome;
use http::Method;
use tokio::sync::{Notify, mpsc};

use super::scripted::{OK, Peer, serve, settle, whole};

/// Two exchanges against a server that gives `reply` to each request and keeps its end open.
/// Returns how many connections they took.
async fn connections_for_two(method: Method, reply: &'static str, body: &str) -> usize {
    let server = serve(move |_, mut peer: Peer| async move {
        while peer.request().await.is_some() {
            peer.send(reply).await;
        }
    })
    .await;
    let mut client = server.client();
    client.method = method;
    for number in 0..2 {
        let exchange = client.exchange().await;
        assert_eq!(exchange.failure, None, "{reply:?}");
        assert_eq!(exchange.body, body.as_bytes(), "{reply:?}");
        let opened = exchange.connect.is_some();
        assert_eq!(opened, number < server.counts.connections(), "{reply:?}");
    }
    server.counts.connections()
}

#[tokio::test]
async fn as_the_response_says() {
    for (reply, connections) in [
        (OK, 1),
        ("HTTP/1.1 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok", 1),
        ("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", 2),
        ("HTTP/1.1 200 OK\r\nconnection: foo, Close\r\ncontent-length: 2\r\n\r\nok", 2),
        ("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", 2),
        ("HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\ncontent-length: 2\r\n\r\nok", 1),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 1),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1;a=b\r\no\r\n01\r\nk\r\n0\r\nx: y\r\n\r\n",
            1,
        ),
    ] {
        assert_eq!(connections_for_two(Method::GET, reply, "ok").await, connections, "{reply:?}");
    }
}

#[tokio::test]
async fn responses_without_a_body() {
    for (method, reply) in [
        (Method::HEAD, "HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n"),
        (Method::HEAD, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
        (Method::HEAD, "HTTP/1.1 200 OK\r\n\r\n"),
        (Method::GET, "HTTP/1.1 204 No Content\r\n\r\n"),
        (Method::GET, "HTTP/1.1 304 Not Modified\r\ncontent-length: 10\r\n\r\n"),
        (Method::GET, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
    ] {
        assert_eq!(connections_for_two(method, reply, "").await, 1, "{reply:?}");
    }
}

#[tokio::test]
async fn informational_responses_are_skipped() {
    let server = serve(|_, mut peer: Peer| async move {
        while peer.request().await.is_some() {
            for piece in
                ["HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Ear", "ly\r\nlink: a\r\n\r\n", OK]
            {
                peer.send(piece).await;
                settle().await;
            }
        }
    })
    .await;
    let mut client = server.client();
    for _ in 0..2 {
        let exchange = client.exchange().await;
        whole(&exchange, 200, "ok");
        assert!(!exchange.headers.contains_key("link"));
    }
    assert_eq!(server.counts.connections(), 1);
}

#[tokio::test]
async fn a_body_may_end_with_the_connection() {
    let server = serve(|_, mut peer: Peer| async move {
        peer.request().await;
        peer.send("HTTP/1.1 200 OK\r\n\r\nto the ").await;
        settle().await;
        peer.send("end").await;
    })
    .await;
    let mut client = server.client();
    for _ in 0..2 {
        whole(&client.exchange().await, 200, "to the end");
    }
    assert_eq!(server.counts.connections(), 2);
}

#[tokio::test]
async fn request_that_asks_to_close() {
    let server = serve(|_, peer: Peer| peer.behave()).await;
    let mut client = server.client();
    client.headers.insert("connection", "close".parse().unwrap());
    for _ in 0..2 {
        whole(&client.exchange().await, 200, "ok");
    }
    assert_eq!(server.counts.connections(), 2);
}

#[tokio::test]
async fn closed_by_the_user() {
    let server = serve(|_, peer: Peer| peer.behave()).await;
    let mut client = server.client();
    whole(&client.exchange().await, 200, "ok");
    client.connection.close();
    whole(&client.exchange().await, 200, "ok");
    assert_eq!(server.counts.connections(), 2);
}

#[tokio::test]
async fn idle_connection_closed_by_the_service() {
    for reset in [false, true] {
        let server = serve(move |_, mut peer: Peer| async move {
            peer.request().await;
            peer.send(OK).await;
            if reset {
                settle().await;
                peer.reset();
            }
        })
        .await;
        let mut client = server.client();
        for _ in 0..3 {
            whole(&client.exchange().await, 200, "ok");
            settle().await;
            settle().await;
        }
        assert_eq!((server.counts.connections(), server.counts.requests()), (3, 3));
    }
}

#[tokio::test]
async fn a_request_that_could_not_be_written_takes_a_new_connection() {
    let (sender, mut peers) = mpsc::unbounded_channel();
    let server = serve(move |number, mut peer: Peer| {
        let sender = sender.clone();
        async move {
            if number > 0 {
                return peer.behave().await;
            }
            peer.request().await;
            peer.send(OK).await;
            sender.send(peer).unwrap();
        }
    })
    .await;
    let mut client = server.client();
    whole(&client.exchange().await, 200, "ok");
    let peer = peers.recv().await.unwrap();
    // No await up to the write: the runtime cannot see the reset before.
    peer.reset();
    let exchange = client.exchange().await;
    whole(&exchange, 200, "ok");
    assert!(exchange.connect.is_some() && exchange.sent > exchange.started);
    assert_eq!((server.counts.connections(), server.counts.requests()), (2, 2));
}

#[tokio::test]
async fn unasked_bytes_on_an_idle_connection_are_no_response() {
    let server = serve(|_, mut peer: Peer| async move {
        peer.request().await;
        peer.send(OK).await;
        settle().await;
        peer.send("HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n").await;
        peer.hold().await;
    })
    .await;
    let mut client = server.client();
    for _ in 0..2 {
        whole(&client.exchange().await, 200, "ok");
        settle().await;
        settle().await;
    }
    assert_eq!(server.counts.connections(), 2);
}

#[tokio::test]
async fn what_was_sent_is_not_sent_again() {
    // The second request on a connection is read, and answered by closing.
    let server = serve(|_, mut peer: Peer| async move {
        peer.request().await;
        peer.send(OK).await;
        peer.request().await;
    })
    .await;
    let mut client = server.client();
    whole(&client.exchange().await, 200, "ok");
    let failure = client.exchange().await.failure.unwrap();
    assert_eq!(failure.outcome, Outcome::Reset, "{failure:?}");
    assert_eq!((server.counts.connections(), server.counts.requests()), (1, 2));
}

#[tokio::test]
async fn a_dropped_exchange_takes_its_connection_with_it() {
    let begun = Arc::new(Notify::new());
    let signal = begun.clone();
    let server = serve(move |number, mut peer: Peer| {
        let signal = signal.clone();
        async move {
            if number > 0 {
                return peer.behave().await;
            }
            peer.request().await;
            peer.send("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nold").await;
            signal.notify_one();
            settle().await;
            peer.send(" one").await;
            peer.hold().await;
        }
    })
    .await;
    let mut client = server.client();
    tokio::select! {
        exchange = client.exchange() => panic!("was to be dropped: {exchange:?}"),
        () = begun.notified() => {}
    }
    settle().await;
    for _ in 0..2 {
        whole(&client.exchange().await, 200, "ok");
    }
    assert_eq!(server.counts.connections(), 2);
}

#[test]
fn exchanges_can_run_on_any_thread() {
    fn assert_send<T: Send>(_: T) {}
    let mut client =
        super::scripted::Client::new("http://127.0.0.1:1", gander::http::HttpOptions::default());
    assert_send(client.exchange());
}
