//! Writes of a connection, gathered into few system calls.
//!
//! h2 writes and flushes every DATA frame by itself, and a frame has 16 KiB unless the peer asks for more. For a
//! list that is a system call, and a wake-up of the peer, for every 16 KiB, and made a list cost half as much
//! again. A [`Gather`] takes the frames instead, and sends them when there are many or when the connection has no
//! more to say for now: whoever polls the connection calls [`Gather::poll_send`] after it.
//!
//! It copies them. To share them instead measured no better: the kernel has to copy them anyway, and is as much
//! faster on bytes that were copied just before.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Bytes gathered before they are sent, whatever follows. It is also the most that a peer that reads nothing
/// makes a connection keep here.
const MOST: usize = 32 * 1024;

/// Bytes of buffer that a connection keeps while it has nothing to say.
const KEPT: usize = 4 * 1024;

/// A connection whose writes are gathered. Clones are the same connection.
#[derive(Clone)]
pub(super) struct Gather(Arc<Mutex<Inner>>);

struct Inner {
    stream: TcpStream,
    /// What was gathered; at most [`MOST`] bytes.
    waiting: Vec<u8>,
    /// How much of it was sent.
    sent: usize,
}

impl Gather {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self(Arc::new(Mutex::new(Inner { stream, waiting: Vec::new(), sent: 0 })))
    }

    /// Sends what was gathered.
    pub(super) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_send(cx)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Never contended: all of a connection is on one thread.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.waiting.len() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, &self.waiting[self.sent..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.sent += sent,
            }
        }
        self.sent = 0;
        self.waiting.clear();
        // A connection that has nothing to say keeps no large buffer.
        self.waiting.shrink_to(KEPT);
        Poll::Ready(Ok(()))
    }

    /// Takes what there is room for, and waits while there is none.
    fn poll_take(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.waiting.len() == MOST {
            ready!(self.poll_send(cx))?;
        }
        let before = self.waiting.len();
        if before + slices.iter().map(|slice| slice.len()).sum::<usize>() > KEPT {
            // All at once: a buffer that grows step by step is copied at each.
            self.waiting.reserve_exact(MOST - before);
        }
        for slice in slices {
            let room = MOST - self.waiting.len();
            self.waiting.extend_from_slice(&slice[..slice.len().min(room)]);
        }
        Poll::Ready(Ok(self.waiting.len() - before))
    }
}

impl AsyncRead for Gather {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner().stream).poll_read(cx, out)
    }
}

impl AsyncWrite for Gather {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.inner().poll_take(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.inner().poll_take(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Does nothing: see the head of this module.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.inner();
        ready!(inner.poll_send(cx))?;
        Pin::new(&mut inner.stream).poll_shutdown(cx)
    }
}
