//! Nothing but loopback is loaded unasked, however the host is spelt.

use std::sync::atomic::Ordering;

use gander::error::Exit;
use gander::http::{HttpOptions, HttpTarget};
use gander::measure::sample::Outcome;

use super::scripted::{Client, Peer, serve, whole};

fn allowing(hosts: &[&str]) -> HttpOptions {
    HttpOptions {
        allow_hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
        ..HttpOptions::default()
    }
}

#[tokio::test]
async fn loopback_in_every_spelling() {
    let server = serve(|_, peer: Peer| peer.behave()).await;
    let port = server.address.port();
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "localhost",
        "LocalHost",
        "%31%32%37.0.0.1",
        "127.0.0.1.",
    ] {
        let mut client = Client::new(&format!("http://{host}:{port}"), HttpOptions::default());
        whole(&client.exchange().await, 200, "ok");
    }
}

#[tokio::test]
async fn others_are_refused_before_anything_is_sent() {
    let server = serve(|_, peer: Peer| peer.behave()).await;
    let port = server.address.port();
    // On this machine 0.0.0.0 and :: reach the server; 192.0.2.0/24 is kept for documentation.
    for host in [
        "0.0.0.0",
        "0",
        "[::]",
        "[::ffff:0.0.0.0]",
        "192.0.2.1",
        "3221225985",
        "0xc0.0.2.1",
        "[::ffff:192.0.2.1]",
        "[::ffff:c000:201]",
        "[2001:db8::1]",
        "[::127.0.0.1]",
        "169.254.169.254",
    ] {
        let url = format!("http://{host}:{port}");
        let mut client = Client::new(&url, HttpOptions::default());
        let failure = client.exchange().await.failure.unwrap();
        assert_eq!(failure.outcome, Outcome::Connect, "{host}: {failure:?}");
        assert!(
            failure.message.contains("is not a loopback address; add --allow-host"),
            "{failure:?}"
        );

        let target = HttpTarget::new(&url.parse().unwrap(), HttpOptions::default()).unwrap();
        let error = target.probe().await.unwrap_err();
        assert_eq!((error.exit(), error.to_string()), (Exit::BadInput, failure.message));
    }
    assert_eq!(server.counts.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn others_may_be_allowed_by_name_or_address() {
    let server = serve(|_, peer: Peer| peer.behave()).await;
    let url = format!("http://0.0.0.0:{}", server.address.port());
    let mut client = Client::new(&url, allowing(&["example.com", "0.0.0.0"]));
    whole(&client.exchange().await, 200, "ok");
    let mut client = Client::new(&url, allowing(&["0.0.0.1"]));
    assert!(client.exchange().await.failure.is_some());
}

#[test]
fn a_host_that_is_none_is_bad_input() {
    for entry in ["http://example.com", "example.com:80", "example.com/path", "", "a b"] {
        let url = "http://127.0.0.1".parse().unwrap();
        let error = HttpTarget::new(&url, allowing(&[entry])).unwrap_err();
        assert_eq!(error.exit(), Exit::BadInput, "{entry:?}");
        assert!(error.to_string().contains("--allow-host"), "{entry:?}: {error}");
    }
}

#[tokio::test]
async fn probe_says_at_once_whether_a_target_is_there() {
    let server = serve(|_, peer: Peer| peer.behave()).await;
    let url = format!("http://{}", server.address).parse().unwrap();
    HttpTarget::new(&url, HttpOptions::default()).unwrap().probe().await.unwrap();

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("http://{address}").parse().unwrap();
    let error = HttpTarget::new(&url, HttpOptions::default()).unwrap().probe().await.unwrap_err();
    assert_eq!(error.exit(), Exit::CannotRun);
    assert_eq!(
        error.to_string(),
        format!("cannot connect to {address}: connection refused; is the service running there?")
    );
}
