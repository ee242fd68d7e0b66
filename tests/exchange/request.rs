//! What is written to the wire, and what a target may be.

use gander::error::Exit;
use gander::http::{HttpOptions, HttpTarget};
use http::Method;
use tokio::sync::mpsc;

use super::scripted::{Client, OK, Peer, serve, whole};

/// A client with base path `base`, and the requests that its server reads.
async fn recorded(base: &str) -> (Client, mpsc::UnboundedReceiver<String>) {
    let (sender, requests) = mpsc::unbounded_channel();
    let server = serve(move |_, mut peer: Peer| {
        let sender = sender.clone();
        async move {
            while let Some(request) = peer.request().await {
                sender.send(request).unwrap();
                peer.send(OK).await;
            }
        }
    })
    .await;
    (Client::new(&format!("http://{}{base}", server.address), HttpOptions::default()), requests)
}

#[tokio::test]
async fn the_bytes_of_a_request() {
    let (mut client, mut requests) = recorded("/base/v1/").await;
    client.path = "/predict?a=b%20c".parse().unwrap();
    whole(&client.exchange().await, 200, "ok");
    let authority = requests.recv().await.unwrap();
    let host = authority.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        authority,
        format!(
            "GET /base/v1/predict?a=b%20c HTTP/1.1\r\nhost: {host}\r\n\
             user-agent: gander/{version}\r\n\r\n"
        )
    );
    assert!(host.starts_with("127.0.0.1:"));

    client.method = Method::POST;
    client.body = b"{}".to_vec();
    for (name, value) in [
        ("host", "elsewhere"),
        ("user-agent", "someone"),
        ("x-list", "1"),
        ("content-length", "999"),
        ("transfer-encoding", "chunked"),
    ] {
        client.headers.insert(name, value.parse().unwrap());
    }
    client.headers.append("x-list", "2".parse().unwrap());
    whole(&client.exchange().await, 200, "ok");
    assert_eq!(
        requests.recv().await.unwrap(),
        "POST /base/v1/predict?a=b%20c HTTP/1.1\r\nhost: elsewhere\r\nuser-agent: someone\r\n\
         x-list: 1\r\nx-list: 2\r\ncontent-length: 2\r\n\r\n{}"
    );
}

#[tokio::test]
async fn content_length_is_sent_where_a_body_is_expected() {
    let (mut client, mut requests) = recorded("").await;
    for (method, expected) in
        [(Method::GET, false), (Method::DELETE, false), (Method::POST, true), (Method::PUT, true)]
    {
        client.method = method.clone();
        whole(&client.exchange().await, 200, "ok");
        let request = requests.recv().await.unwrap();
        assert_eq!(request.contains("content-length: 0"), expected, "{method}");
    }
}

#[tokio::test]
async fn bodies_of_any_size_arrive_whole() {
    let (mut client, mut requests) = recorded("").await;
    client.method = Method::POST;
    for size in [0, 1, 4095, 4096, 4097, 100_000, 5_000_000] {
        client.body = (0..size).map(|i| b'a' + (i % 26) as u8).collect();
        whole(&client.exchange().await, 200, "ok");
        let request = requests.recv().await.unwrap();
        let (_, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(body.as_bytes() == client.body, "{size}");
    }
}

#[test]
fn targets_that_are_refused() {
    for (url, message) in [
        ("ftp://127.0.0.1/", "the scheme is not http or https"),
        ("unix:/run/socket", "the scheme is not http or https"),
        ("http://user:secret@127.0.0.1/", "credentials"),
        ("http://user@127.0.0.1/", "credentials"),
        ("http://:secret@127.0.0.1/", "credentials"),
        ("http://127.0.0.1/?key=secret", "no query"),
        ("http://127.0.0.1/#part", "no fragment"),
    ] {
        let error = HttpTarget::new(&url.parse().unwrap(), HttpOptions::default()).unwrap_err();
        assert_eq!(error.exit(), Exit::BadInput, "{url}");
        let text = error.to_string();
        assert!(text.contains(message), "{url}: {text}");
        assert!(!text.contains("secret"), "{url}: {text}");
    }
}

#[test]
fn a_target_is_named_by_host_and_port() {
    for (url, authority) in [
        ("http://Localhost", "localhost:80"),
        ("http://127.0.0.1:8000/v1", "127.0.0.1:8000"),
        ("http://[::1]:8000", "[::1]:8000"),
    ] {
        let target = HttpTarget::new(&url.parse().unwrap(), HttpOptions::default()).unwrap();
        assert_eq!(target.authority(), authority);
    }
}
