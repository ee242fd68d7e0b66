//! A connection of one user: opened when first needed, kept alive, opened anew when it is gone.

use std::sync::Arc;

use super::alarm::Alarm;
use super::body::BodySink;
use super::drive::Drive;
use super::exchange::{Exchange, ExchangeOptions};
use super::failure::{Failure, Phase};
use super::http2::{Received, Wire};
use super::request::Request;
use super::response::ResponseReader;
use super::stream::Stream;
use super::target::{HttpTarget, HttpVersion};
use crate::clock::Clock;
use crate::measure::sample::Bytes;

/// A connection, as its one user sees it. Carries one exchange at a time.
///
/// Over HTTP/1.1 it is a connection indeed; over HTTP/2 it may be one stream after another of a
/// connection that others use too.
#[derive(Debug)]
pub struct Connection {
    way: Way,
    alarm: Alarm,
    target: Arc<HttpTarget>,
    clock: Clock,
}

#[derive(Debug)]
enum Way {
    Http1(Line),
    Http2(Arc<Wire>),
}

/// A connection that speaks HTTP/1.1.
#[derive(Debug, Default)]
struct Line {
    /// Open and idle. An exchange takes it out, and puts it back only when the response was whole:
    /// so a cancelled exchange closes the connection, and none is used with an answer pending.
    idle: Option<Stream>,
    /// Head of the request, kept for its space.
    head: Vec<u8>,
}

impl Connection {
    /// A connection to `target`, not yet open.
    pub fn new(target: Arc<HttpTarget>, clock: Clock) -> Self {
        let way = match target.version() {
            HttpVersion::Http1 => Way::Http1(Line::default()),
            HttpVersion::Http2 => Way::Http2(Arc::new(Wire::new(Arc::clone(&target), clock))),
        };
        Connection { way, alarm: Alarm::default(), target, clock }
    }

    /// From now on, streams of `wire`.
    pub(super) fn use_wire(&mut self, wire: Arc<Wire>) {
        self.way = Way::Http2(wire);
    }

    /// Sends `request` and reads the whole response, whatever its status. Redirects are not
    /// followed; nothing that may have been sent is sent again.
    ///
    /// Dropping the future closes the connection, of HTTP/2 the stream alone; the next exchange
    /// opens a new one.
    pub async fn exchange(&mut self, request: Request<'_>, options: ExchangeOptions) -> Exchange {
        let exchange = Exchange::new(self.clock.now());
        self.carry_out(exchange, request, options).await
    }

    /// The same for an exchange that was asked for before.
    pub(super) async fn carry_out(
        &mut self,
        mut exchange: Exchange,
        request: Request<'_>,
        options: ExchangeOptions,
    ) -> Exchange {
        let deadline = self.clock.instant(exchange.started + options.timeout);
        let mut phase = Phase::Connecting;
        let (max_body, wanted) = (self.target.max_body(), options.wanted);
        let (ended, parts) = match &mut self.way {
            Way::Http1(line) => {
                let mut response = ResponseReader::new(request.method, max_body, wanted);
                let to = (&*self.target, self.clock);
                let run = line.run(to, &request, &mut response, &mut exchange, &mut phase);
                (self.alarm.within(deadline, run).await, response.into_parts())
            }
            Way::Http2(wire) => {
                let mut received = Received::new(BodySink::new(wanted, max_body));
                let run = wire.run(&request, &mut received, &mut exchange, &mut phase);
                (self.alarm.within(deadline, run).await, received.into_parts())
            }
        };
        let failure = match ended {
            Some(Ok(())) => None,
            Some(Err(failure)) => Some(failure),
            None => Some(Failure::timeout(options.timeout, phase)),
        };
        if failure.is_some() {
            exchange.done = self.clock.now();
        }
        exchange.failure = failure;
        (exchange.status, exchange.headers, exchange.body, exchange.events) = parts;
        exchange
    }

    /// Closes the connection; the next exchange opens a new one. Over HTTP/2, others that use it
    /// keep it.
    pub fn close(&mut self) {
        *self = Connection::new(Arc::clone(&self.target), self.clock);
    }
}

impl Line {
    async fn run(
        &mut self,
        (target, clock): (&HttpTarget, Clock),
        request: &Request<'_>,
        response: &mut ResponseReader,
        exchange: &mut Exchange,
        phase: &mut Phase,
    ) -> Result<(), Failure> {
        let body = request.write(target.prologue(), &mut self.head);
        let mut used = None;
        if let Some(mut stream) = self.idle.take()
            && stream.is_idle().await
        {
            used = Some(stream);
        }
        loop {
            let is_new = used.is_none();
            let mut stream = match used.take() {
                Some(stream) => stream,
                None => {
                    let stream = open(target, exchange, phase, clock).await?;
                    exchange.sent = clock.now();
                    stream
                }
            };
            let drive = Drive {
                stream: &mut stream,
                head: &self.head,
                body,
                response,
                exchange,
                phase,
                clock,
            };
            match drive.run().await {
                Ok(keeps_alive) => {
                    if keeps_alive && !request.asks_to_close() {
                        self.idle = Some(stream);
                    }
                    return Ok(());
                }
                // The service closed the idle connection just before: nothing was sent, so a new
                // connection is no retry.
                Err(_) if !is_new && exchange.bytes == Bytes::default() => {}
                Err(failure) => return Err(failure),
            }
        }
    }
}

/// Opens a connection and notes how long its parts took.
pub(super) async fn open(
    target: &HttpTarget,
    exchange: &mut Exchange,
    phase: &mut Phase,
    clock: Clock,
) -> Result<Stream, Failure> {
    *phase = Phase::Connecting;
    let begun = clock.now();
    let tcp = target.connect().await?;
    let connected = clock.now();
    exchange.connect = Some(connected.since(begun));
    if target.has_tls() {
        *phase = Phase::Tls;
    }
    let stream = target.secure(tcp).await?;
    if target.has_tls() {
        exchange.tls = Some(clock.now().since(connected));
    }
    Ok(stream)
}
