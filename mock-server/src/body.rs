//! The body of an answer on its way to the connection: counted, and spoilt where a fault says so.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Error;
use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::faults::Kind;
use crate::faults::damage::damaged_events;
use crate::ledger::{Entry, Work};
use crate::service;
use crate::wire::{After, Cut, How, Scissors};

/// Pieces in which a whole body drips, at most.
const DRIPS: u64 = 20;

/// Bytes of a piece of a stream that drips.
const DRIP: usize = 32;

/// What happens to a body on its way.
#[derive(Debug, Clone)]
pub(crate) enum Spoil {
    Nothing,
    /// Half of it, then the connection is cut, or (none) nothing more comes.
    Half(Option<How>),
    /// In small pieces, over this time.
    Drip(Duration),
    /// The connection is closed once nothing has come for this long.
    Idle(Duration),
    /// The events of a stream are damaged in this way; fields that a fault may leave out.
    Events(Kind, &'static [&'static str]),
}

/// The entry of a request whose answer is still on its way.
pub(crate) struct Open {
    pub entry: Entry,
    pub status: u16,
    pub work: Option<Work>,
}

/// A body that knows its entry in the ledger and what is to go wrong with it.
pub(crate) struct Outgoing {
    inner: Body,
    open: Option<Open>,
    spoil: Spoil,
    scissors: Scissors,
    context: service::Context,
    /// Bytes of a frame that has been taken from the body and is not sent yet.
    held: Bytes,
    sent: u64,
    /// Bytes of the whole body, where they are known.
    length: Option<u64>,
    frames: usize,
    /// Nothing of the body may follow any more.
    is_over: bool,
    pause: Option<Pin<Box<Sleep>>>,
    /// Until then a drip goes on; what is left comes at once.
    drips_until: Option<Instant>,
    frost: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Of a stall: the end of the service, which it does not outlast.
    last_call: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl Outgoing {
    pub(crate) fn new(
        inner: Body,
        open: Open,
        spoil: Spoil,
        scissors: Scissors,
        context: &service::Context,
    ) -> Outgoing {
        Outgoing {
            length: inner.size_hint().exact(),
            inner,
            open: Some(open),
            spoil,
            scissors,
            context: context.clone(),
            held: Bytes::new(),
            sent: 0,
            frames: 0,
            is_over: false,
            pause: None,
            drips_until: None,
            frost: None,
            last_call: None,
        }
    }

    /// The whole answer has been handed over.
    fn close(&mut self) {
        if let Some(Open { entry, status, work }) = self.open.take() {
            entry.answer(status, self.sent, work);
        }
    }

    /// Nothing more comes. The connection is cut once all has been sent, or (none) stays open.
    fn break_off(&mut self, how: Option<How>) {
        if let Some(open) = self.open.as_mut() {
            open.entry.break_off();
        }
        self.is_over = true;
        match how {
            Some(how) => self.scissors.cut(Cut { after: After::Flush, how }),
            None => {
                let shutdown = self.context.shutdown.clone();
                self.last_call = Some(Box::pin(shutdown.cancelled_owned()));
            }
        }
    }

    /// Waits for ever, but for the end of the service.
    fn poll_broken(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(last_call) = self.last_call.as_mut() {
            ready!(last_call.as_mut().poll(cx));
            self.last_call = None;
            self.scissors.cut(Cut { after: After::Flush, how: How::Close });
        }
        Poll::Pending
    }

    fn send(&mut self, bytes: Bytes) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.sent += bytes.len() as u64;
        // After the last byte of a known length, nobody asks for the end.
        if self.length == Some(self.sent) {
            self.close();
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    /// Waits until the service is no longer frozen.
    fn poll_thaw(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.frost.is_none() && self.context.conditions.of_service(Kind::Freeze).0 {
            let conditions = Arc::clone(&self.context.conditions);
            self.frost = Some(Box::pin(async move { conditions.until_over(Kind::Freeze).await }));
        }
        if let Some(frost) = self.frost.as_mut() {
            ready!(frost.as_mut().poll(cx));
            self.frost = None;
        }
        Poll::Ready(())
    }

    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(pause) = self.pause.as_mut() {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        Poll::Ready(())
    }

    /// The next frame of the body itself, or none at its end.
    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            let Some(frame) = ready!(Pin::new(&mut self.inner).poll_frame(cx)) else {
                return Poll::Ready(None);
            };
            // No service sends trailers.
            match frame.map(Frame::into_data) {
                Ok(Ok(data)) => {
                    self.frames += 1;
                    return Poll::Ready(Some(Ok(data)));
                }
                Ok(Err(_)) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }

    /// Half of a whole body; of a stream its first events and half of the next.
    fn poll_half(
        &mut self,
        cx: &mut Context<'_>,
        how: Option<How>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(data) = ready!(self.poll_inner(cx)?) else {
            // There was nothing to halve.
            self.break_off(how);
            return self.poll_broken(cx);
        };
        let is_first_of_many = self.frames == 1 && !self.inner.is_end_stream() && !is_last(&data);
        if is_first_of_many {
            return self.send(data);
        }
        // Nothing follows; the first half still goes out.
        self.break_off(how);
        self.send(data.slice(..data.len() / 2))
    }

    fn poll_drip(
        &mut self,
        cx: &mut Context<'_>,
        time: Duration,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.held.is_empty() {
            match ready!(self.poll_inner(cx)?) {
                Some(data) => self.held = data,
                None => return self.end(),
            }
        }
        let until = *self.drips_until.get_or_insert_with(|| Instant::now() + time);
        let size = self.length.map_or(DRIP, |length| length.div_ceil(DRIPS) as usize).max(1);
        // The pauses lie between the pieces.
        let pieces = self.length.map_or(DRIPS, |length| length.div_ceil(size as u64));
        let pauses = u32::try_from(pieces.saturating_sub(1).max(1)).unwrap_or(u32::MAX);
        // A stream may be long: after its time, it comes as it is.
        let piece = if self.length.is_some() || Instant::now() < until {
            self.pause = Some(Box::pin(tokio::time::sleep(time / pauses)));
            self.held.split_to(size.min(self.held.len()))
        } else {
            self.held.split_to(self.held.len())
        };
        self.send(piece)
    }

    fn poll_idle(
        &mut self,
        cx: &mut Context<'_>,
        time: Duration,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Poll::Ready(frame) = self.poll_inner(cx)? {
            self.pause = None;
            return match frame {
                Some(data) => self.send(data),
                None => self.end(),
            };
        }
        let pause = self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(time)));
        ready!(pause.as_mut().poll(cx));
        self.pause = None;
        if let Some(open) = self.open.as_mut() {
            open.entry.fault(Kind::IdleTimeout.to_string());
        }
        self.break_off(Some(How::Close));
        self.poll_broken(cx)
    }

    fn poll_events(
        &mut self,
        cx: &mut Context<'_>,
        kind: Kind,
        essential: &[&str],
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match ready!(self.poll_inner(cx)?) {
            Some(events) => {
                let (events, is_last) = damaged_events(kind, &events, essential);
                self.is_over = is_last;
                self.send(events)
            }
            None => self.end(),
        }
    }

    fn end(&mut self) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.close();
        Poll::Ready(None)
    }
}

/// Whether these events hold the end marker of a stream of chat completions.
fn is_last(events: &Bytes) -> bool {
    events.trim_ascii_end().ends_with(b"[DONE]")
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        if this.is_over {
            // Damage that ends a stream early ends it in good order; a cut or a stall does not.
            return match this.spoil {
                Spoil::Events(..) => this.end(),
                _ => this.poll_broken(cx),
            };
        }
        ready!(this.poll_thaw(cx));
        match this.spoil.clone() {
            Spoil::Nothing => match ready!(this.poll_inner(cx)?) {
                Some(data) => this.send(data),
                None => this.end(),
            },
            Spoil::Half(how) => this.poll_half(cx, how),
            Spoil::Drip(time) => {
                ready!(this.poll_pause(cx));
                this.poll_drip(cx, time)
            }
            Spoil::Idle(time) => this.poll_idle(cx, time),
            Spoil::Events(kind, essential) => this.poll_events(cx, kind, essential),
        }
    }

    fn is_end_stream(&self) -> bool {
        false
    }

    /// The whole length is told even where half of it is sent: the client is to notice.
    fn size_hint(&self) -> SizeHint {
        self.length
            .map_or_else(SizeHint::default, |length| SizeHint::with_exact(length - self.sent))
    }
}

/// The bytes of a body whose length is known.
pub(crate) async fn whole(body: Body) -> Bytes {
    match body.collect().await {
        Ok(body) => body.to_bytes(),
        // A body whose length is known is in memory already.
        Err(_) => Bytes::new(),
    }
}
