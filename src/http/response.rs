//! The client's side of HTTP/1.1 (RFC 9112) without sockets or clocks: bytes in, a response or the
//! reason why there is none out.

use bytes::Bytes;
use http::header::{CONNECTION, TRANSFER_ENCODING};
use http::{HeaderMap, Method};

use super::body::{BodySink, Wanted};
use super::chunked::Chunked;
use super::events::Events;
use super::head::{
    Head, MAX_HEAD, content_length, head_too_long, last_token_is, names_token, parse_head,
};
use crate::measure::sample::Offset;

/// A head that arrives in pieces is parsed again with each piece while it is short, so that
/// garbage is known at once; a longer one only when a line has ended.
const PARSE_EACH_PIECE_BELOW: usize = 1024;

/// What the bytes of a response break: the protocol, or the limit on a body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(String);

impl Malformed {
    pub(super) fn new(message: impl Into<String>) -> Malformed {
        Malformed(message.into())
    }
}

/// Why the end of a connection came too early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfinished {
    /// No byte of a response had come.
    NotBegun,
    /// The response had begun; the text says how far it came.
    CutShort(String),
    /// What had come was no response.
    Malformed(Malformed),
}

/// Reads one response, in whatever pieces it arrives. Informational responses (1xx) are skipped.
#[derive(Debug)]
pub struct ResponseReader {
    has_no_body: bool,
    state: State,
    /// Whether any byte has been seen.
    begun: bool,
    /// A head whose end has not been seen.
    partial: Vec<u8>,
    keep_alive: bool,
    status: Option<u16>,
    headers: HeaderMap,
    body: BodySink,
}

#[derive(Debug)]
enum State {
    Head,
    /// Bytes that are left of a body of known length.
    Length(u64),
    Chunked(Chunked),
    /// The body ends where the connection ends.
    UntilClose,
    Whole,
}

impl ResponseReader {
    /// For the response to a request with `method`. A body of more than `max_body` bytes is
    /// malformed; bodies are counted, and kept only where they are `wanted`, but for the beginning of
    /// those that come with an error status: they say what was wrong.
    pub fn new(method: &Method, max_body: u64, wanted: Wanted) -> Self {
        ResponseReader {
            has_no_body: method == Method::HEAD,
            state: State::Head,
            begun: false,
            partial: Vec::new(),
            keep_alive: false,
            status: None,
            headers: HeaderMap::new(),
            body: BodySink::new(wanted, max_body),
        }
    }

    /// Takes the next bytes, which were read at `now`. `true` when the response is whole.
    ///
    /// # Errors
    /// The bytes break the protocol or the limit, or do not end where the response ends. The
    /// connection is of no more use then.
    pub fn push(&mut self, mut input: &[u8], now: Offset) -> Result<bool, Malformed> {
        self.begun |= !input.is_empty();
        if let State::Head = self.state {
            match self.push_head(input)? {
                Some(rest) => input = rest,
                None => return Ok(false),
            }
        }
        self.push_body(&mut input, now)?;
        let whole = matches!(self.state, State::Whole);
        if whole && !input.is_empty() {
            return Err(Malformed::new(format!(
                "{} bytes or more after the end of the response; its framing (content-length, \
                 chunks, or a body where none belongs) is wrong",
                input.len()
            )));
        }
        Ok(whole)
    }

    /// The connection has ended. Fine only where that is how the response says it ends.
    ///
    /// # Errors
    /// The response had not begun, was cut short, or was none.
    pub fn end(&mut self) -> Result<(), Unfinished> {
        let progress = match &self.state {
            State::Whole => return Ok(()),
            State::UntilClose => {
                self.state = State::Whole;
                return Ok(());
            }
            State::Head if !self.begun => return Err(Unfinished::NotBegun),
            State::Head => {
                parse_head(&self.partial).map_err(Unfinished::Malformed)?;
                self.progress()
            }
            State::Length(_) | State::Chunked(_) => self.progress(),
        };
        Err(Unfinished::CutShort(progress))
    }

    /// Whether any byte of a response has come.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// How far the response has come, for messages.
    pub fn progress(&self) -> String {
        let read = self.body.length();
        match &self.state {
            State::Head => format!("{} bytes of the response head", self.partial.len()),
            State::Length(left) => format!("{read} of {} body bytes", read + left),
            State::Chunked(_) => format!("{read} body bytes, without the last chunk"),
            State::UntilClose => {
                format!("{read} body bytes, the end of which only an orderly close would mark")
            }
            State::Whole => "the whole response".to_owned(),
        }
    }

    /// Whether the response, once whole, leaves the connection open for another request.
    pub fn keeps_alive(&self) -> bool {
        self.keep_alive
    }

    /// Status, headers and, where they were wanted, body and events: what of them has come.
    pub fn into_parts(self) -> (Option<u16>, HeaderMap, Bytes, Option<Events>) {
        let (body, events) = self.body.into_parts();
        (self.status, self.headers, body, events)
    }

    /// Returns what of `input` is left behind the head, once the head is whole.
    fn push_head<'a>(&mut self, input: &'a [u8]) -> Result<Option<&'a [u8]>, Malformed> {
        if self.partial.is_empty() {
            let (used, whole) = self.read_heads(input)?;
            if !whole {
                self.partial.extend_from_slice(&input[used..]);
                self.check_partial()?;
            }
            return Ok(whole.then(|| &input[used..]));
        }
        let before = self.partial.len();
        self.partial.extend_from_slice(input);
        if self.partial.len() > PARSE_EACH_PIECE_BELOW && !input.contains(&b'\n') {
            self.check_partial()?;
            return Ok(None);
        }
        let mut partial = std::mem::take(&mut self.partial);
        let (used, whole) = self.read_heads(&partial)?;
        if whole {
            // A head ends in the newest piece, or it would have ended before.
            return Ok(Some(&input[used.saturating_sub(before)..]));
        }
        partial.drain(..used);
        self.partial = partial;
        self.check_partial()?;
        Ok(None)
    }

    fn check_partial(&self) -> Result<(), Malformed> {
        if self.partial.len() > MAX_HEAD { Err(head_too_long()) } else { Ok(()) }
    }

    /// Reads informational heads and the final one. How many bytes they took, and whether the
    /// final one was among them.
    fn read_heads(&mut self, bytes: &[u8]) -> Result<(usize, bool), Malformed> {
        let mut used = 0;
        while let Some(head) = parse_head(&bytes[used..])? {
            used += head.length;
            match head.status {
                101 => return Err(Malformed::new("status 101: switched protocols unasked")),
                100..=199 => {}
                _ => {
                    self.accept(head)?;
                    return Ok((used, true));
                }
            }
        }
        Ok((used, false))
    }

    fn accept(&mut self, head: Head) -> Result<(), Malformed> {
        self.status = Some(head.status);
        self.body.begin(head.status, &head.headers);
        self.keep_alive = if head.is_http_11 {
            !names_token(&head.headers, CONNECTION, "close")
        } else {
            names_token(&head.headers, CONNECTION, "keep-alive")
        };
        self.state = self.framing(&head)?;
        self.keep_alive &= !matches!(self.state, State::UntilClose);
        self.headers = head.headers;
        Ok(())
    }

    /// How the body ends: RFC 9112, section 6.3.
    fn framing(&mut self, head: &Head) -> Result<State, Malformed> {
        let length = content_length(&head.headers)?;
        if head.headers.contains_key(TRANSFER_ENCODING) {
            if length.is_some() {
                return Err(Malformed::new("both content-length and transfer-encoding"));
            }
            if !head.is_http_11 {
                return Err(Malformed::new("transfer-encoding in an HTTP/1.0 response"));
            }
        }
        if self.has_no_body || head.status == 204 || head.status == 304 {
            return Ok(State::Whole);
        }
        if head.headers.contains_key(TRANSFER_ENCODING) {
            let chunked = last_token_is(&head.headers, TRANSFER_ENCODING, "chunked");
            return Ok(if chunked { State::Chunked(Chunked::new()) } else { State::UntilClose });
        }
        match length {
            None => Ok(State::UntilClose),
            Some(0) => Ok(State::Whole),
            Some(length) => {
                self.body.expect(length)?;
                Ok(State::Length(length))
            }
        }
    }

    /// Takes of `input` what belongs to the body.
    fn push_body(&mut self, input: &mut &[u8], now: Offset) -> Result<(), Malformed> {
        loop {
            let data = match &mut self.state {
                State::Head | State::Whole => return Ok(()),
                State::Length(left) => {
                    let take = input.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    let (data, rest) = input.split_at(take);
                    *input = rest;
                    *left -= take as u64;
                    if *left == 0 {
                        self.state = State::Whole;
                    }
                    data
                }
                State::Chunked(chunks) => match chunks.next(input)? {
                    Some(data) => data,
                    None => {
                        if chunks.is_whole() {
                            self.state = State::Whole;
                        }
                        return Ok(());
                    }
                },
                State::UntilClose => std::mem::take(input),
            };
            if data.is_empty() {
                return Ok(());
            }
            self.body.push(data, now)?;
        }
    }
}
