//! One HTTP/1.1 request and its whole response, over a connection that one user owns, timed by
//! phase.
//!
//! ```text
//! HttpTarget ── where, and whether it may be hit (guard), TLS ── shared by all users
//!     └─ Connection ── one per user: opens, keeps alive, reopens
//!            └─ exchange: Request ─► Stream ─► ResponseReader ─► Exchange
//! ```
//!
//! The connection is read and written in the task of its user: no second task, no channel, and two
//! system calls per request on a connection that is kept alive (one write, one read; waiting is
//! shared by all connections of a thread). [`response::ResponseReader`] is the protocol without
//! sockets or clocks: bytes in, a response or a reason out.

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
mod pool;
mod request;
pub mod response;
mod stream;
mod target;
mod tls;

pub use body::Wanted;
pub use connection::Connection;
pub use events::Events;
pub use exchange::{Exchange, ExchangeOptions};
pub use failure::Failure;
pub use pool::Pool;
pub use request::Request;
pub use target::{DEFAULT_MAX_BODY, HttpOptions, HttpTarget, HttpVersion};
