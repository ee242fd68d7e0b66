//! A request, and the bytes of its head.

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method};

use super::head::names_token;

/// What is asked for. Borrowed, because a request that does not change is written many times.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Any method but `CONNECT`.
    pub method: &'a Method,
    /// Path and query below the target's base path.
    pub path: &'a PathAndQuery,
    /// Headers. `host` and `user-agent` override those of the target; `content-length` and
    /// `transfer-encoding` are always set by the exchange itself and left out here.
    pub headers: &'a HeaderMap,
    /// The whole body; empty for none.
    pub body: &'a [u8],
}

/// Head and body of small requests are written in one piece, as one packet or TLS record.
const INLINE_BODY: usize = 4096;

/// The parts of a request that are the same for all requests to a target.
#[derive(Debug)]
pub(super) struct Prologue {
    /// Base path without a slash at its end.
    pub(super) base_path: String,
    /// `host: …\r\n`
    pub(super) host_line: String,
}

impl Request<'_> {
    /// Replaces `out` by the head and, if it is small, the body. Returns what of the body is left
    /// to be written.
    pub(super) fn write(&self, prologue: &Prologue, out: &mut Vec<u8>) -> &[u8] {
        out.clear();
        for part in
            [self.method.as_str(), " ", &prologue.base_path, self.path.as_str(), " HTTP/1.1\r\n"]
        {
            out.extend_from_slice(part.as_bytes());
        }
        if !self.headers.contains_key(HOST) {
            out.extend_from_slice(prologue.host_line.as_bytes());
        }
        if !self.headers.contains_key(USER_AGENT) {
            out.extend_from_slice(
                concat!("user-agent: gander/", env!("CARGO_PKG_VERSION"), "\r\n").as_bytes(),
            );
        }
        for (name, value) in self.headers {
            if name != CONTENT_LENGTH && name != TRANSFER_ENCODING {
                write_header(out, name.as_str(), value.as_bytes());
            }
        }
        if !self.body.is_empty() || [Method::POST, Method::PUT, Method::PATCH].contains(self.method)
        {
            let mut digits = itoa::Buffer::new();
            let length = digits.format(self.body.len());
            write_header(out, CONTENT_LENGTH.as_str(), length.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        if self.body.len() <= INLINE_BODY {
            out.extend_from_slice(self.body);
            &[]
        } else {
            self.body
        }
    }

    /// Whether the request itself asks for the connection to be closed.
    pub(super) fn asks_to_close(&self) -> bool {
        names_token(self.headers, CONNECTION, "close")
    }
}

fn write_header(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}
