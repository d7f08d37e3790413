//! Write buffer of a connection: combines frames into few vectored writes.
//!
//! h2 writes and flushes every DATA frame by itself, and a frame has 16 KiB unless the peer asks for more. For a
//! list that is a system call, and often a wake-up of the peer, for every 16 KiB. A [`WriteBuffer`] takes the frames
//! instead and sends many at once: sending a list in writes of 1 MiB takes half the CPU time of writes of 64 KiB.
//!
//! Small writes are copied. Data of the catalogue is shared ([`OfferedBytes`]), so that a peer that does not read costs
//! little memory beyond the catalogue.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::server::call::response_data::OfferedBytes;

/// Buffered bytes from which no more are taken until some are sent.
const MAX_BUFFERED_BYTES: usize = 1024 * 1024;

/// Maximum number of buffered bytes that are copies. This bounds the memory that a peer that does not read can occupy.
const MAX_COPIED_BYTES: usize = 32 * 1024;

/// Maximum number of slices of one system call.
const MAX_SLICES: usize = 256;

/// Capacity of the buffer that a connection keeps while it has nothing to send.
const IDLE_CAPACITY_BYTES: usize = 4 * 1024;

/// A connection whose writes are buffered. Clones are the same connection.
///
/// After polling the connection, call [`WriteBuffer::poll_send`]; `poll_flush` does nothing.
pub(crate) struct WriteBuffer<S>(Arc<Mutex<Inner<S>>>);

struct Inner<S> {
    stream: S,
    /// Buffered bytes, in order: `queue`, then `copied`.
    queue: VecDeque<Bytes>,
    copied: BytesMut,
    /// Bytes in `queue`, and how many of them are copies.
    queued_bytes: usize,
    queued_copied_bytes: usize,
    is_unflushed: bool,
    /// Whether the last write was buffered completely, so that the buffer ends with a whole frame.
    ends_with_whole_frame: bool,
    /// Totals of the connection.
    sent_bytes: u64,
    received_bytes: u64,
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
            queue: VecDeque::new(),
            copied: BytesMut::new(),
            queued_bytes: 0,
            queued_copied_bytes: 0,
            is_unflushed: false,
            ends_with_whole_frame: true,
            sent_bytes: 0,
            received_bytes: 0,
        })))
    }

    /// Sends the buffered bytes.
    pub(crate) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_send(cx)
    }

    /// Inserts a frame between those of h2, unless h2 is in the middle of one; returns whether it did.
    ///
    /// Call this after h2 was polled: it writes whole frames, and continues until they are buffered or it has to wait.
    pub(crate) fn insert_frame(&self, frame: &[u8]) -> bool {
        let mut inner = self.inner();
        if inner.ends_with_whole_frame {
            inner.copied.extend_from_slice(frame);
        }
        inner.ends_with_whole_frame
    }

    /// Returns the bytes sent and received since the connection began.
    pub(crate) fn traffic(&self) -> (u64, u64) {
        let inner = self.inner();
        (inner.sent_bytes, inner.received_bytes)
    }

    /// Returns the number of buffered bytes.
    pub(crate) fn buffered_bytes(&self) -> usize {
        let inner = self.inner();
        inner.queued_bytes + inner.copied.len()
    }

    /// Returns whether data is buffered, here or in the stream.
    pub(crate) fn has_unsent_data(&self) -> bool {
        self.buffered_bytes() > 0 || self.inner().is_unflushed
    }

    fn inner(&self) -> MutexGuard<'_, Inner<S>> {
        // Never contended: all of a connection is on one thread.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Inner<S> {
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let mut count = 0;
            for (slice, piece) in
                slices.iter_mut().zip(self.queue.iter().map(Bytes::as_ref).chain([self.copied.as_ref()]))
            {
                *slice = IoSlice::new(piece);
                count += 1;
            }
            let sent = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, &slices[..count]))?;
            self.remove_sent(sent)?;
        }
        while !self.copied.is_empty() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.copied))?;
            self.remove_sent(sent)?;
        }
        if self.is_unflushed {
            // TLS buffers bytes, too.
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.is_unflushed = false;
        }
        // A connection that has nothing to send keeps no large buffer.
        if self.copied.capacity() > IDLE_CAPACITY_BYTES {
            self.copied = BytesMut::new();
        }
        self.queued_copied_bytes = 0;
        Poll::Ready(Ok(()))
    }

    /// Removes the first `sent` bytes from the buffer.
    fn remove_sent(&mut self, mut sent: usize) -> io::Result<()> {
        if sent == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.sent_bytes += sent as u64;
        self.is_unflushed = true;
        while let Some(first) = self.queue.front_mut() {
            let part = sent.min(first.len());
            self.queued_bytes -= part;
            sent -= part;
            if part < first.len() {
                first.advance(part);
                return Ok(());
            }
            self.queue.pop_front();
        }
        self.copied.advance(sent);
        Ok(())
    }

    /// Buffers as much as there is room for, and waits while there is none.
    fn poll_buffer(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let offered = OfferedBytes::take();
        self.ends_with_whole_frame = false;
        if self.queued_bytes >= MAX_BUFFERED_BYTES
            || self.queued_copied_bytes + self.copied.len() >= MAX_COPIED_BYTES
        {
            ready!(self.poll_send(cx))?;
        }
        let mut buffered = 0;
        for slice in slices.iter().filter(|slice| !slice.is_empty()) {
            if let Some(shared) = offered.share(slice) {
                self.queued_copied_bytes += self.copied.len();
                self.queued_bytes += self.copied.len() + shared.len();
                if !self.copied.is_empty() {
                    let copied = self.copied.split().freeze();
                    self.queue.push_back(copied);
                }
                buffered += shared.len();
                self.queue.push_back(shared);
                continue;
            }
            let room = MAX_COPIED_BYTES - self.queued_copied_bytes - self.copied.len();
            let part = slice.len().min(room);
            if self.copied.len() + part > IDLE_CAPACITY_BYTES {
                // Reserve all at once: a buffer that grows step by step is copied at each step.
                self.copied.reserve(room);
            }
            self.copied.extend_from_slice(&slice[..part]);
            buffered += part;
            if part < slice.len() {
                break;
            }
        }
        self.ends_with_whole_frame = buffered == slices.iter().map(|slice| slice.len()).sum::<usize>();
        Poll::Ready(Ok(buffered))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WriteBuffer<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.inner();
        let before = out.filled().len();
        let read = Pin::new(&mut inner.stream).poll_read(cx, out);
        inner.received_bytes += (out.filled().len() - before) as u64;
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WriteBuffer<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.inner().poll_buffer(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.inner().poll_buffer(cx, slices)
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

    use super::*;
    use crate::server::call::response_data::ResponseData;

    /// A peer that accepts `capacities` bytes of each write in turn; for 0 it makes the writer wait.
    #[derive(Default)]
    struct Peer {
        capacities: VecDeque<usize>,
        received: Vec<u8>,
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
            match self.capacities.pop_front() {
                Some(0) | None => Poll::Pending,
                Some(capacity) => {
                    let part = capacity.min(bytes.len());
                    self.received.extend_from_slice(&bytes[..part]);
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
            self.flushed = self.received.len();
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Writes a head and data as h2 does, or what is left of them; returns whether all of it was buffered.
    fn write(write_buffer: &mut WriteBuffer<Peer>, head: &mut &[u8], data: &mut ResponseData) -> bool {
        let cx = &mut Context::from_waker(Waker::noop());
        let mut frame = head.chain(data);
        while frame.has_remaining() {
            let mut slices = [IoSlice::new(&[]); 4];
            let count = frame.chunks_vectored(&mut slices);
            match Pin::new(&mut *write_buffer).poll_write_vectored(cx, &slices[..count]) {
                Poll::Ready(buffered) => frame.advance(buffered.unwrap()),
                Poll::Pending => return false,
            }
        }
        true
    }

    proptest! {
        #[test]
        fn a_peer_receives_the_writes_in_order_however_little_it_accepts_at_a_time(
            writes in proptest::collection::vec((any::<bool>(), 0..20_000_usize), 0..40),
            capacities in proptest::collection::vec(0..50_000_usize, 0..200),
        ) {
            let cx = &mut Context::from_waker(Waker::noop());
            let mut write_buffer = WriteBuffer::new(Peer { capacities: capacities.into(), ..Peer::default() });
            let mut expected = Vec::new();
            for (number, (is_shared, length)) in writes.into_iter().enumerate() {
                let bytes = Bytes::from(vec![u8::try_from(number).unwrap(); length]);
                let new = if is_shared { ResponseData::shared } else { ResponseData::owned };
                let mut data = new(bytes.clone(), None);
                expected.extend_from_slice(b"head");
                expected.extend_from_slice(&bytes);
                let (mut head, mut attempts) = (b"head".as_slice(), 0);
                while !write(&mut write_buffer, &mut head, &mut data) {
                    write_buffer.inner().stream.capacities.push_back(50_000);
                    attempts += 1;
                    prop_assert!(attempts < 1000);
                }
            }
            write_buffer.inner().stream.capacities.extend([100_000; 64]);
            // The remaining capacities may make the writer wait, too.
            let mut attempts = 0;
            while write_buffer.poll_send(cx).is_pending() {
                attempts += 1;
                prop_assert!(attempts < 1000);
            }
            prop_assert!(!write_buffer.has_unsent_data());
            prop_assert_eq!(write_buffer.inner().stream.flushed, expected.len());
            prop_assert!(write_buffer.inner().stream.received == expected);
        }
    }

    #[test]
    fn an_inserted_frame_goes_between_frames_and_never_into_one() {
        let cx = &mut Context::from_waker(Waker::noop());
        let mut write_buffer = WriteBuffer::new(Peer::default());
        let (mut head, mut data) =
            (b"head".as_slice(), ResponseData::owned(vec![7; MAX_COPIED_BYTES].into(), None));
        assert!(!write(&mut write_buffer, &mut head, &mut data), "a part of the frame is buffered");
        assert!(!write_buffer.insert_frame(b"own"));
        write_buffer.inner().stream.capacities.extend([100_000; 4]);
        assert!(write(&mut write_buffer, &mut head, &mut data));
        assert!(write_buffer.insert_frame(b"own"));
        assert!(write(
            &mut write_buffer,
            &mut b"next".as_slice(),
            &mut ResponseData::owned(Bytes::new(), None)
        ));
        assert!(write_buffer.poll_send(cx).is_ready());
        let expected = [b"head".as_slice(), &vec![7; MAX_COPIED_BYTES], b"own", b"next"].concat();
        assert!(write_buffer.inner().stream.received == expected);
    }

    #[test]
    fn a_peer_that_reads_nothing_costs_a_bounded_buffer_and_references_to_shared_data() {
        let mut write_buffer = WriteBuffer::new(Peer::default());
        let shared = Bytes::from(vec![7; 16 * 1024]);
        let mut written = 0;
        while write(
            &mut write_buffer,
            &mut [0; 9].as_slice(),
            &mut ResponseData::shared(shared.clone(), None),
        ) {
            written += 1;
            assert!(
                write_buffer.buffered_bytes() <= MAX_BUFFERED_BYTES + shared.len() + 9,
                "{} bytes are buffered",
                write_buffer.buffered_bytes()
            );
        }
        assert!(written >= MAX_BUFFERED_BYTES / shared.len() - 1, "only {written} were buffered");
        assert!(write_buffer.inner().queue.iter().any(|bytes| bytes.as_ptr() == shared.as_ptr()));
        assert!(write_buffer.inner().queued_copied_bytes <= 9 * (written + 1));

        let mut write_buffer = WriteBuffer::new(Peer::default());
        while write(&mut write_buffer, &mut [0; 9].as_slice(), &mut ResponseData::owned(shared.clone(), None))
        {
            assert!(
                write_buffer.buffered_bytes() <= MAX_COPIED_BYTES,
                "{} bytes are buffered",
                write_buffer.buffered_bytes()
            );
        }
    }
}
