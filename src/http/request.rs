//! A request, and the bytes of its head.

use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderName, TE, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Uri};

use super::failure::Failure;
use super::head::names_token;
use crate::measure::sample::Outcome;

/// What is asked for. Borrowed, because a request that does not change is written many times.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Any method but `CONNECT`.
    pub method: &'a Method,
    /// Path and query below the target's base path.
    pub path: &'a PathAndQuery,
    /// Headers. `host` and `user-agent` override those of the target; `content-length` and
    /// `transfer-encoding` are always set by the exchange itself and left out here. Those that speak
    /// of the connection, as `connection: close`, have no meaning in HTTP/2 and are left out there.
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
    base_path: String,
    /// `host: …\r\n`
    host_line: String,
    /// What HTTP/2 has in its place.
    scheme: Scheme,
    authority: Authority,
}

/// The product and its version.
const USER_AGENT_VALUE: &str = concat!("gander/", env!("CARGO_PKG_VERSION"));
/// Headers of HTTP/1.1 that RFC 9113, section 8.2.2, forbids, or that it writes in another way.
const NOT_IN_HTTP2: [HeaderName; 7] = [
    HOST,
    CONTENT_LENGTH,
    CONNECTION,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

impl Prologue {
    /// For requests to `host`, which may have a port.
    pub(super) fn new(
        scheme: &str,
        host: &str,
        base_path: String,
    ) -> Result<Prologue, http::uri::InvalidUri> {
        Ok(Prologue {
            base_path,
            host_line: format!("host: {host}\r\n"),
            scheme: scheme.parse()?,
            authority: host.parse()?,
        })
    }
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
            write_header(out, USER_AGENT.as_str(), USER_AGENT_VALUE.as_bytes());
        }
        for (name, value) in self.headers {
            if name != CONTENT_LENGTH && name != TRANSFER_ENCODING {
                write_header(out, name.as_str(), value.as_bytes());
            }
        }
        if self.announces_length() {
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

    /// The head as HTTP/2 writes it.
    ///
    /// # Errors
    /// The header `host` names none.
    pub(super) fn for_http2(&self, prologue: &Prologue) -> Result<http::Request<()>, Failure> {
        let unwritten = |what: &str| {
            Failure::new(Outcome::Malformed, format!("the request cannot be written: {what}"))
        };
        let authority = match self.headers.get(HOST) {
            None => prologue.authority.clone(),
            Some(host) => Authority::try_from(host.as_bytes())
                .map_err(|_| unwritten(&format!("its header host is {host:?}")))?,
        };
        let path = match prologue.base_path.as_str() {
            "" => self.path.clone(),
            base => PathAndQuery::try_from(format!("{base}{}", self.path))
                .map_err(|error| unwritten(&error.to_string()))?,
        };
        let uri = Uri::builder().scheme(prologue.scheme.clone()).authority(authority);
        let uri =
            uri.path_and_query(path).build().map_err(|error| unwritten(&error.to_string()))?;
        let mut head = http::Request::new(());
        *head.method_mut() = self.method.clone();
        *head.uri_mut() = uri;
        *head.version_mut() = http::Version::HTTP_2;
        let headers = head.headers_mut();
        headers.clone_from(self.headers);
        for name in &NOT_IN_HTTP2 {
            headers.remove(name);
        }
        if headers.get(TE).is_some_and(|value| value != "trailers") {
            headers.remove(TE);
        }
        if !headers.contains_key(USER_AGENT) {
            headers.insert(USER_AGENT, HeaderValue::from_static(USER_AGENT_VALUE));
        }
        if self.announces_length() {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(self.body.len()));
        }
        Ok(head)
    }

    /// Whether the length of the body is announced: where there is one, or where the method means one.
    fn announces_length(&self) -> bool {
        !self.body.is_empty() || [Method::POST, Method::PUT, Method::PATCH].contains(self.method)
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
