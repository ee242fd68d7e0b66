//! A connection of one user: opened when first needed, kept alive, opened anew when it is gone.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use super::alarm::Alarm;
use super::drive::Drive;
use super::exchange::{Exchange, ExchangeOptions};
use super::failure::{Failure, Phase};
use super::request::Request;
use super::response::ResponseReader;
use super::stream::Stream;
use super::target::HttpTarget;
use crate::clock::Clock;
use crate::measure::sample::Bytes;

/// A connection that one user owns. Carries one exchange at a time.
#[derive(Debug)]
pub struct Connection {
    line: Line,
    alarm: Alarm,
}

/// A connection without its timer.
#[derive(Debug)]
struct Line {
    target: Arc<HttpTarget>,
    /// Open and idle. An exchange takes it out, and puts it back only when the response was whole:
    /// so a cancelled exchange closes the connection, and none is used with an answer pending.
    idle: Option<Stream>,
    /// Head of the request, kept for its space.
    head: Vec<u8>,
    clock: Clock,
}

impl Connection {
    /// A connection to `target`, not yet open.
    pub fn new(target: Arc<HttpTarget>, clock: Clock) -> Self {
        let line = Line { target, idle: None, head: Vec::new(), clock };
        Connection { line, alarm: Alarm::default() }
    }

    /// Sends `request` and reads the whole response, whatever its status. Redirects are not
    /// followed; nothing that may have been sent is sent again.
    ///
    /// Dropping the future closes the connection; the next exchange opens a new one.
    pub async fn exchange(&mut self, request: Request<'_>, options: ExchangeOptions) -> Exchange {
        let mut exchange = Exchange::new(self.line.clock.now());
        let deadline = self.line.clock.instant(exchange.started + options.timeout);
        let mut phase = Phase::Connecting;
        let mut response =
            ResponseReader::new(request.method, self.line.target.max_body(), options.wanted);
        let ended = {
            let mut run = pin!(self.line.run(&request, &mut response, &mut exchange, &mut phase));
            poll_fn(|cx| match run.as_mut().poll(cx) {
                ready @ Poll::Ready(_) => ready.map(Some),
                Poll::Pending => self.alarm.poll(cx, deadline).map(|()| None),
            })
            .await
        };
        let failure = match ended {
            Some(Ok(())) => None,
            Some(Err(failure)) => Some(failure),
            None => Some(Failure::timeout(options.timeout, phase)),
        };
        if failure.is_some() {
            exchange.done = self.line.clock.now();
        }
        exchange.failure = failure;
        (exchange.status, exchange.headers, exchange.body, exchange.events) = response.into_parts();
        exchange
    }

    /// Closes the connection; the next exchange opens a new one.
    pub fn close(&mut self) {
        self.line.idle = None;
    }
}

impl Line {
    async fn run(
        &mut self,
        request: &Request<'_>,
        response: &mut ResponseReader,
        exchange: &mut Exchange,
        phase: &mut Phase,
    ) -> Result<(), Failure> {
        let body = request.write(self.target.prologue(), &mut self.head);
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
                    let stream = open(&self.target, exchange, phase, self.clock).await?;
                    exchange.sent = self.clock.now();
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
                clock: self.clock,
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
async fn open(
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
