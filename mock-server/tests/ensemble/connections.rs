//! S1-7: connections to the service behind, with and without a pool.

use std::time::Duration;

use mock_server::{Ensemble, Pooling};
use serde_json::json;

use super::common::Server;
use super::upstream::{Script, Upstream};
use super::{QUESTION, ask, serve};

/// 40 calls, one after another: five requests of eight.
async fn forty_calls(server: &Server, upstream: &Upstream) {
    let before = upstream.calls().len();
    for _ in 0..5 {
        ask(server, QUESTION).await;
    }
    assert_eq!(upstream.calls().len() - before, 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_sequential_calls_share_one_connection_or_have_forty() {
    // A minute at a hundredth: no pause between two calls is that long.
    let pool = Pooling { expiry: Duration::from_secs(6_000), ..Pooling::default() };
    for (pooling, sockets) in [(Some(pool), 1), (None, 40)] {
        let upstream = Upstream::start(Script::default()).await;
        let server = serve(Ensemble { pooling, ..Ensemble::original() }, &upstream).await;
        forty_calls(&server, &upstream).await;
        assert_eq!(upstream.sockets(), sockets);
        assert_eq!(server.stop().await.upstream.clients, sockets as u64);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_was_idle_past_its_expiry_is_not_used_again() {
    let upstream = Upstream::start(Script::default()).await;
    // 200 s at a hundredth: no pause between two calls of one request is 2 s long.
    let pooling = Some(Pooling { expiry: Duration::from_secs(200), ..Pooling::default() });
    let server = serve(Ensemble { pooling, ..Ensemble::original() }, &upstream).await;
    ask(&server, QUESTION).await;
    assert_eq!(upstream.sockets(), 1);
    tokio::time::sleep(Duration::from_secs(3)).await;
    ask(&server, QUESTION).await;
    assert_eq!(upstream.sockets(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_connections_are_used_than_the_pool_has() {
    let latency = |_| Duration::from_millis(30);
    let upstream = Upstream::start(Script { latency, ..Script::default() }).await;
    let pooling = Some(Pooling { connections: 3, ..Pooling::default() });
    let server = serve(Ensemble { pooling, semaphore: 0, ..Ensemble::default() }, &upstream).await;
    let body = json!({ "question": QUESTION });
    let asked = [(); 3].map(|()| server.post("/api/time-travel", &body));
    for response in futures_util::future::join_all(asked).await {
        assert_eq!(response.status(), 200);
    }
    assert_eq!((upstream.calls().len(), upstream.peak_together()), (18, 3));
    assert!(upstream.sockets() <= 3 + 1, "{}", upstream.sockets());
}
