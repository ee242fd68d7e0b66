//! The bytes below HTTP/2: passed on, and looked at where an error needs to know more.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::super::stream::Stream;

/// A connection that tells what went over it.
#[derive(Debug)]
pub(super) struct Socket {
    stream: Stream,
    seen: Arc<Seen>,
}

/// What went over a connection.
#[derive(Debug)]
pub(super) struct Seen {
    /// The first byte that the service sent; [`NOTHING`] before.
    first: AtomicU16,
    written: AtomicU64,
}

/// No byte.
const NOTHING: u16 = 256;

impl Seen {
    /// The first byte that the service sent.
    pub(super) fn first(&self) -> Option<u8> {
        u8::try_from(self.first.load(Ordering::Relaxed)).ok()
    }

    /// Whether the service has sent something that can be HTTP/2: it begins with a SETTINGS frame,
    /// the length of which takes 24 bits, of which the first 8 are zero.
    pub(super) fn is_http2(&self) -> bool {
        self.first() == Some(0)
    }

    /// Bytes written, those of TLS not counted.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }
}

impl Socket {
    pub(super) fn new(stream: Stream) -> (Socket, Arc<Seen>) {
        let seen = Seen { first: AtomicU16::new(NOTHING), written: AtomicU64::new(0) };
        let seen = Arc::new(seen);
        (Socket { stream, seen: Arc::clone(&seen) }, seen)
    }

    fn wrote(&self, count: &io::Result<usize>) {
        if let Ok(count) = count {
            self.seen.written.fetch_add(*count as u64, Ordering::Relaxed);
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(this.stream.poll_read(cx, buffer))?;
        if this.seen.first().is_none()
            && let Some(first) = buffer.filled().get(before)
        {
            this.seen.first.store(u16::from(*first), Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let count = ready!(this.stream.poll_write(cx, bytes));
        this.wrote(&count);
        Poll::Ready(count)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let count = ready!(this.stream.poll_write_vectored(cx, parts));
        this.wrote(&count);
        Poll::Ready(count)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream.poll_shutdown(cx)
    }
}
