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

/// The bytes of a frame's header (RFC 9113 §4.1).
const HEADER: usize = 9;

/// The type of `RST_STREAM`, whose payload is an error code (RFC 9113 §6.4).
const RST_STREAM: u8 = 3;

/// The error code `PROTOCOL_ERROR` (RFC 9113 §7).
const PROTOCOL_ERROR: [u8; 4] = [0, 0, 0, 1];

/// A connection over a Unix socket. Logs a warning the first time that a request is reset for its `:authority`.
pub(crate) struct Watched<S> {
    stream: S,
    /// `None` once the line is written.
    frames: Option<Frames>,
}

impl<S> Watched<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, frames: Some(Frames::default()) }
    }

    fn see(&mut self, sent: &[u8]) {
        if self.frames.as_mut().is_some_and(|frames| frames.have_refusal(sent)) {
            self.frames = None;
            warn!(
                "a request over the Unix socket was refused by HTTP/2, most likely since its :authority is the path of the \
                 socket; have the client send a host, for example with grpc.default_authority=localhost, see \
                 docs/operations/run.md"
            );
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, out)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.see(&bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, slices))?;
        let mut left = written;
        for slice in slices {
            let sent = left.min(slice.len());
            self.see(&slice[..sent]);
            left -= sent;
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

/// The frames of a stream of bytes.
#[derive(Default)]
struct Frames {
    /// Bytes received of the current frame's header and, for `RST_STREAM`, of its payload.
    head: Vec<u8>,
    /// Bytes of the current frame's payload still to be skipped.
    left: usize,
}

impl Frames {
    /// Takes the next bytes; returns whether they end a `RST_STREAM` with `PROTOCOL_ERROR`.
    fn have_refusal(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            if self.left > 0 {
                let passed = self.left.min(bytes.len());
                bytes = &bytes[passed..];
                self.left -= passed;
                continue;
            }
            let (&byte, rest) = bytes.split_first().unwrap_or((&0, &[]));
            self.head.push(byte);
            bytes = rest;
            if self.head.len() < HEADER {
                continue;
            }
            let payload =
                usize::from(self.head[0]) << 16 | usize::from(self.head[1]) << 8 | usize::from(self.head[2]);
            if self.head[3] == RST_STREAM && payload == PROTOCOL_ERROR.len() {
                if self.head.len() < HEADER + payload {
                    continue;
                }
                if self.head[HEADER..] == PROTOCOL_ERROR {
                    return true;
                }
            } else {
                self.left = payload;
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
        // Its payload looks like the frame that is looked for.
        let data = frame(0, &frame(RST_STREAM, &PROTOCOL_ERROR));
        let others = [frame(4, &[]), data, frame(RST_STREAM, &[0, 0, 0, 8]), frame(1, &[7; 200])].concat();
        let refusal = frame(RST_STREAM, &PROTOCOL_ERROR);
        for size in 1..20 {
            let mut frames = Frames::default();
            assert!(!others.chunks(size).any(|part| frames.have_refusal(part)), "{size}");
            let found: Vec<_> = refusal.chunks(size).map(|part| frames.have_refusal(part)).collect();
            assert_eq!(found.iter().position(|found| *found), Some(found.len() - 1), "{size}");
        }
    }
}
