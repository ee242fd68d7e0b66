//! Each way in which a response can fail to come has its own class, and none leaves a connection
//! that the next exchange would use.

use std::time::Duration;

use gander::http::HttpOptions;
use gander::measure::sample::Outcome;

use super::scripted::{Client, Peer, serve, settle, whole};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Then {
    Close,
    Reset,
    Hold,
}

/// After one request, the server sends `bytes` and then does `then`. Expects `outcome`, with
/// `message` in its text, and that the next exchange succeeds on a new connection.
async fn expect(bytes: impl AsRef<[u8]>, then: Then, outcome: Outcome, message: &str) {
    let reply = bytes.as_ref().to_vec();
    let server = serve(move |number, mut peer: Peer| {
        let reply = reply.clone();
        async move {
            if number > 0 {
                return peer.behave().await;
            }
            peer.request().await;
            peer.send(&reply).await;
            match then {
                Then::Close => {}
                Then::Reset => {
                    // A reset overtakes data that has not been read yet.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    peer.reset();
                }
                Then::Hold => peer.hold().await,
            }
        }
    })
    .await;
    let mut client = server.client();
    let what = String::from_utf8_lossy(bytes.as_ref()).chars().take(80).collect::<String>();
    let exchange = client.exchange().await;
    let failure = exchange.failure.unwrap_or_else(|| panic!("{what:?} {then:?}: no failure"));
    assert_eq!(failure.outcome, outcome, "{what:?} {then:?}: {failure:?}");
    assert!(failure.message.contains(message), "{what:?} {then:?}: {failure:?}");
    assert_eq!(server.counts.requests(), 1, "{what:?} {then:?}: sent again");
    whole(&client.exchange().await, 200, "ok");
    assert_eq!(server.counts.connections(), 2, "{what:?} {then:?}");
}

#[tokio::test]
async fn nothing_came() {
    expect("", Then::Close, Outcome::Reset, "closed before a response began").await;
    expect("", Then::Reset, Outcome::Reset, "reset before a response began").await;
}

#[tokio::test]
async fn cut_short() {
    for (bytes, message) in [
        ("H", "1 bytes of the response head"),
        ("HTTP/1.1 20", "11 bytes of the response head"),
        ("HTTP/1.1 200 OK\r\ncontent-le", "of the response head"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n", "of the response head"),
        ("HTTP/1.1 100 Continue\r\n\r\n", "of the response head"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n", "0 of 10 body bytes"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345", "5 of 10 body bytes"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "0 body bytes"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab", "2 body bytes"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n", "last chunk"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n", "last chunk"),
    ] {
        expect(bytes, Then::Close, Outcome::Incomplete, message).await;
        expect(bytes, Then::Reset, Outcome::Incomplete, message).await;
    }
    let until_close = "HTTP/1.1 200 OK\r\n\r\n12345";
    expect(until_close, Then::Reset, Outcome::Incomplete, "5 body bytes").await;
}

#[tokio::test]
async fn not_http() {
    for (bytes, message) in [
        ("SSH-2.0-OpenSSH_9.6\r\n", "begins with \"SSH-2.0-OpenSSH_9.6\\r\\n\""),
        ("HTTP/2 200\r\n\r\n", "not an HTTP/1.1 response"),
        ("HTTP/1.1 abc OK\r\n\r\n", "not an HTTP/1.1 response"),
        ("HTTP/1.1 200 OK\r\nbad header: x\r\n\r\n", "bad response header"),
        ("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "bad response header"),
        ("HTTP/1.1 200 OK\r\nx: a\u{1}b\r\n\r\n", "bad response header"),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", "101"),
        ("\u{15}\u{3}\u{1}\0\u{2}\u{2}F", "https://"),
        ("\0\0\u{6}\u{4}\0\0\0\0\0", "HTTP/2 only"),
    ] {
        expect(bytes, Then::Hold, Outcome::Malformed, message).await;
        expect(bytes, Then::Close, Outcome::Malformed, message).await;
    }
}

#[tokio::test]
async fn head_without_end() {
    let line = format!("x: {}\r\n", "y".repeat(1000));
    let long = format!("HTTP/1.1 200 OK\r\n{}", line.repeat(70));
    expect(&long, Then::Hold, Outcome::Malformed, "more than 65536 bytes").await;
    let one_line = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(70_000));
    expect(&one_line, Then::Hold, Outcome::Malformed, "more than 65536 bytes").await;
    let many = format!("HTTP/1.1 200 OK\r\n{}", "x: y\r\n".repeat(129));
    expect(&many, Then::Hold, Outcome::Malformed, "more than 128 headers").await;
}

#[tokio::test]
async fn contradictory_framing() {
    let head = |lines: &str| format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n");
    for (lines, message) in [
        ("content-length: 2\r\ncontent-length: 3", "given twice"),
        ("content-length: 2, 3", "given twice"),
        ("content-length: two", "not a number"),
        ("content-length: +2", "not a number"),
        ("content-length: -2", "not a number"),
        ("content-length:", "not a number"),
        ("content-length: 99999999999999999999", "not a number"),
        ("content-length: 2\r\ntransfer-encoding: chunked", "both"),
    ] {
        expect(head(lines), Then::Hold, Outcome::Malformed, message).await;
    }
    let old = "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    expect(old, Then::Hold, Outcome::Malformed, "HTTP/1.0").await;
}

#[tokio::test]
async fn broken_chunks() {
    let chunked =
        |body: &str| format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{body}");
    for (body, message) in [
        ("zz\r\n", "'z' in a chunk size"),
        ("\r\n", "'\\r' in a chunk size"),
        ("-1\r\n", "'-' in a chunk size"),
        ("2\nab", "'\\n' in a chunk size"),
        ("2\r\nabc\r\n", "'c' in the end of a chunk"),
        ("2\r\nab\rc", "'c' in the end of a chunk"),
        ("10000000000000000\r\n", "64 bits"),
        ("0\r\na\nb\r\n\r\n", "'\\n' in the trailers"),
    ] {
        expect(chunked(body), Then::Hold, Outcome::Malformed, message).await;
    }
    let extension = chunked(&format!("2;{}", "x".repeat(5000)));
    expect(extension, Then::Hold, Outcome::Malformed, "chunk extensions longer").await;
    let trailers = chunked(&format!("0\r\n{}", "x: y\r\n".repeat(10_000)));
    expect(trailers, Then::Hold, Outcome::Malformed, "trailers longer").await;
}

#[tokio::test]
async fn more_than_the_response() {
    for bytes in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokay",
        "HTTP/1.1 204 No Content\r\n\r\nbody",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nmore",
    ] {
        expect(bytes, Then::Hold, Outcome::Malformed, "after the end of the response").await;
    }
}

#[tokio::test]
async fn over_the_limit() {
    for reply in [
        "HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\n123456\r\n5\r\n78901\r\n",
        "HTTP/1.1 200 OK\r\n\r\n12345678901",
    ] {
        let server = serve(move |_, mut peer: Peer| async move {
            peer.request().await;
            peer.send(reply).await;
            peer.hold().await;
        })
        .await;
        let options = HttpOptions { max_body: 10, ..HttpOptions::default() };
        let mut client = Client::new(&format!("http://{}", server.address), options);
        let failure = client.exchange().await.failure.unwrap();
        assert_eq!(failure.outcome, Outcome::Malformed, "{reply:?}: {failure:?}");
        assert!(failure.message.contains("over the limit of 10 bytes"), "{failure:?}");
    }
}

#[tokio::test]
async fn at_the_limit() {
    let server = serve(|_, peer: Peer| peer.behave()).await;
    let options = HttpOptions { max_body: 2, ..HttpOptions::default() };
    let mut client = Client::new(&format!("http://{}", server.address), options);
    whole(&client.exchange().await, 200, "ok");
}

#[tokio::test]
async fn refused() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut client = Client::new(&format!("http://{address}"), HttpOptions::default());
    let exchange = client.exchange().await;
    let failure = exchange.failure.unwrap();
    assert_eq!(failure.outcome, Outcome::Connect);
    assert_eq!(
        failure.message,
        format!("cannot connect to {address}: connection refused; is the service running there?")
    );
    assert_eq!((exchange.connect, exchange.sent), (None, exchange.started));
}

#[tokio::test]
async fn name_not_resolved() {
    let mut client = Client::new("http://no-such-host.invalid", HttpOptions::default());
    let failure = client.exchange().await.failure.unwrap();
    assert_eq!(failure.outcome, Outcome::Connect, "{failure:?}");
    assert!(failure.message.contains("cannot resolve no-such-host.invalid"), "{failure:?}");
}

#[tokio::test]
async fn answered_before_the_request_was_read() {
    // As services do that refuse a large upload: answer, and read no more. Closing with the
    // request unread resets the connection, and breaks the client's writing.
    for (close, pause) in [(true, 0), (true, 100), (false, 0)] {
        let server = serve(move |number, mut peer: Peer| async move {
            if number > 0 {
                return peer.behave().await;
            }
            settle().await;
            peer.send("HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno").await;
            if !close {
                std::future::pending::<()>().await;
            } else if pause > 0 {
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        })
        .await;
        let mut client = server.client();
        client.body = vec![b'x'; 20 * 1024 * 1024];
        let exchange = client.exchange().await;
        whole(&exchange, 413, "no");
        assert!(exchange.bytes.sent < client.body.len() as u64);
        client.body.clear();
        whole(&client.exchange().await, 200, "ok");
    }
}

#[tokio::test]
async fn same_length_twice_is_no_contradiction() {
    let server = serve(|_, mut peer: Peer| async move {
        peer.request().await;
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2, 2\r\n\r\nok").await;
        peer.behave().await;
    })
    .await;
    let mut client = server.client();
    whole(&client.exchange().await, 200, "ok");
    settle().await;
    whole(&client.exchange().await, 200, "ok");
    assert_eq!(server.counts.connections(), 1);
}
