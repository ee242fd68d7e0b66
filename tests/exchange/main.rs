//! One exchange, against servers that do exactly what each test says on a real socket.
#![allow(clippy::unwrap_used, clippy::panic)]

mod guard;
mod http2;
mod keep_alive;
mod outcomes;
mod phases;
mod reader;
mod request;
mod scripted;
mod shared;
mod timeouts;
mod tls;
