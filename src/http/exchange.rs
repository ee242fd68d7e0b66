//! What is measured about one request and its whole response.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

use super::body::Wanted;
use super::events::Events;
use super::failure::Failure;
use crate::measure::sample::{self, Offset};

/// How one exchange is carried out.
#[derive(Debug, Clone, Copy)]
pub struct ExchangeOptions {
    /// Longest time from [`Exchange::started`] to the end of the body, connecting included.
    pub timeout: Duration,
    /// What of the body is wanted. It is always read, counted and held against the limit.
    pub wanted: Wanted,
}

/// One request and its whole response: `started <= sent <= first_byte <= done`.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    /// The exchange was asked for.
    pub started: Offset,
    /// The request was handed to an open connection: after any wait for one of the shared ones, and
    /// of HTTP/2 once the service allowed one more stream. Where none could be opened, when that was
    /// begun; where none became free, `started`.
    pub sent: Offset,
    /// Name resolution and TCP connect, where this exchange opened a connection.
    pub connect: Option<Duration>,
    /// TLS handshake, where this exchange opened a connection.
    pub tls: Option<Duration>,
    /// The first byte of the response, informational responses (1xx) included, was read; of HTTP/2,
    /// the first head.
    pub first_byte: Option<Offset>,
    /// The last byte of the response was read, or the failure was known.
    pub done: Offset,
    /// Status of the response, where its head was read.
    pub status: Option<u16>,
    /// Headers of the response, where its head was read.
    pub headers: HeaderMap,
    /// The body, if it was to be kept: what was read of it.
    pub body: Bytes,
    /// Its events, if they were wanted and the status is no error: those that came whole.
    pub events: Option<Events>,
    /// Bytes of request and response on the connection, TLS framing not counted. Of HTTP/2 those of
    /// the bodies alone: heads are compressed against all that came before on the connection.
    pub bytes: sample::Bytes,
    /// Why there is no whole response; `None` where there is one, whatever its status.
    pub failure: Option<Failure>,
}

impl Exchange {
    pub(super) fn new(started: Offset) -> Self {
        Exchange {
            started,
            sent: started,
            connect: None,
            tls: None,
            first_byte: None,
            done: started,
            status: None,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            events: None,
            bytes: sample::Bytes::default(),
            failure: None,
        }
    }
}
