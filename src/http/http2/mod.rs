//! HTTP/2 (RFC 9113): a connection that carries many exchanges at a time.
//!
//! The protocol is the `h2` crate's, below hyper's client: so it is seen when a request really
//! leaves, and not only when it is queued behind the number of streams that the service allows.
//! A task of its own reads and writes each connection, for as long as anyone uses it.

mod exchange;
mod failure;
mod socket;

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use tokio::sync::Mutex;
use tokio::task::AbortHandle;

use super::connection::open;
use super::exchange::Exchange;
use super::failure::{Failure, Phase};
use super::head::MAX_HEAD;
use super::request::Request;
use super::stream::Stream;
use super::target::HttpTarget;
use crate::clock::Clock;
use exchange::Notes;
use socket::{Seen, Socket};

pub(super) use exchange::Received;

/// Bytes that a service may send ahead on one stream. Bodies are read as they come, so that it
/// takes a slow generator to hold a service back.
const STREAM_WINDOW: u32 = 2 * 1024 * 1024;
/// The same, for all streams of a connection together.
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;
/// Streams that were given up and whose late frames are still let pass.
const REMEMBERED_RESETS: usize = 1024;
/// For how long they are.
const REMEMBERED_FOR: Duration = Duration::from_secs(30);

/// A connection's place: opened when first needed, shared by all who use it, opened anew when it
/// is gone.
#[derive(Debug)]
pub(super) struct Wire {
    target: Arc<HttpTarget>,
    clock: Clock,
    /// Held while it is being opened: those who come meanwhile wait for the same connection.
    live: Mutex<Option<Live>>,
    under_way: AtomicUsize,
}

/// An open connection. It is closed when nobody holds it any more.
#[derive(Debug, Clone)]
pub(super) struct Live {
    requests: SendRequest<Bytes>,
    seen: Arc<Seen>,
    driver: Arc<Driver>,
}

/// The task that reads and writes a connection; ends with its last user.
#[derive(Debug)]
struct Driver(AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Counts an exchange as under way.
struct UnderWay<'a>(&'a AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Wire {
    /// A connection to `target`, not yet open.
    pub(super) fn new(target: Arc<HttpTarget>, clock: Clock) -> Wire {
        Wire { target, clock, live: Mutex::new(None), under_way: AtomicUsize::new(0) }
    }

    /// Exchanges that use it now.
    pub(super) fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }

    /// Sends `request` and reads the whole response.
    pub(super) async fn run(
        &self,
        request: &Request<'_>,
        received: &mut Received,
        exchange: &mut Exchange,
        phase: &mut Phase,
    ) -> Result<(), Failure> {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        let _counted = UnderWay(&self.under_way);
        loop {
            let (live, is_new) = self.live(exchange, phase).await?;
            let written = live.seen.written();
            let head = request.for_http2(self.target.prologue())?;
            let notes = Notes {
                received: &mut *received,
                exchange: &mut *exchange,
                phase: &mut *phase,
                clock: self.clock,
            };
            let Err(broken) = exchange::exchange(&live, head, request.body, notes).await else {
                return Ok(());
            };
            // The service closed the connection just before: nothing was sent, so a new
            // connection is no retry.
            let unsent = broken.cause.is_unprocessed() || live.seen.written() == written;
            if is_new || broken.was_sent || !unsent {
                return Err(failure::broken(&broken.cause, received.progress(), &live.seen));
            }
        }
    }

    /// The open connection, and whether this exchange has opened it.
    async fn live(
        &self,
        exchange: &mut Exchange,
        phase: &mut Phase,
    ) -> Result<(Live, bool), Failure> {
        *phase = Phase::Connecting;
        let mut slot = self.live.lock().await;
        if let Some(live) = slot.as_mut()
            && live.takes_requests().await
        {
            return Ok((live.clone(), false));
        }
        // Exchanges that the old one still carries keep it open.
        *slot = None;
        let stream = open(&self.target, exchange, phase, self.clock).await?;
        let live = Live::start(stream).await?;
        *slot = Some(live.clone());
        Ok((live, true))
    }
}

impl Live {
    /// Begins to speak HTTP/2 on `stream`.
    async fn start(stream: Stream) -> Result<Live, Failure> {
        let (requests, connection, seen) = begin(stream).await?;
        // What breaks the connection reaches each of its exchanges.
        let driver = tokio::spawn(async move { drop(connection.await) });
        Ok(Live { requests, seen, driver: Arc::new(Driver(driver.abort_handle())) })
    }

    async fn takes_requests(&mut self) -> bool {
        // No request waits behind this handle, so it is ready at once or never.
        let ready = poll_fn(|cx| Poll::Ready(self.requests.poll_ready(cx))).await;
        matches!(ready, Poll::Ready(Ok(()))) && !self.driver.0.is_finished()
    }
}

/// Whether the service at the other end of `stream` speaks HTTP/2.
///
/// # Errors
/// It speaks something else, or ends the connection first.
pub(super) async fn probe(stream: Stream) -> Result<(), Failure> {
    let (requests, mut connection, seen) = begin(stream).await?;
    let ended = poll_fn(|cx| match std::pin::Pin::new(&mut connection).poll(cx) {
        Poll::Ready(ended) => Poll::Ready(Some(ended)),
        Poll::Pending if seen.first().is_some() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await;
    drop(requests);
    match ended {
        None if seen.is_http2() => Ok(()),
        Some(Err(error)) => Err(failure::protocol(&error, None, &seen)),
        None | Some(Ok(())) => Err(failure::stranger(&seen)),
    }
}

type Protocol = h2::client::Connection<Socket, Bytes>;

async fn begin(stream: Stream) -> Result<(SendRequest<Bytes>, Protocol, Arc<Seen>), Failure> {
    let (socket, seen) = Socket::new(stream);
    let (requests, connection) = Builder::new()
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(MAX_HEAD as u32)
        // Until the service has said how many streams it allows, one: more might be refused.
        .initial_max_send_streams(1)
        .max_concurrent_reset_streams(REMEMBERED_RESETS)
        .reset_stream_duration(REMEMBERED_FOR)
        // Meant for servers: requests that time out must not end the connection of the others.
        .max_local_error_reset_streams(None)
        .handshake(socket)
        .await
        .map_err(|error| failure::protocol(&error, None, &seen))?;
    Ok((requests, connection, seen))
}
