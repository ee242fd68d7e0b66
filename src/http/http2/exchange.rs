//! One request and its response on a stream of an HTTP/2 connection.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Response};

use super::super::body::BodySink;
use super::super::events::Events;
use super::super::exchange::Exchange;
use super::super::failure::Phase;
use super::super::head::content_length;
use super::super::response::Malformed;
use super::Live;
use crate::clock::Clock;

/// Bodies up to here leave together with their head: one frame of the size that all peers take.
const INLINE_BODY: usize = 16 * 1024;
/// Larger bodies are handed over in pieces of this size, as the service takes them.
const PIECE: usize = 64 * 1024;

/// A response so far.
#[derive(Debug)]
pub(in super::super) struct Received {
    status: Option<u16>,
    headers: HeaderMap,
    /// Length of the body, where it is announced.
    length: Option<u64>,
    body: BodySink,
}

impl Received {
    pub(in super::super) fn new(body: BodySink) -> Received {
        Received { status: None, headers: HeaderMap::new(), length: None, body }
    }

    /// Status, headers and, where they were wanted, body and events: what of them has come.
    pub(in super::super) fn into_parts(self) -> (Option<u16>, HeaderMap, Bytes, Option<Events>) {
        let (body, events) = self.body.into_parts();
        (self.status, self.headers, body, events)
    }

    /// How far the response has come; `None` where it has not begun.
    pub(super) fn progress(&self) -> Option<String> {
        self.status?;
        let read = self.body.length();
        Some(match self.length {
            Some(length) => format!("{read} of {length} body bytes"),
            None => format!("{read} body bytes"),
        })
    }
}

/// Why an exchange came to no end.
pub(super) struct Broken {
    pub(super) cause: Cause,
    /// Whether the request is known to have left.
    pub(super) was_sent: bool,
}

/// What broke it.
pub(super) enum Cause {
    /// The connection, the stream, or the protocol.
    Protocol(h2::Error),
    /// The body is over the limit, or its length is none.
    Malformed(Malformed),
}

impl From<h2::Error> for Cause {
    fn from(error: h2::Error) -> Cause {
        Cause::Protocol(error)
    }
}

impl From<Malformed> for Cause {
    fn from(reason: Malformed) -> Cause {
        Cause::Malformed(reason)
    }
}

impl Cause {
    /// Whether the service says that it has not looked at the request, and will not.
    pub(super) fn is_unprocessed(&self) -> bool {
        matches!(self, Cause::Protocol(error) if error.is_go_away() && error.is_remote())
    }
}

/// What an exchange leaves behind, whole or not.
pub(super) struct Notes<'a> {
    pub(super) received: &'a mut Received,
    pub(super) exchange: &'a mut Exchange,
    pub(super) phase: &'a mut Phase,
    pub(super) clock: Clock,
}

/// Sends `head` and `body` over `live` and reads the whole response. Dropping the future resets
/// the stream, and leaves the connection to the others.
pub(super) async fn exchange(
    live: &Live,
    head: http::Request<()>,
    body: &[u8],
    notes: Notes<'_>,
) -> Result<(), Broken> {
    *notes.phase = Phase::AwaitingStream;
    let mut requests = live.requests.clone();
    let unsent = |error: h2::Error| Broken { cause: error.into(), was_sent: false };
    let (response, mut stream) = requests.send_request(head, body.is_empty()).map_err(unsent)?;
    let mut rest = body;
    if !body.is_empty() && body.len() <= INLINE_BODY {
        stream.send_data(Bytes::copy_from_slice(body), true).map_err(unsent)?;
        rest = &[];
    }
    let inline = (body.len() - rest.len()) as u64;
    let mut under_way = UnderWay {
        requests,
        sent: Sent::Waiting { inline },
        stream,
        rest,
        response: Incoming::Head(response),
        notes,
    };
    poll_fn(|cx| under_way.poll(cx)).await.map_err(|cause| Broken {
        cause,
        was_sent: matches!(under_way.sent, Sent::Head | Sent::Whole | Sent::Broken),
    })
}

struct UnderWay<'a> {
    requests: SendRequest<Bytes>,
    sent: Sent,
    stream: SendStream<Bytes>,
    /// What of the body has not been handed over.
    rest: &'a [u8],
    response: Incoming,
    notes: Notes<'a>,
}

/// How far the request has left.
enum Sent {
    /// It waits until the service allows one more stream, or until the connection is written to.
    /// `inline` bytes of body go with the head.
    Waiting {
        inline: u64,
    },
    /// The connection takes no more requests; whether this one had left before is not known.
    Unknown,
    Head,
    Whole,
    /// The service takes no more of it.
    Broken,
}

enum Incoming {
    Head(ResponseFuture),
    Body(RecvStream),
}

impl UnderWay<'_> {
    /// A service may answer before it has read the request: so both directions go on at the same
    /// time, and a request that can no longer be written is no failure as long as a response comes.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        self.poll_send(cx);
        loop {
            match &mut self.response {
                Incoming::Head(response) => {
                    while let Poll::Ready(Some(Ok(_))) = response.poll_informational(cx) {
                        self.notes.begin();
                    }
                    let response = ready!(Pin::new(response).poll(cx))?;
                    let body = self.notes.accept(response)?;
                    self.response = Incoming::Body(body);
                }
                Incoming::Body(body) => return self.notes.poll_body(body, cx),
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) {
        if let Sent::Waiting { inline } = self.sent {
            // Ready once the head has been put on the connection.
            match self.requests.poll_ready(cx) {
                Poll::Pending => return,
                Poll::Ready(Err(_)) => self.sent = Sent::Unknown,
                Poll::Ready(Ok(())) => {
                    self.notes.exchange.sent = self.notes.clock.now();
                    self.notes.exchange.bytes.sent += inline;
                    *self.notes.phase = Phase::Sending;
                    self.sent = Sent::Head;
                }
            }
        }
        if let Sent::Head = self.sent {
            match self.poll_rest(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => {
                    self.sent = Sent::Whole;
                    if *self.notes.phase == Phase::Sending {
                        *self.notes.phase = Phase::Waiting;
                    }
                }
                Poll::Ready(Err(())) => self.sent = Sent::Broken,
            }
        }
    }

    /// Hands over what is left of the body, as the service takes it.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ()>> {
        while !self.rest.is_empty() {
            self.stream.reserve_capacity(self.rest.len().min(PIECE));
            while self.stream.capacity() == 0 {
                match ready!(self.stream.poll_capacity(cx)) {
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return Poll::Ready(Err(())),
                }
            }
            let taken = self.stream.capacity().min(self.rest.len());
            let (piece, rest) = self.rest.split_at(taken);
            let piece = Bytes::copy_from_slice(piece);
            if self.stream.send_data(piece, rest.is_empty()).is_err() {
                return Poll::Ready(Err(()));
            }
            self.notes.exchange.bytes.sent += taken as u64;
            self.rest = rest;
        }
        Poll::Ready(Ok(()))
    }
}

impl Notes<'_> {
    /// Something of the response has come.
    fn begin(&mut self) {
        let now = self.clock.now();
        self.exchange.done = now;
        if self.exchange.first_byte.is_none() {
            self.exchange.first_byte = Some(now);
            *self.phase = Phase::Reading;
        }
    }

    fn accept(&mut self, response: Response<RecvStream>) -> Result<RecvStream, Malformed> {
        self.begin();
        let (head, body) = response.into_parts();
        let status = head.status.as_u16();
        self.received.status = Some(status);
        self.received.headers = head.headers;
        self.received.body.begin(status, &self.received.headers);
        if !body.is_end_stream() {
            self.received.length = content_length(&self.received.headers)?;
            if let Some(length) = self.received.length {
                self.received.body.expect(length)?;
            }
        }
        Ok(body)
    }

    fn poll_body(
        &mut self,
        body: &mut RecvStream,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Cause>> {
        while let Some(data) = ready!(body.poll_data(cx)) {
            let data = data?;
            let now = self.clock.now();
            self.exchange.done = now;
            self.exchange.bytes.received += data.len() as u64;
            self.received.body.push(&data, now)?;
            // Only a stream that is over takes none back.
            let _ = body.flow_control().release_capacity(data.len());
        }
        ready!(body.poll_trailers(cx))?;
        self.exchange.done = self.clock.now();
        Poll::Ready(Ok(()))
    }
}
