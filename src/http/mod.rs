//! One request and its whole response, timed by phase.
//!
//! ```text
//! HttpTarget ── where, and whether it may be hit (guard), TLS ── shared by all users
//!     └─ Pool ── of one user, or shared
//!         └─ Connection ── opens, keeps alive, reopens
//!            ├─ HTTP/1.1: Request ─► Stream ─► ResponseReader ─┬─► Exchange
//!            └─ HTTP/2:   Request ─► Wire (many at a time) ────┘
//! ```
//!
//! An HTTP/1.1 connection is read and written in the task of its user: no second task, no channel,
//! and two system calls per request on a connection that is kept alive (one write, one read; waiting
//! is shared by all connections of a thread). [`response::ResponseReader`] is the protocol without
//! sockets or clocks: bytes in, a response or a reason out. An HTTP/2 connection has a task of its
//! own, because many users share it.

mod alarm;
mod body;
mod chunked;
mod connection;
mod drive;
mod events;
mod exchange;
mod failure;
mod guard;
mod head;
mod http2;
mod pool;
mod request;
pub mod response;
mod stream;
mod target;
mod tls;

pub use body::Wanted;
pub use connection::Connection;
pub use events::{EventReader, Events};
pub use exchange::{Exchange, ExchangeOptions};
pub use failure::Failure;
pub use pool::Pool;
pub use request::Request;
pub use target::{DEFAULT_MAX_BODY, HttpOptions, HttpTarget, HttpVersion};
