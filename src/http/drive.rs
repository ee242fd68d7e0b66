//! One request written to, and one response read from, an open connection.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::task::{Context, Poll, ready};

use tokio::io::ReadBuf;

use super::exchange::Exchange;
use super::failure::{Failure, Phase};
use super::response::{Malformed, ResponseReader, Unfinished};
use super::stream::Stream;
use super::tls;
use crate::clock::Clock;
use crate::measure::sample::Outcome;

/// Bytes asked for by one read. The space is on the stack of the thread: a connection that waits
/// holds no buffer, and one that holds a part of a head holds just that part.
const READ: usize = 32 * 1024;

/// A request on its way to an open connection, and the response on its way back.
pub(super) struct Drive<'a> {
    pub(super) stream: &'a mut Stream,
    /// Head of the request, with its body if that is small.
    pub(super) head: &'a [u8],
    /// The rest of the body.
    pub(super) body: &'a [u8],
    pub(super) response: &'a mut ResponseReader,
    pub(super) exchange: &'a mut Exchange,
    pub(super) phase: &'a mut Phase,
    pub(super) clock: Clock,
}

impl Drive<'_> {
    /// Writes the request and reads until the response is whole. `true` where the connection can
    /// be used again.
    ///
    /// A service may answer, and even close, before it has read the request: so both directions
    /// go on at the same time, and a request that can no longer be written is no failure as long
    /// as a response comes.
    pub(super) async fn run(mut self) -> Result<bool, Failure> {
        *self.phase = Phase::Sending;
        let mut writing = Writing::Going;
        poll_fn(|cx| {
            if let Writing::Going = writing {
                match self.poll_send(cx) {
                    Poll::Pending => {}
                    Poll::Ready(Ok(())) => {
                        writing = Writing::Done;
                        *self.phase = Phase::Waiting;
                    }
                    Poll::Ready(Err(error)) => match Failure::client_resource(&error) {
                        Some(failure) => return Poll::Ready(Err(failure)),
                        None => writing = Writing::Broken,
                    },
                }
            }
            self.poll_receive(cx)
        })
        .await?;
        Ok(matches!(writing, Writing::Done) && self.response.keeps_alive())
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut written = self.exchange.bytes.sent as usize;
        while written < self.head.len() + self.body.len() {
            let count = ready!(self.stream.poll_write_rest(cx, self.head, self.body, written))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            written += count;
            self.exchange.bytes.sent = written as u64;
        }
        self.stream.poll_flush(cx)
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        loop {
            let mut space = [const { MaybeUninit::<u8>::uninit() }; READ];
            let mut buffer = ReadBuf::uninit(&mut space);
            let read = ready!(self.stream.poll_read(cx, &mut buffer));
            if let Err(error) = read {
                return Poll::Ready(Err(self.broken(&error)));
            }
            let now = self.clock.now();
            self.exchange.done = now;
            let bytes = buffer.filled();
            if bytes.is_empty() {
                return Poll::Ready(self.response.end().map_err(unfinished));
            }
            if self.exchange.first_byte.is_none() {
                self.exchange.first_byte = Some(now);
                *self.phase = Phase::Reading;
            }
            self.exchange.bytes.received += bytes.len() as u64;
            match self.response.push(bytes, now) {
                Ok(true) => return Poll::Ready(Ok(())),
                Ok(false) => {}
                Err(reason) => return Poll::Ready(Err(malformed(reason))),
            }
        }
    }

    fn broken(&self, error: &io::Error) -> Failure {
        if !self.response.has_begun()
            && let Some(message) = tls::refusal(error)
        {
            return Failure::new(Outcome::Connect, message);
        }
        let progress = self.response.has_begun().then(|| self.response.progress());
        Failure::broken(error, progress)
    }
}

/// How far the request is written.
enum Writing {
    Going,
    Done,
    /// The service takes no more of it.
    Broken,
}

fn malformed(reason: Malformed) -> Failure {
    Failure::new(Outcome::Malformed, reason.to_string())
}

fn unfinished(reason: Unfinished) -> Failure {
    match reason {
        Unfinished::NotBegun => {
            Failure::new(Outcome::Reset, "connection closed before a response began")
        }
        Unfinished::CutShort(progress) => {
            Failure::new(Outcome::Incomplete, format!("connection closed after {progress}"))
        }
        Unfinished::Malformed(reason) => malformed(reason),
    }
}
