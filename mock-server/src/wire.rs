//! The socket under a connection, which a fault can cut.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// When and how a connection ends before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    pub after: After,
    pub how: How,
}

/// How much is still sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// So many bytes, head and body alike.
    Bytes(usize),
    /// What has been handed to the connection.
    Flush,
}

/// What the client sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// The end of the connection (FIN).
    Close,
    /// A reset (RST): what was sent and not yet read may be lost.
    Reset,
}

/// Cuts the connection that a request came on. Every request carries one as an extension.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scissors(Arc<Plan>);

#[derive(Debug, Default)]
struct Plan {
    /// Looked at on every write: the lock is taken only once there is something to cut.
    is_armed: AtomicBool,
    cut: Mutex<Option<Cut>>,
}

impl Scissors {
    /// Cuts the connection when it sends next, flushing included.
    pub(crate) fn cut(&self, cut: Cut) {
        // The first cut counts: on HTTP/2, another request may want one too.
        self.0.cut.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(cut);
        self.0.is_armed.store(true, Ordering::Release);
    }

    fn due(&self) -> Option<Cut> {
        match self.0.is_armed.load(Ordering::Acquire) {
            true => *self.0.cut.lock().unwrap_or_else(PoisonError::into_inner),
            false => None,
        }
    }

    /// So many bytes fewer may be sent.
    fn sent(&self, bytes: usize) {
        let mut cut = self.0.cut.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Cut { after: After::Bytes(left), .. }) = cut.as_mut() {
            *left = left.saturating_sub(bytes);
        }
    }
}

/// A socket that its [`Scissors`] can cut.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    scissors: Scissors,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> (Wire, Scissors) {
        let scissors = Scissors::default();
        (Wire { stream, scissors: scissors.clone() }, scissors)
    }

    /// Ends the connection: hyper drops it on the error, and with it the socket.
    fn end<T>(&self, how: How) -> Poll<io::Result<T>> {
        if how == How::Reset {
            self.stream.set_zero_linger()?;
        }
        Poll::Ready(Err(io::Error::new(ErrorKind::ConnectionAborted, "cut by a fault")))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some(Cut { after: After::Bytes(left), how }) = self.scissors.due() else {
            return Pin::new(&mut self.stream).poll_write(cx, bytes);
        };
        if left == 0 {
            return self.end(how);
        }
        let bytes = &bytes[..bytes.len().min(left)];
        let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.scissors.sent(sent);
        Poll::Ready(Ok(sent))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.scissors.due().is_none() {
            return Pin::new(&mut self.stream).poll_write_vectored(cx, buffers);
        }
        let first = buffers.iter().find(|buffer| !buffer.is_empty());
        self.poll_write(cx, first.map_or(&[], |buffer| buffer))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        match self.scissors.due() {
            Some(Cut { after: After::Flush | After::Bytes(0), how }) => self.end(how),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
