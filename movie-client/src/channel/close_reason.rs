//! Reason for which a connection was closed. The layers above only report "connection closed".

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::tls::certificate_refused;
use crate::error::escape_for_display;

/// Shared cell for the reason of a closed connection. Empty while the connection is open.
#[derive(Clone, Default)]
pub(crate) struct CloseReasonCell(Arc<Mutex<Option<CloseReason>>>);

/// Reason for which a connection was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// The server rejects the client's certificate, or requires one. Described in one line.
    CertificateRefused(String),
    /// The server uses TLS, but the client does not.
    ServerUsesTls,
    /// The server does not use HTTP/2. Described in one line.
    ServerUsesAnotherProtocol(&'static str),
    /// Another reason, in one line.
    Other(String),
}

/// A connection that records its first error.
pub(super) struct MonitoredIo<T> {
    inner: T,
    reason: CloseReasonCell,
    has_read: bool,
}

impl CloseReasonCell {
    pub(crate) fn get(&self) -> Option<CloseReason> {
        self.lock().clone()
    }

    /// Returns whether both cells belong to the same connection.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn set_text(&self, text: &str) {
        self.set(CloseReason::Other(escape_for_display(text)));
    }

    fn set_error(&self, error: &io::Error) {
        match certificate_refused(error) {
            Some(text) => self.set(CloseReason::CertificateRefused(text)),
            None => self.set_text(&error.to_string()),
        }
    }

    fn set(&self, reason: CloseReason) {
        // The first error causes the later ones.
        self.lock().get_or_insert(reason);
    }

    fn lock(&self) -> MutexGuard<'_, Option<CloseReason>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> MonitoredIo<T> {
    /// Wraps a connection.
    pub(super) fn new(inner: T, reason: CloseReasonCell) -> Self {
        Self { inner, reason, has_read: false }
    }

    fn record<R>(&self, result: io::Result<R>) -> io::Result<R> {
        result.inspect_err(|error| self.reason.set_error(error))
    }
}

/// Returns the reason to close a connection whose server does not use HTTP/2. An HTTP/2 connection begins with a frame
/// (RFC 9113 §3.4) whose 24-bit length is below 65,536.
fn foreign_protocol(first: u8) -> Option<CloseReason> {
    Some(match first {
        0 => return None,
        // Record type of a TLS alert (RFC 8446 §5.1).
        0x15 => CloseReason::ServerUsesTls,
        // A status line, or the page of a server that takes the preface for HTTP/0.9.
        b'H' | b'<' => CloseReason::ServerUsesAnotherProtocol("it uses HTTP/1.1, but gRPC needs HTTP/2"),
        _ => CloseReason::ServerUsesAnotherProtocol("it does not use HTTP/2, which gRPC needs"),
    })
}

impl<T: AsyncRead + Unpin> AsyncRead for MonitoredIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.inner).poll_read(cx, buffer));
        self.record(read)?;
        match buffer.filled().get(before) {
            None if buffer.remaining() > 0 => self.reason.set_text("the server closed the connection"),
            Some(first) if !self.has_read => {
                self.has_read = true;
                if let Some(reason) = foreign_protocol(*first) {
                    self.reason.set(reason);
                    // A read that fails must not return data.
                    buffer.set_filled(before);
                    return Poll::Ready(Err(io::Error::other("the server does not use HTTP/2")));
                }
            }
            None | Some(_) => {}
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> MonitoredIo<T> {
    /// Records the error of a write. An error that can be read from the connection is more specific than a broken
    /// pipe.
    fn record_write<R>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        let Poll::Ready(Err(error)) = &result else { return result };
        if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) {
            // Ready at once, because the peer closed the connection. The caller gets the write error again.
            let mut last_bytes = [0; 64];
            let read = ready!(Pin::new(&mut *self).poll_read(cx, &mut ReadBuf::new(&mut last_bytes)));
            // `poll_read` has recorded its error.
            drop(read);
        }
        self.reason.set_error(error);
        result
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for MonitoredIo<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.record_write(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.record_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.record_write(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    async fn read_all(bytes: &[u8]) -> (io::Result<usize>, Option<CloseReason>) {
        let reason = CloseReasonCell::default();
        let read = MonitoredIo::new(bytes, reason.clone()).read_to_end(&mut Vec::new()).await;
        (read, reason.get())
    }

    fn other(text: &str) -> CloseReason {
        CloseReason::Other(text.to_owned())
    }

    #[tokio::test]
    async fn another_protocol_than_http_2_is_detected_by_its_first_byte() {
        let another = CloseReason::ServerUsesAnotherProtocol;
        for (bytes, expected) in [
            (&[0x15, 3, 3][..], CloseReason::ServerUsesTls),
            (b"HTTP/1.1 400", another("it uses HTTP/1.1, but gRPC needs HTTP/2")),
            (b"<!DOCTYPE HTML>", another("it uses HTTP/1.1, but gRPC needs HTTP/2")),
            (b"SSH", another("it does not use HTTP/2, which gRPC needs")),
        ] {
            let (read, reason) = read_all(bytes).await;
            read.unwrap_err();
            assert_eq!(reason, Some(expected));
        }
    }

    #[tokio::test]
    async fn a_closed_connection_is_recorded_as_closed_by_the_server() {
        for bytes in [&[][..], &[0, 0, 0, 4, 0, 0, 0, 0, 0]] {
            let (read, reason) = read_all(bytes).await;
            assert_eq!(
                (read.unwrap(), reason),
                (bytes.len(), Some(other("the server closed the connection")))
            );
        }
    }
}
