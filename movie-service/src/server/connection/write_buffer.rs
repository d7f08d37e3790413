//! Write buffer of a connection: combines frames into few vectored writes.
//!
//! h2 writes and flushes every DATA frame by itself, and a frame has 16 KiB unless the peer asks for more. For a
//! list that is a system call, and often a wake-up of the peer, for every 16 KiB. A [`WriteBuffer`] takes the frames
//! instead and sends many at once: sending a list in writes of 1 MiB takes half the CPU time of writes of 64 KiB.
//!
//! Small writes are copied. [`Data`](data::Data) that lasts, such as movies of the catalogue, is only shared, so that
//! a peer that does not read costs little memory beyond the catalogue.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::server::call::data;

/// Buffered bytes at which the buffer must be sent.
const MAX_BUFFERED_BYTES: usize = 1024 * 1024;

/// The most of them that are copies. This bounds the memory that a peer that does not read can occupy.
const MAX_COPIED_BYTES: usize = 32 * 1024;

/// Slices that are handed to the operating system at a time.
const MAX_SLICES: usize = 256;

/// Bytes of buffer that a connection keeps while it has nothing to say.
const IDLE_CAPACITY_BYTES: usize = 4 * 1024;

/// A connection whose writes are gathered. Clones are the same connection.
///
/// After polling the connection, call [`WriteBuffer::poll_send`]; `poll_flush` does nothing.
pub(crate) struct WriteBuffer<S>(Arc<Mutex<Inner<S>>>);

struct Inner<S> {
    stream: S,
    /// Buffered bytes, in order: `pieces`, then `copied`.
    pieces: VecDeque<Bytes>,
    copied: BytesMut,
    /// Bytes in `pieces`, and how many of them are copies.
    waiting: usize,
    waiting_copied: usize,
    is_unflushed: bool,
    /// Whether the last write was taken as a whole, so that what was gathered ends with a whole frame.
    is_whole: bool,
    sent_in_all: u64,
    received_in_all: u64,
}

impl<S> Clone for WriteBuffer<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WriteBuffer<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            stream,
            pieces: VecDeque::new(),
            copied: BytesMut::new(),
            waiting: 0,
            waiting_copied: 0,
            is_unflushed: false,
            is_whole: true,
            sent_in_all: 0,
            received_in_all: 0,
        })))
    }

    /// Sends what was gathered.
    pub(crate) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_send(cx)
    }

    /// Puts a frame of our own between those of h2, unless h2 is in the middle of one; returns whether it did.
    ///
    /// To be called after h2 was polled: it offers whole frames and goes on until all is taken or it has to wait.
    pub(crate) fn interject(&self, frame: &[u8]) -> bool {
        let mut inner = self.inner();
        if inner.is_whole {
            inner.copied.extend_from_slice(frame);
        }
        inner.is_whole
    }

    /// Returns how many bytes were ever sent, and received.
    pub(crate) fn traffic(&self) -> (u64, u64) {
        let inner = self.inner();
        (inner.sent_in_all, inner.received_in_all)
    }

    /// Returns how many bytes were gathered.
    pub(crate) fn waiting(&self) -> usize {
        let inner = self.inner();
        inner.waiting + inner.copied.len()
    }

    /// Returns whether something is still to be sent.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting() > 0 || self.inner().is_unflushed
    }

    fn inner(&self) -> MutexGuard<'_, Inner<S>> {
        // Never contended: all of a connection is on one thread.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Inner<S> {
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.pieces.is_empty() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
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
        if self.is_unflushed {
            // TLS takes bytes that it has not sent yet.
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.is_unflushed = false;
        }
        // A connection that has nothing to say keeps no large buffer.
        if self.copied.capacity() > IDLE_CAPACITY_BYTES {
            self.copied = BytesMut::new();
        }
        self.waiting_copied = 0;
        Poll::Ready(Ok(()))
    }

    fn sent(&mut self, mut sent: usize) -> io::Result<()> {
        if sent == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.sent_in_all += sent as u64;
        self.is_unflushed = true;
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
        let offered = data::offered();
        self.is_whole = false;
        if self.waiting >= MAX_BUFFERED_BYTES || self.waiting_copied + self.copied.len() >= MAX_COPIED_BYTES {
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
            let room = MAX_COPIED_BYTES - self.waiting_copied - self.copied.len();
            let part = slice.len().min(room);
            if self.copied.len() + part > IDLE_CAPACITY_BYTES {
                // All at once: a buffer that grows step by step is copied at each.
                self.copied.reserve(room);
            }
            self.copied.extend_from_slice(&slice[..part]);
            taken += part;
            if part < slice.len() {
                break;
            }
        }
        self.is_whole = taken == slices.iter().map(|slice| slice.len()).sum::<usize>();
        Poll::Ready(Ok(taken))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WriteBuffer<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.inner();
        let before = out.filled().len();
        let read = Pin::new(&mut inner.stream).poll_read(cx, out);
        inner.received_in_all += (out.filled().len() - before) as u64;
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WriteBuffer<S> {
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

    /// Does nothing: the owner calls `poll_send`, see the module documentation.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.inner();
        ready!(inner.poll_send(cx))?;
        Pin::new(&mut inner.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use proptest::prelude::*;

    use super::data::Data;
    use super::*;

    /// A peer that takes so many bytes of each write in turn; none makes the writer wait.
    #[derive(Default)]
    struct Peer {
        takes: VecDeque<usize>,
        taken: Vec<u8>,
        flushed: usize,
    }

    impl AsyncRead for Peer {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Peer {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            match self.takes.pop_front() {
                Some(0) | None => Poll::Pending,
                Some(most) => {
                    let part = most.min(bytes.len());
                    self.taken.extend_from_slice(&bytes[..part]);
                    Poll::Ready(Ok(part))
                }
            }
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let all: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
            self.poll_write(cx, &all)
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.flushed = self.taken.len();
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Writes a head and data as h2 does, or what is left of them; returns whether all of it was taken.
    fn write(gather: &mut WriteBuffer<Peer>, head: &mut &[u8], data: &mut Data) -> bool {
        let cx = &mut Context::from_waker(Waker::noop());
        let mut frame = head.chain(data);
        while frame.has_remaining() {
            let mut slices = [IoSlice::new(&[]); 4];
            let count = frame.chunks_vectored(&mut slices);
            match Pin::new(&mut *gather).poll_write_vectored(cx, &slices[..count]) {
                Poll::Ready(taken) => frame.advance(taken.unwrap()),
                Poll::Pending => return false,
            }
        }
        true
    }

    proptest! {
        #[test]
        fn a_peer_gets_what_was_written_in_order_however_little_it_takes_at_a_time(
            writes in proptest::collection::vec((any::<bool>(), 0..20_000_usize), 0..40),
            takes in proptest::collection::vec(0..50_000_usize, 0..200),
        ) {
            let cx = &mut Context::from_waker(Waker::noop());
            let mut gather = WriteBuffer::new(Peer { takes: takes.into(), ..Peer::default() });
            let mut expected = Vec::new();
            for (number, (lasts, length)) in writes.into_iter().enumerate() {
                let bytes = Bytes::from(vec![u8::try_from(number).unwrap(); length]);
                let mut data = if lasts { Data::lasting(bytes.clone(), None) } else { Data::made(bytes.clone(), None) };
                expected.extend_from_slice(b"head");
                expected.extend_from_slice(&bytes);
                let (mut head, mut patience) = (b"head".as_slice(), 1000);
                while !write(&mut gather, &mut head, &mut data) {
                    gather.inner().stream.takes.push_back(50_000);
                    patience -= 1;
                    prop_assert!(patience > 0);
                }
            }
            gather.inner().stream.takes.extend([100_000; 64]);
            // What is left of `takes` may have the writer wait, too.
            let mut patience = 1000;
            while gather.poll_send(cx).is_pending() {
                patience -= 1;
                prop_assert!(patience > 0);
            }
            prop_assert!(!gather.is_waiting());
            prop_assert_eq!(gather.inner().stream.flushed, expected.len());
            prop_assert!(gather.inner().stream.taken == expected);
        }
    }

    #[test]
    fn a_frame_of_our_own_goes_between_frames_and_never_into_one() {
        let cx = &mut Context::from_waker(Waker::noop());
        let mut gather = WriteBuffer::new(Peer::default());
        let (mut head, mut data) = (b"head".as_slice(), Data::made(vec![7; MAX_COPIED_BYTES].into(), None));
        assert!(!write(&mut gather, &mut head, &mut data), "a part of the frame is taken");
        assert!(!gather.interject(b"own"));
        gather.inner().stream.takes.extend([100_000; 4]);
        assert!(write(&mut gather, &mut head, &mut data));
        assert!(gather.interject(b"own"));
        assert!(write(&mut gather, &mut b"next".as_slice(), &mut Data::made(Bytes::new(), None)));
        assert!(gather.poll_send(cx).is_ready());
        let expected = [b"head".as_slice(), &vec![7; MAX_COPIED_BYTES], b"own", b"next"].concat();
        assert!(gather.inner().stream.taken == expected);
    }

    #[test]
    fn a_peer_that_reads_nothing_costs_a_bounded_buffer_and_shares_of_what_lasts() {
        let mut gather = WriteBuffer::new(Peer::default());
        let lasting = Bytes::from(vec![7; 16 * 1024]);
        let mut written = 0;
        while write(&mut gather, &mut [0; 9].as_slice(), &mut Data::lasting(lasting.clone(), None)) {
            written += 1;
            assert!(
                gather.waiting() <= MAX_BUFFERED_BYTES + lasting.len() + 9,
                "{} bytes wait",
                gather.waiting()
            );
        }
        assert!(written >= MAX_BUFFERED_BYTES / lasting.len() - 1, "only {written} were taken");
        assert!(gather.inner().pieces.iter().any(|piece| piece.as_ptr() == lasting.as_ptr()));
        assert!(gather.inner().waiting_copied <= 9 * (written + 1));

        let mut gather = WriteBuffer::new(Peer::default());
        while write(&mut gather, &mut [0; 9].as_slice(), &mut Data::made(lasting.clone(), None)) {
            assert!(gather.waiting() <= MAX_COPIED_BYTES, "{} bytes wait", gather.waiting());
        }
    }
}
