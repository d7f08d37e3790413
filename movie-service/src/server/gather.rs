//! Writes of a connection, gathered into few system calls.
//!
//! h2 writes and flushes every DATA frame by itself, and a frame has 16 KiB unless the peer asks for more. For a
//! list that is a system call, and often a wake-up of the peer, for every 16 KiB. A [`Gather`] takes the frames
//! instead and sends many at once: a list in pieces of a MiB costs half of one in pieces of 64 KiB.
//!
//! Small writes are copied. [`Data`] that lasts, such as movies of the catalogue, is only shared, so that what a
//! peer that reads nothing makes a connection keep is little more than what is there anyway.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes gathered before they are sent, whatever follows.
const MOST: usize = 1024 * 1024;

/// The most of them that are copies. It is also the most that a peer that reads nothing makes a connection keep here.
const MOST_COPIED: usize = 32 * 1024;

/// Writes that are worth sharing; shorter ones are copied.
const WORTH_SHARING: usize = 4 * 1024;

/// Slices that are handed to the operating system at a time.
const SLICES: usize = 256;

/// Bytes of buffer that a connection keeps while it has nothing to say.
const KEPT: usize = 4 * 1024;

thread_local! {
    /// The [`Data`] that h2 is about to write. It takes slices of it, writes them through the [`Gather`] of the
    /// connection, and does nothing else in between, all on this thread.
    static OFFERED: Cell<Option<Bytes>> = const { Cell::new(None) };
}

/// Data of an answer.
#[derive(Debug)]
pub(super) struct Data {
    bytes: Bytes,
    /// Whether the bytes stay in memory for longer than this, so that to share them costs nothing.
    lasts: bool,
}

impl Data {
    /// Bytes that were made for this answer.
    pub(super) fn made(bytes: Bytes) -> Self {
        Self { bytes, lasts: false }
    }

    /// Bytes that are kept by others for longer than it takes to send them.
    pub(super) fn lasting(bytes: Bytes) -> Self {
        Self { bytes, lasts: true }
    }
}

impl Buf for Data {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        if self.lasts && self.bytes.len() >= WORTH_SHARING {
            OFFERED.set(Some(self.bytes.clone()));
        }
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

/// A connection whose writes are gathered. Clones are the same connection.
///
/// Whoever polls the connection calls [`Gather::poll_send`] after it.
pub(super) struct Gather<S>(Arc<Mutex<Inner<S>>>);

struct Inner<S> {
    stream: S,
    /// What was gathered, in this order: first these pieces, then the copies.
    pieces: VecDeque<Bytes>,
    copied: BytesMut,
    /// Bytes in `pieces`, and how many of them are copies.
    waiting: usize,
    waiting_copied: usize,
}

impl<S> Clone for Gather<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Gather<S> {
    pub(super) fn new(stream: S) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            stream,
            pieces: VecDeque::new(),
            copied: BytesMut::new(),
            waiting: 0,
            waiting_copied: 0,
        })))
    }

    /// Sends what was gathered.
    pub(super) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_send(cx)
    }

    /// Returns how many bytes were gathered.
    pub(super) fn waiting(&self) -> usize {
        let inner = self.inner();
        inner.waiting + inner.copied.len()
    }

    fn inner(&self) -> MutexGuard<'_, Inner<S>> {
        // Never contended: all of a connection is on one thread.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Inner<S> {
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.pieces.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut count = 0;
            for (slice, piece) in
                slices.iter_mut().zip(self.pieces.iter().map(Bytes::as_ref).chain([self.copied.as_ref()]))
            {
                *slice = IoSlice::new(piece);
                count += 1;
            }
            let sent = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, &slices[..count]))?;
            self.sent(sent)?;
        }
        while !self.copied.is_empty() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.copied))?;
            self.sent(sent)?;
        }
        // A connection that has nothing to say keeps no large buffer.
        if self.copied.capacity() > KEPT {
            self.copied = BytesMut::new();
        }
        self.waiting_copied = 0;
        Poll::Ready(Ok(()))
    }

    fn sent(&mut self, mut sent: usize) -> io::Result<()> {
        if sent == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        while let Some(piece) = self.pieces.front_mut() {
            let part = sent.min(piece.len());
            self.waiting -= part;
            sent -= part;
            if part < piece.len() {
                piece.advance(part);
                return Ok(());
            }
            self.pieces.pop_front();
        }
        self.copied.advance(sent);
        Ok(())
    }

    /// Takes what there is room for, and waits while there is none.
    fn poll_take(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let offered = OFFERED.take();
        if self.waiting >= MOST || self.waiting_copied + self.copied.len() >= MOST_COPIED {
            ready!(self.poll_send(cx))?;
        }
        let mut taken = 0;
        for slice in slices.iter().filter(|slice| !slice.is_empty()) {
            if let Some(offered) = offered.as_ref().filter(|offered| offered.as_ptr() == slice.as_ptr()) {
                let shared = offered.slice_ref(slice);
                self.waiting_copied += self.copied.len();
                self.waiting += self.copied.len() + shared.len();
                if !self.copied.is_empty() {
                    let copied = self.copied.split().freeze();
                    self.pieces.push_back(copied);
                }
                taken += shared.len();
                self.pieces.push_back(shared);
                continue;
            }
            let room = MOST_COPIED - self.waiting_copied - self.copied.len();
            let part = slice.len().min(room);
            self.copied.extend_from_slice(&slice[..part]);
            taken += part;
            if part < slice.len() {
                break;
            }
        }
        Poll::Ready(Ok(taken))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gather<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner().stream).poll_read(cx, out)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Gather<S> {
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
