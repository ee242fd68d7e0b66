//! A machine that runs out of file descriptors is not a failing service. On its own, because the
//! limit holds for the whole process.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use gander::clock::Clock;
use gander::http::Wanted;
use gander::http::{Connection, ExchangeOptions, HttpOptions, HttpTarget, Request};
use gander::measure::sample::Outcome;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method};
use rustix::process::{Resource, getrlimit, setrlimit};

#[tokio::test]
async fn no_file_descriptor_left() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let target = Arc::new(HttpTarget::new(&url, HttpOptions::default()).unwrap());
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(64);
    setrlimit(Resource::Nofile, limit).unwrap();
    let mut open = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        open.push(file);
    }

    let mut connection = Connection::new(target.clone(), Clock::start());
    let request = Request {
        method: &Method::GET,
        path: &PathAndQuery::from_static("/"),
        headers: &HeaderMap::new(),
        body: &[],
    };
    let options = ExchangeOptions { timeout: Duration::from_secs(20), wanted: Wanted::Nothing };
    let failure = connection.exchange(request, options).await.failure.unwrap();
    assert_eq!(failure.outcome, Outcome::ClientResource, "{failure:?}");
    assert!(failure.message.contains("ulimit -n"), "{failure:?}");

    // With one descriptor free, the service is found again.
    open.pop();
    target.probe().await.unwrap();
}
