//! Why a connection broke. What the layers above say of it makes nobody wiser, such as "connection closed".

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::tls::certificate_refused;
use crate::error::shown;

/// Why a connection broke, if it did. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Reason(Arc<Mutex<Option<Why>>>);

/// Why a connection broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Why {
    /// In one line.
    pub(crate) text: String,
    /// Whether the peer does not take the client's certificate, or misses one.
    pub(crate) is_about_certificate: bool,
}

/// A connection that notes why it breaks.
pub(super) struct Watched<T> {
    inner: T,
    reason: Reason,
    has_begun: bool,
}

impl Reason {
    pub(crate) fn get(&self) -> Option<Why> {
        self.lock().clone()
    }

    /// Returns whether it is of the same connection.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn note(&self, text: &str) {
        self.note_why(Why { text: shown(text), is_about_certificate: false });
    }

    fn note_error(&self, error: &io::Error) {
        match certificate_refused(error) {
            Some(text) => self.note_why(Why { text, is_about_certificate: true }),
            None => self.note(&error.to_string()),
        }
    }

    fn note_why(&self, why: Why) {
        // What comes first is the reason of the rest.
        self.lock().get_or_insert(why);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Why>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Watched<T> {
    /// Begins to watch a connection.
    pub(super) fn new(inner: T, reason: Reason) -> Self {
        Self { inner, reason, has_begun: false }
    }

    fn noted<R>(&self, result: io::Result<R>) -> io::Result<R> {
        result.inspect_err(|error| self.reason.note_error(error))
    }
}

/// Says what speaks there, if it is not HTTP/2. That begins with a frame whose length, in three bytes, is below 65,536.
fn stranger(first: u8) -> Option<&'static str> {
    match first {
        0 => None,
        // The type of an alert.
        0x15 => Some("it speaks TLS; is it https instead of http?"),
        b'H' => Some("it speaks HTTP/1.1, and not HTTP/2 as gRPC does"),
        _ => Some("it does not speak HTTP/2, as gRPC does"),
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.inner).poll_read(cx, buffer));
        self.noted(read)?;
        match buffer.filled().get(before) {
            None if buffer.remaining() > 0 => self.reason.note("it hung up"),
            Some(first) if !self.has_begun => {
                self.has_begun = true;
                if let Some(stranger) = stranger(*first) {
                    // Who gets an error gets nothing else.
                    buffer.set_filled(before);
                    return Poll::Ready(self.noted(Err(io::Error::other(stranger))));
                }
            }
            None | Some(_) => {}
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Watched<T> {
    /// Notes why something could not be written. What the peer said before it hung up is a better reason than that it did.
    fn written<R>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        let Poll::Ready(Err(error)) = &result else { return result };
        if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) {
            // Then there is something to read, if only the end, and who is called again gets the error again.
            let mut last_words = [0; 64];
            let read = ready!(Pin::new(&mut *self).poll_read(cx, &mut ReadBuf::new(&mut last_words)));
            // Noted already.
            drop(read);
        }
        self.reason.note_error(error);
        result
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.written(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.written(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    async fn told(said: &[u8]) -> (io::Result<usize>, Option<String>) {
        let reason = Reason::default();
        let read = Watched::new(said, reason.clone()).read_to_end(&mut Vec::new()).await;
        (read, reason.get().map(|why| why.text))
    }

    #[tokio::test]
    async fn what_does_not_speak_http_2_is_told_by_its_first_byte() {
        for (said, part) in [(&[0x15, 3, 3][..], "https"), (b"HTTP/1.1 400", "HTTP/1.1"), (b"SSH", "HTTP/2")]
        {
            let (read, reason) = told(said).await;
            assert!(reason.as_ref().is_some_and(|reason| reason.contains(part)), "{reason:?}");
            assert_eq!(Some(read.unwrap_err().to_string()), reason);
        }
    }

    #[tokio::test]
    async fn whoever_hangs_up_after_what_was_said_has_hung_up() {
        for said in [&[][..], &[0, 0, 0, 4, 0, 0, 0, 0, 0]] {
            let (read, reason) = told(said).await;
            assert_eq!((read.unwrap(), reason.as_deref()), (said.len(), Some("it hung up")));
        }
    }
}
