//! Logs why h2 resets requests over a Unix socket whose `:authority` is invalid.
//!
//! Some clients send the path of the socket, or nothing, as `:authority`, which is neither a host nor a port
//! (RFC 9113 §8.3.1). h2 resets such a stream with `PROTOCOL_ERROR` without reporting it, so this module finds the
//! reset in the frames that are sent.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tracing::warn;

/// Length of a frame header in bytes (RFC 9113 §4.1).
const FRAME_HEADER_BYTES: usize = 9;

/// The type of `RST_STREAM`, whose payload is an error code (RFC 9113 §6.4).
const RST_STREAM: u8 = 3;

/// The error code `PROTOCOL_ERROR` (RFC 9113 §7).
const PROTOCOL_ERROR: [u8; 4] = [0, 0, 0, 1];

/// A connection over a Unix socket. Logs a warning the first time that a request is reset for its `:authority`.
pub(crate) struct AuthorityErrorLogger<S> {
    stream: S,
    /// `None` once the warning is logged.
    frames: Option<FrameScanner>,
}

impl<S> AuthorityErrorLogger<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, frames: Some(FrameScanner::default()) }
    }

    fn observe(&mut self, sent: &[u8]) {
        if self.frames.as_mut().is_some_and(|frames| frames.contains_protocol_error(sent)) {
            self.frames = None;
            warn!(
                "a request over the Unix socket was reset with PROTOCOL_ERROR, most likely because its :authority is the \
                 path of the socket; set the client's authority to a host name, for example \
                 grpc.default_authority=localhost, see docs/operations/run.md"
            );
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for AuthorityErrorLogger<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, out)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for AuthorityErrorLogger<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.observe(&bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, slices))?;
        let mut unobserved = written;
        for slice in slices {
            let sent = unobserved.min(slice.len());
            self.observe(&slice[..sent]);
            unobserved -= sent;
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Incremental parser of HTTP/2 frames.
#[derive(Default)]
struct FrameScanner {
    /// Bytes received of the current frame's header and, for `RST_STREAM`, of its payload.
    head: Vec<u8>,
    /// Bytes of the current frame's payload still to be skipped.
    skip: usize,
}

impl FrameScanner {
    /// Reads the next bytes; returns whether they complete a `RST_STREAM` with `PROTOCOL_ERROR`.
    fn contains_protocol_error(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let skipped = self.skip.min(bytes.len());
                bytes = &bytes[skipped..];
                self.skip -= skipped;
                continue;
            }
            let (&byte, rest) = bytes.split_first().unwrap_or((&0, &[]));
            self.head.push(byte);
            bytes = rest;
            if self.head.len() < FRAME_HEADER_BYTES {
                continue;
            }
            let payload =
                usize::from(self.head[0]) << 16 | usize::from(self.head[1]) << 8 | usize::from(self.head[2]);
            if self.head[3] == RST_STREAM && payload == PROTOCOL_ERROR.len() {
                if self.head.len() < FRAME_HEADER_BYTES + payload {
                    continue;
                }
                if self.head[FRAME_HEADER_BYTES..] == PROTOCOL_ERROR {
                    return true;
                }
            } else {
                self.skip = payload;
            }
            self.head.clear();
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, 0, 0, 0, 0, 1], payload].concat()
    }

    #[test]
    fn a_reset_for_a_protocol_error_is_found_however_the_frames_are_cut() {
        // The payload looks like the frame that the scanner looks for.
        let data = frame(0, &frame(RST_STREAM, &PROTOCOL_ERROR));
        let others = [frame(4, &[]), data, frame(RST_STREAM, &[0, 0, 0, 8]), frame(1, &[7; 200])].concat();
        let refusal = frame(RST_STREAM, &PROTOCOL_ERROR);
        for size in 1..20 {
            let mut frames = FrameScanner::default();
            assert!(!others.chunks(size).any(|part| frames.contains_protocol_error(part)), "{size}");
            let found: Vec<_> =
                refusal.chunks(size).map(|part| frames.contains_protocol_error(part)).collect();
            assert_eq!(found.iter().position(|found| *found), Some(found.len() - 1), "{size}");
        }
    }
}
