//! HTTP/2: against a real server, and against peers that script single frames.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use gander::clock::Clock;
use gander::http::{
    Connection, Exchange, ExchangeOptions, HttpOptions, HttpTarget, HttpVersion, Pool, Request,
    Wanted,
};
use gander::measure::sample::Outcome;
use h2::server::{Connection as Server, SendResponse};
use h2::{Reason, RecvStream};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;

use super::scripted::{Client, serve, settle, whole};

pub fn http2() -> HttpOptions {
    HttpOptions { version: HttpVersion::Http2, ..HttpOptions::default() }
}

/// Serves each connection by `script`, given its number from 0; says how many there were.
async fn peer<F, Fut>(script: F) -> (String, Arc<AtomicUsize>)
where
    F: Fn(usize, Server<TcpStream, Bytes>) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    peer_with(h2::server::Builder::new(), script).await
}

async fn peer_with<F, Fut>(builder: h2::server::Builder, script: F) -> (String, Arc<AtomicUsize>)
where
    F: Fn(usize, Server<TcpStream, Bytes>) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let number = counted.fetch_add(1, Ordering::SeqCst);
            let connection = builder.handshake(socket).await.unwrap();
            tokio::spawn(script(number, connection));
        }
    });
    (url, count)
}

type Asked = (http::Request<RecvStream>, SendResponse<Bytes>);

/// The next request.
async fn next(connection: &mut Server<TcpStream, Bytes>) -> Option<Asked> {
    connection.accept().await.and_then(Result::ok)
}

fn answer(respond: &mut SendResponse<Bytes>, body: &'static str) {
    let mut stream = respond.send_response(Response::new(()), false).unwrap();
    stream.send_data(Bytes::from_static(body.as_bytes()), true).unwrap();
}

/// Answers every request in full.
async fn behave(mut connection: Server<TcpStream, Bytes>) {
    while let Some((_, mut respond)) = next(&mut connection).await {
        answer(&mut respond, "ok");
    }
}

/// Writes what is pending, until the client closes.
async fn drain(mut connection: Server<TcpStream, Bytes>) {
    while connection.accept().await.is_some() {}
}

/// A real server, as services use it: HTTP/1.1 or HTTP/2, as the client begins.
async fn real<F, Fut>(handle: F) -> (String, Arc<AtomicUsize>)
where
    F: Fn(http::Request<Incoming>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Response<Body>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            let handle = handle.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let response = handle(request);
                    async move { Ok::<_, Infallible>(response.await) }
                });
                let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                // A client that goes away is no failure of the test.
                let _ = builder.serve_connection(TokioIo::new(socket), service).await;
            });
        }
    });
    (url, count)
}

type Body = http_body_util::combinators::BoxBody<Bytes, Infallible>;

/// A body of `pieces`, each of them a frame, with a pause after each.
fn pieces(pieces: Vec<Bytes>, pause: Duration) -> Body {
    let stream = futures_util::stream::unfold(pieces.into_iter(), move |mut left| async move {
        let piece = left.next()?;
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        Some((Ok(Frame::data(piece)), left))
    });
    // The stream is used by one task only; a mutex makes it shareable.
    BodyExt::boxed(StreamBody::new(sync_wrapper(stream)))
}

/// A stream that may be shared, because nobody shares it.
fn sync_wrapper<S: futures_util::Stream + Send>(
    stream: S,
) -> impl futures_util::Stream<Item = S::Item> + Send + Sync {
    let stream = std::sync::Mutex::new(Box::pin(stream));
    futures_util::stream::poll_fn(move |cx| stream.lock().unwrap().as_mut().poll_next(cx))
}

#[tokio::test]
async fn a_request_arrives_as_it_was_meant() {
    let (url, count) = real(|request| async move {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let headers: Vec<_> = head.headers.iter().collect();
        let text = format!("{} {} {headers:?} {}", head.method, head.uri, body.len());
        Response::new(pieces(vec![Bytes::from(text)], Duration::ZERO))
    })
    .await;
    let mut client = Client::new(&format!("{url}/base"), http2());
    client.method = Method::POST;
    client.path = PathAndQuery::from_static("/path?a=b");
    client.body = vec![7; 300_000];
    client.headers.insert("connection", "close".parse().unwrap());
    client.headers.insert("x-own", "1".parse().unwrap());
    let first = client.exchange().await;
    assert_eq!(first.failure, None);
    let text = String::from_utf8(first.body.to_vec()).unwrap();
    assert!(text.starts_with(&format!("POST {url}/base/path?a=b ")), "{text}");
    assert!(text.ends_with(" 300000"), "{text}");
    assert!(text.contains("\"x-own\": \"1\"") || text.contains("(\"x-own\", \"1\")"), "{text}");
    assert!(text.contains("gander/") && text.contains("content-length"), "{text}");
    assert!(!text.contains("close") && !text.contains("\"host\""), "{text}");
    assert_eq!(first.bytes.sent, 300_000);
    assert_eq!(first.bytes.received, first.body.len() as u64);
    assert!(first.connect.is_some() && first.tls.is_none());

    client.headers.insert("host", "other.example".parse().unwrap());
    let second = client.exchange().await;
    assert_eq!(second.connect, None);
    let text = String::from_utf8(second.body.to_vec()).unwrap();
    assert!(text.starts_with("POST http://other.example/base/path?a=b "), "{text}");
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_hundred_at_a_time_on_one_connection() {
    const MANY: usize = 100;
    // None is answered before all have come.
    let all = Arc::new(Barrier::new(MANY));
    let (url, count) = real(move |_| {
        let all = Arc::clone(&all);
        async move {
            all.wait().await;
            Response::new(pieces(vec![Bytes::from_static(b"ok")], Duration::ZERO))
        }
    })
    .await;
    let options = HttpOptions { shared: Some(1), ..http2() };
    let exchanges = at_once(&url, options, MANY).await;
    exchanges.iter().for_each(|exchange| whole(exchange, 200, "ok"));
    assert_eq!(exchanges.iter().filter(|exchange| exchange.connect.is_some()).count(), 1);
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

/// As many exchanges at the same time over one pool.
async fn at_once(url: &str, options: HttpOptions, count: usize) -> Vec<Exchange> {
    let pool = pool(url, options);
    futures_util::future::join_all((0..count).map(|_| get(&pool, "/", Wanted::Whole))).await
}

fn pool(url: &str, options: HttpOptions) -> Pool {
    let target = HttpTarget::new(&url.parse().unwrap(), options).unwrap();
    Pool::new(Arc::new(target), Clock::start())
}

async fn get(pool: &Pool, path: &'static str, wanted: Wanted) -> Exchange {
    let request = Request {
        method: &Method::GET,
        path: &PathAndQuery::from_static(path),
        headers: &HeaderMap::new(),
        body: &[],
    };
    pool.exchange(request, ExchangeOptions { timeout: Duration::from_secs(20), wanted }).await
}

#[tokio::test]
async fn streams_that_the_service_does_not_allow_wait_and_the_wait_is_not_service_time() {
    const PAUSE: Duration = Duration::from_millis(50);
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(2);
    let (url, count) = peer_with(builder, |_, mut connection| async move {
        while let Some((_, mut respond)) = next(&mut connection).await {
            tokio::spawn(async move {
                tokio::time::sleep(PAUSE).await;
                answer(&mut respond, "ok");
            });
        }
    })
    .await;
    let mut exchanges = at_once(&url, HttpOptions { shared: Some(1), ..http2() }, 10).await;
    exchanges.iter().for_each(|exchange| whole(exchange, 200, "ok"));
    assert_eq!(count.load(Ordering::SeqCst), 1);
    exchanges.sort_by_key(|exchange| exchange.sent);
    // Two at a time: the last pair has waited for four others before it was sent.
    for last in &exchanges[8..] {
        assert!(last.sent.since(last.started) >= 4 * PAUSE - PAUSE / 2, "{last:?}");
        assert!(last.done.since(last.sent) < last.sent.since(last.started), "{last:?}");
    }
    let mut ends: Vec<_> = exchanges.iter().map(|exchange| exchange.done).collect();
    ends.sort_unstable();
    for (later, end) in exchanges[2..].iter().zip(ends) {
        assert!(later.sent >= end, "more than two at a time: {exchanges:?}");
    }
}

#[tokio::test]
async fn a_stream_that_never_becomes_free_times_out_in_that_phase() {
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(1);
    let (url, _) = peer_with(builder, |_, mut connection| async move {
        let mut held = Vec::new();
        while let Some(asked) = next(&mut connection).await {
            held.push(asked);
        }
    })
    .await;
    let mut client = Client::new(&url, http2());
    client.timeout = Duration::from_millis(100);
    // Its own request only is cancelled, and with it the stream is free again.
    for _ in 0..2 {
        let failure = client.exchange().await.failure.unwrap();
        assert_eq!(failure.outcome, Outcome::Timeout);
        assert!(failure.message.contains("waiting for the first byte"), "{failure:?}");
    }
    let pool = pool(&url, HttpOptions { shared: Some(1), ..http2() });
    let request = Request {
        method: &Method::GET,
        path: &PathAndQuery::from_static("/"),
        headers: &HeaderMap::new(),
        body: &[],
    };
    let long = ExchangeOptions { timeout: Duration::from_secs(20), wanted: Wanted::Nothing };
    let short = ExchangeOptions { timeout: Duration::from_millis(200), ..long };
    let late = tokio::select! {
        _ = pool.exchange(request, long) => panic!("it is never answered"),
        late = async { settle().await; pool.exchange(request, short).await } => late,
    };
    let failure = late.failure.unwrap();
    assert_eq!(failure.outcome, Outcome::Timeout);
    assert!(failure.message.contains("waiting for a free stream"), "{failure:?}");
}

#[tokio::test]
async fn goaway_between_requests_costs_a_connection_and_no_error() {
    let (url, count) = peer(|_, mut connection| async move {
        let (_, mut respond) = next(&mut connection).await.unwrap();
        answer(&mut respond, "ok");
        connection.graceful_shutdown();
        drain(connection).await;
    })
    .await;
    let mut client = Client::new(&url, http2());
    for number in 1..=3 {
        let exchange = client.exchange().await;
        whole(&exchange, 200, "ok");
        assert!(exchange.connect.is_some());
        settle().await;
        assert_eq!(count.load(Ordering::SeqCst), number);
    }
}

#[tokio::test]
async fn a_connection_that_died_idle_is_opened_anew() {
    let (url, count) = peer(|_, mut connection| async move {
        let (_, mut respond) = next(&mut connection).await.unwrap();
        answer(&mut respond, "ok");
        // Writes the answer, and then closes without a word.
        let _ = tokio::time::timeout(Duration::from_millis(10), connection.accept()).await;
    })
    .await;
    let mut client = Client::new(&url, http2());
    for number in 1..=3 {
        whole(&client.exchange().await, 200, "ok");
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert_eq!(count.load(Ordering::SeqCst), number);
    }
}

#[tokio::test]
async fn a_stream_that_is_reset() {
    // What the service does on each connection, and what comes of it.
    for (head, reason, outcome, message) in [
        (false, Reason::INTERNAL_ERROR, Outcome::Reset, "INTERNAL_ERROR) before a response began"),
        (false, Reason::REFUSED_STREAM, Outcome::Reset, "the service refused the request"),
        (true, Reason::INTERNAL_ERROR, Outcome::Incomplete, "after 3 body bytes"),
        (true, Reason::CANCEL, Outcome::Incomplete, "RST_STREAM, CANCEL) after 3 body bytes"),
    ] {
        let (url, count) = peer(move |_, mut connection| async move {
            let (_, mut respond) = next(&mut connection).await.unwrap();
            tokio::spawn(async move {
                if head {
                    let mut stream = respond.send_response(Response::new(()), false).unwrap();
                    stream.send_data(Bytes::from_static(b"abc"), false).unwrap();
                    settle().await;
                    stream.send_reset(reason);
                } else {
                    respond.send_reset(reason);
                }
            });
            behave(connection).await;
        })
        .await;
        let mut client = Client::new(&url, http2());
        let exchange = client.exchange().await;
        let failure = exchange.failure.clone().unwrap();
        assert_eq!(failure.outcome, outcome, "{failure:?}");
        assert!(failure.message.contains(message), "{failure:?}");
        assert_eq!(exchange.first_byte.is_some(), head, "{exchange:?}");
        assert_eq!(exchange.body, if head { &b"abc"[..] } else { b"" });
        // The connection is as good as before.
        whole(&client.exchange().await, 200, "ok");
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn a_connection_that_ends_under_a_request() {
    for (goaway, head, outcome, message) in [
        // The service does not disown the request: it may have been acted on.
        (true, false, Outcome::Reset, "connection closed before a response began"),
        (false, false, Outcome::Reset, "connection closed before a response began"),
        (false, true, Outcome::Incomplete, "connection closed after 3 of 10 body bytes"),
    ] {
        let (url, count) = peer(move |number, mut connection| async move {
            if number > 0 {
                return behave(connection).await;
            }
            let (_, mut respond) = next(&mut connection).await.unwrap();
            let mut stream = None;
            if head {
                let mut response = Response::new(());
                response.headers_mut().insert("content-length", 10.into());
                let body = stream.insert(respond.send_response(response, false).unwrap());
                body.send_data(Bytes::from_static(b"abc"), false).unwrap();
            }
            if goaway {
                connection.abrupt_shutdown(Reason::INTERNAL_ERROR);
            }
            // Writes what is pending. The socket is closed with the connection.
            let _ = tokio::time::timeout(Duration::from_millis(20), connection.accept()).await;
            drop(connection);
        })
        .await;
        let mut client = Client::new(&url, http2());
        let failure = client.exchange().await.failure.unwrap();
        assert_eq!(failure.outcome, outcome, "{failure:?}");
        assert!(failure.message.contains(message), "{failure:?}");
        // Nothing was sent again.
        assert_eq!(count.load(Ordering::SeqCst), 1);
        whole(&client.exchange().await, 200, "ok");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_and_the_beginning_of_an_error() {
    let (url, count) = real(|request| async move {
        let body = pieces(vec![Bytes::from(vec![b'x'; 5000])], Duration::ZERO);
        let mut response = Response::new(body);
        if request.uri().path() == "/error" {
            *response.status_mut() = http::StatusCode::BAD_GATEWAY;
        }
        response
    })
    .await;
    let pool_of = |max_body| pool(&url, HttpOptions { max_body, shared: Some(1), ..http2() });
    let small = pool_of(4999);
    for _ in 0..3 {
        let failure = get(&small, "/", Wanted::Nothing).await.failure.unwrap();
        assert_eq!(failure.outcome, Outcome::Malformed);
        assert!(failure.message.contains("--max-body raises it"), "{failure:?}");
    }
    assert_eq!(count.load(Ordering::SeqCst), 1);
    let error = get(&pool_of(5000), "/error", Wanted::Nothing).await;
    assert_eq!((error.status, error.failure), (Some(502), None));
    assert_eq!((error.body.len(), error.bytes.received), (2048, 5000));
}

#[tokio::test]
async fn a_cancelled_stream_leaves_the_others() {
    let (url, count) = peer(|_, mut connection| async move {
        while let Some((request, mut respond)) = next(&mut connection).await {
            if request.uri().path() == "/never" {
                tokio::spawn(async move {
                    let reset = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
                    assert_eq!(reset.unwrap(), Reason::CANCEL);
                });
            } else {
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(60)).await;
                    answer(&mut respond, "ok");
                });
            }
        }
    })
    .await;
    let pool = pool(&url, HttpOptions { shared: Some(1), ..http2() });
    whole(&get(&pool, "/", Wanted::Whole).await, 200, "ok");
    let cancelled = async {
        tokio::select! {
            _ = get(&pool, "/never", Wanted::Nothing) => panic!("it is never answered"),
            () = settle() => {}
        }
    };
    let (other, ()) = tokio::join!(get(&pool, "/", Wanted::Whole), cancelled);
    whole(&other, 200, "ok");
    whole(&get(&pool, "/", Wanted::Whole).await, 200, "ok");
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn services_that_speak_something_else() {
    for (greeting, message) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"[..],
            "speaks HTTP/1.1 only; leave",
        ),
        (b"\x15\x03\x01\x00\x02\x02\x16", "the service speaks TLS: use https://"),
        (b"SSH-2.0-nothing\r\n", "does not speak HTTP/2; leave out --http2"),
    ] {
        let server = serve(move |_, mut peer| async move {
            let mut preface = [0; 1024];
            let _ = peer.socket.read(&mut preface).await;
            let _ = peer.socket.write_all(greeting).await;
            peer.hold().await;
        })
        .await;
        let url = format!("http://{}", server.address);
        let failure = Client::new(&url, http2()).exchange().await.failure.unwrap();
        assert_eq!(failure.outcome, Outcome::Connect, "{failure:?}");
        assert!(failure.message.contains(message), "{failure:?}");
        let target = HttpTarget::new(&url.parse().unwrap(), http2()).unwrap();
        let error = target.probe().await.unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    let (url, _) = peer(|_, connection| behave(connection)).await;
    HttpTarget::new(&url.parse().unwrap(), http2()).unwrap().probe().await.unwrap();
}

#[tokio::test]
async fn nobody_listens() {
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let exchanges =
        at_once(&format!("http://{address}"), HttpOptions { shared: Some(1), ..http2() }, 5).await;
    for exchange in exchanges {
        let failure = exchange.failure.unwrap();
        assert_eq!(failure.outcome, Outcome::Connect);
        assert!(failure.message.contains("is the service running there?"), "{failure:?}");
        assert_eq!(exchange.sent, exchange.started);
    }
}

/// What a service sends of `body`, cut at `cuts`, as the client's user gets it.
async fn read_as(version: HttpVersion, body: &[u8], cuts: &[usize], pause: Duration) -> Exchange {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut % (body.len() + 1)).collect();
    places.extend([0, body.len()]);
    places.sort_unstable();
    let parts: Vec<Bytes> =
        places.windows(2).map(|place| Bytes::copy_from_slice(&body[place[0]..place[1]])).collect();
    let parts: Vec<Bytes> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let (url, _) = real(move |_| {
        let parts = parts.clone();
        async move { Response::new(pieces(parts, pause)) }
    })
    .await;
    let pool = pool(&url, HttpOptions { version, ..HttpOptions::default() });
    get(&pool, "/", Wanted::Events).await
}

#[tokio::test]
async fn events_come_with_the_time_of_each() {
    const PAUSE: Duration = Duration::from_millis(30);
    const TRIES: usize = 10;
    let body = b"data: a\n\ndata: b\n\ndata: c\n\n";
    let mut seen = Vec::new();
    // A crowded machine may hand over two events in one read; never each time.
    for _ in 0..TRIES {
        let exchange = read_as(HttpVersion::Http2, body, &[9, 18], PAUSE).await;
        assert_eq!(exchange.failure, None);
        let events = exchange.events.unwrap();
        let (times, data): (Vec<_>, Vec<_>) = events.iter().unzip();
        assert_eq!(data, ["a", "b", "c"]);
        if times.windows(2).all(|pair| pair[1].since(pair[0]) >= PAUSE / 2) {
            return;
        }
        seen.push(times);
    }
    panic!("{seen:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn the_same_bytes_are_the_same_events_over_both(
        body in "(data: ?[a-zä]{0,5}\r?\n|id: 3\n|: c\n|\n|[a-z:]{0,3}){0,12}",
        cuts in proptest::collection::vec(0_usize..200, 0..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let [one, two] = [HttpVersion::Http1, HttpVersion::Http2].map(|version| {
            runtime.block_on(read_as(version, body.as_bytes(), &cuts, Duration::ZERO))
        });
        prop_assert_eq!(&one.failure, &None);
        prop_assert_eq!(&two.failure, &None);
        let data = |exchange: &Exchange| -> Vec<String> {
            exchange.events.iter().flat_map(|events| events.iter()).map(|(_, d)| d.to_owned()).collect()
        };
        prop_assert_eq!(data(&one), data(&two));
        prop_assert_eq!(two.bytes.received, body.len() as u64);
    }
}

#[tokio::test]
async fn the_connection_ends_with_its_last_user() {
    let (url, _) = peer(|_, connection| behave(connection)).await;
    let target = Arc::new(HttpTarget::new(&url.parse().unwrap(), http2()).unwrap());
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    {
        let mut connection = Connection::new(target, Clock::start());
        let request = Request {
            method: &Method::GET,
            path: &PathAndQuery::from_static("/"),
            headers: &HeaderMap::new(),
            body: &[],
        };
        let options = ExchangeOptions { timeout: Duration::from_secs(20), wanted: Wanted::Whole };
        whole(&connection.exchange(request, options).await, 200, "ok");
        assert!(tasks() > before);
    }
    let gone = async {
        while tasks() > before {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.expect("its task has ended");
}
