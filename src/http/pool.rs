//! Connections of one user, or of all users together.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout_at;

use super::connection::Connection;
use super::exchange::{Exchange, ExchangeOptions};
use super::failure::{Failure, Phase};
use super::http2::Wire;
use super::request::Request;
use super::target::{HttpTarget, HttpVersion};
use crate::clock::Clock;

/// Connections to one target, opened when they are needed.
///
/// A pool of one user has as many HTTP/1.1 connections as the user has requests at a time, or one
/// HTTP/2 connection for all of them. A shared one has as many as was asked for: over HTTP/1.1
/// whoever comes when all are busy waits for the next that is free, in the order of coming; over
/// HTTP/2 each request goes to the connection with the fewest.
#[derive(Debug)]
pub struct Pool {
    target: Arc<HttpTarget>,
    clock: Clock,
    /// Those that nobody uses. Of HTTP/2, what a user keeps of them: a timer.
    free: Mutex<Vec<Connection>>,
    /// How many HTTP/1.1 requests may be under way, where there is a limit.
    places: Option<Semaphore>,
    /// The connections of HTTP/2.
    wires: Box<[Arc<Wire>]>,
    /// Where the search for the connection with the fewest requests begins.
    turn: AtomicUsize,
}

impl Pool {
    /// A pool without connections: of all users where `target` has shared connections, else of one.
    pub fn new(target: Arc<HttpTarget>, clock: Clock) -> Pool {
        let shared = target.shared().map(|count| count as usize);
        let (places, wires) = match target.version() {
            HttpVersion::Http1 => (shared.map(Semaphore::new), 0),
            HttpVersion::Http2 => (None, shared.unwrap_or(1)),
        };
        let wire = || Arc::new(Wire::new(Arc::clone(&target), clock));
        Pool {
            wires: (0..wires).map(|_| wire()).collect(),
            target,
            clock,
            free: Mutex::default(),
            places,
            turn: AtomicUsize::new(0),
        }
    }

    /// The pool of one more user: this one where connections are shared, else a new one.
    pub fn for_user(self: &Arc<Self>) -> Arc<Pool> {
        match self.target.shared() {
            Some(_) => Arc::clone(self),
            None => Arc::new(Pool::new(Arc::clone(&self.target), self.clock)),
        }
    }

    /// Sends `request` over a connection that is free, once one is, and reads the whole response.
    /// The wait lies between [`Exchange::started`] and [`Exchange::sent`], and in the timeout.
    ///
    /// Dropping the future gives up the wait, or closes the connection (of HTTP/2 the stream alone);
    /// the next exchange opens a new one in its place.
    pub async fn exchange(&self, request: Request<'_>, options: ExchangeOptions) -> Exchange {
        let mut exchange = Exchange::new(self.clock.now());
        let place = match self.place(&mut exchange, options).await {
            Ok(place) => place,
            Err(failure) => {
                exchange.done = self.clock.now();
                exchange.failure = Some(failure);
                return exchange;
            }
        };
        let mut connection = self.take();
        let exchange = connection.carry_out(exchange, request, options).await;
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        // Only now: whoever waits for the place finds the connection.
        drop(place);
        exchange
    }

    async fn place(
        &self,
        exchange: &mut Exchange,
        options: ExchangeOptions,
    ) -> Result<Option<SemaphorePermit<'_>>, Failure> {
        let Some(places) = &self.places else { return Ok(None) };
        // Fails while others wait: the wait is in the order of coming.
        if let Ok(place) = places.try_acquire() {
            return Ok(Some(place));
        }
        let deadline = self.clock.instant(exchange.started + options.timeout);
        let place = timeout_at(deadline, places.acquire())
            .await
            .map_err(|_| Failure::timeout(options.timeout, Phase::AwaitingConnection))?;
        exchange.sent = self.clock.now();
        Ok(Some(place.expect("invariant: the places are never closed")))
    }

    /// The connection that was given back last, or a new one.
    fn take(&self) -> Connection {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection =
            free.unwrap_or_else(|| Connection::new(Arc::clone(&self.target), self.clock));
        if let Some(wire) = self.least_loaded() {
            connection.use_wire(wire);
        }
        connection
    }

    fn least_loaded(&self) -> Option<Arc<Wire>> {
        // Begins elsewhere each time, so that connections without requests take turns.
        let turn = match self.wires.len() {
            0 => return None,
            1 => 0,
            count => self.turn.fetch_add(1, Ordering::Relaxed) % count,
        };
        let (before, from) = self.wires.split_at(turn);
        from.iter().chain(before).min_by_key(|wire| wire.under_way()).map(Arc::clone)
    }
}
