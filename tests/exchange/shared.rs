//! Connections that all users share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gander::clock::Clock;
use gander::http::{Exchange, ExchangeOptions, HttpOptions, HttpTarget, Pool, Request, Wanted};
use gander::measure::sample::Outcome;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method};

use super::scripted::{OK, Peer, Server, serve, settle, whole};

const PAUSE: Duration = Duration::from_millis(50);

fn pool(server: &Server, shared: Option<u32>) -> Arc<Pool> {
    let url = format!("http://{}", server.address).parse().unwrap();
    let target = HttpTarget::new(&url, HttpOptions { shared, ..HttpOptions::default() }).unwrap();
    Arc::new(Pool::new(Arc::new(target), Clock::start()))
}

async fn get(pool: &Pool, timeout: Duration) -> Exchange {
    let request = Request {
        method: &Method::GET,
        path: &PathAndQuery::from_static("/"),
        headers: &HeaderMap::new(),
        body: &[],
    };
    pool.exchange(request, ExchangeOptions { timeout, wanted: Wanted::Whole }).await
}

const LONG: Duration = Duration::from_secs(20);

/// Answers after [`PAUSE`], and counts how many do so at a time.
async fn slow() -> (Server, Arc<AtomicUsize>) {
    let most = Arc::new(AtomicUsize::new(0));
    let now = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&most);
    let server = serve(move |_, mut peer: Peer| {
        let (most, now) = (Arc::clone(&seen), Arc::clone(&now));
        async move {
            while peer.request().await.is_some() {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(PAUSE).await;
                now.fetch_sub(1, Ordering::SeqCst);
                peer.send(OK).await;
            }
        }
    })
    .await;
    (server, most)
}

#[tokio::test]
async fn users_wait_for_a_free_one_in_the_order_of_coming_and_that_is_not_service_time() {
    let (server, most) = slow().await;
    let shared = pool(&server, Some(2));
    // One pool for all, whatever the number of users.
    let users: Vec<_> = (0..10).map(|_| shared.for_user()).collect();
    let exchanges = futures_util::future::join_all(users.iter().map(|pool| get(pool, LONG))).await;
    exchanges.iter().for_each(|exchange| whole(exchange, 200, "ok"));
    assert_eq!((server.counts.connections(), server.counts.requests()), (2, 10));
    assert_eq!(most.load(Ordering::SeqCst), 2);
    assert!(exchanges.is_sorted_by_key(|exchange| exchange.sent), "{exchanges:?}");
    for last in &exchanges[8..] {
        assert!(last.sent.since(last.started) >= 3 * PAUSE, "{last:?}");
        assert!(last.done.since(last.sent) < last.sent.since(last.started), "{last:?}");
    }
}

#[tokio::test]
async fn each_user_has_its_own_unless_told() {
    let (server, most) = slow().await;
    let own = pool(&server, None);
    let users: Vec<_> = (0..4).map(|_| own.for_user()).collect();
    futures_util::future::join_all(users.iter().map(|pool| get(pool, LONG))).await;
    futures_util::future::join_all(users.iter().map(|pool| get(pool, LONG))).await;
    assert_eq!((server.counts.connections(), most.load(Ordering::SeqCst)), (4, 4));
}

#[tokio::test]
async fn a_wait_that_is_given_up_loses_nothing() {
    let (server, _) = slow().await;
    let shared = pool(&server, Some(1));
    let first = get(&shared, LONG);
    let cancelled = async {
        tokio::select! {
            _ = async { settle().await; get(&shared, LONG).await } => panic!("it must wait"),
            () = tokio::time::sleep(PAUSE * 3 / 5) => {}
        }
    };
    let late = async {
        settle().await;
        get(&shared, PAUSE / 5).await
    };
    let (first, (), late) = tokio::join!(first, cancelled, late);
    whole(&first, 200, "ok");
    let failure = late.failure.unwrap();
    assert_eq!(failure.outcome, Outcome::Timeout);
    assert!(failure.message.contains("waiting for one of the shared connections"), "{failure:?}");
    whole(&get(&shared, LONG).await, 200, "ok");
    assert_eq!((server.counts.connections(), server.counts.requests()), (1, 2));
}

#[tokio::test]
async fn a_connection_that_is_lost_leaves_its_place() {
    let server = serve(|number, mut peer: Peer| async move {
        peer.request().await;
        match number {
            0 => peer.reset(),
            1 => peer.hold().await,
            _ => {
                peer.send(OK).await;
                peer.behave().await;
            }
        }
    })
    .await;
    let shared = pool(&server, Some(1));
    assert_eq!(get(&shared, LONG).await.failure.unwrap().outcome, Outcome::Reset);
    // Cancelled while it is under way.
    assert!(tokio::time::timeout(PAUSE, get(&shared, LONG)).await.is_err());
    for _ in 0..2 {
        whole(&get(&shared, LONG).await, 200, "ok");
    }
    assert_eq!(server.counts.connections(), 3);
}
