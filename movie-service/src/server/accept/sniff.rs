//! Protocol detection by the first bytes of a connection.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// The HTTP/2 connection preface (RFC 9113, section 3.4).
const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The first byte of a TLS handshake: the content type of its record (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 22;

/// Protocol of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/2: the connection begins with the whole preface.
    Http2,
    /// HTTP/1, most likely: the first byte is a letter, as in every registered method, or of an empty line, which servers
    /// ignore before a request (RFC 9112, section 2.2).
    Http1,
    /// TLS.
    Tls,
    /// None of these.
    Unknown,
}

/// Detects the protocol of a connection. Reads no more bytes than necessary.
///
/// Waits for the peer without a time limit; the caller must enforce one.
///
/// # Errors
///
/// If the connection fails, or ends before the protocol is known.
pub(crate) async fn sniff<S: AsyncRead + Unpin>(mut stream: S) -> io::Result<(Protocol, ReplayedStream<S>)> {
    let mut first = [0; PREFACE.len()];
    let mut end = 0;
    let protocol = loop {
        let count = stream.read(&mut first[end..]).await?;
        if count == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "closed before the protocol was detected",
            ));
        }
        end += count;
        if let Some(protocol) = detect(&first[..end]) {
            break protocol;
        }
    };
    Ok((protocol, ReplayedStream { first, next: 0, end, stream }))
}

/// Returns the protocol that starts with these bytes; `None` if more bytes are needed.
fn detect(first: &[u8]) -> Option<Protocol> {
    match first {
        [] => None,
        _ if first == PREFACE => Some(Protocol::Http2),
        _ if PREFACE.starts_with(first) => None,
        [TLS_HANDSHAKE, ..] => Some(Protocol::Tls),
        [b'A'..=b'Z' | b'a'..=b'z' | b'\r' | b'\n', ..] => Some(Protocol::Http1),
        _ => Some(Protocol::Unknown),
    }
}

/// A stream that replays the bytes that were read for detection.
#[derive(Debug)]
pub(crate) struct ReplayedStream<S> {
    first: [u8; PREFACE.len()],
    /// `first[next..end]` has not been replayed yet.
    next: usize,
    end: usize,
    stream: S,
}

impl<S: AsyncRead + Unpin> AsyncRead for ReplayedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.next == self.end {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let count = buffer.remaining().min(self.end - self.next);
        buffer.put_slice(&self.first[self.next..self.next + count]);
        self.next += count;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReplayedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;

    const CASES: [(&[u8], Protocol); 8] = [
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n and frames", Protocol::Http2),
        (b"PRI * HTTP/1.1\r\n\r\n", Protocol::Http1),
        (b"POST /Movie/GetMovieByID HTTP/1.1\r\n", Protocol::Http1),
        (b"GET / HTTP/1.1\r\n", Protocol::Http1),
        (b"\x16\x03\x01\x02\x00\x01", Protocol::Tls),
        (b"get / HTTP/1.1\r\n", Protocol::Http1),
        (b"\0\0\x12\x04\0", Protocol::Unknown),
        (b"\r\nGET / HTTP/1.1\r\n", Protocol::Http1),
    ];

    #[tokio::test]
    async fn a_protocol_is_detected_and_its_bytes_are_replayed() {
        for (bytes, expected) in CASES {
            let (protocol, mut replayed) = sniff(bytes).await.unwrap();
            assert_eq!(protocol, expected, "{}", bytes.escape_ascii());
            let mut again = Vec::new();
            replayed.read_to_end(&mut again).await.unwrap();
            assert_eq!(again, bytes);
        }
    }

    #[tokio::test]
    async fn bytes_may_arrive_and_be_read_one_at_a_time() {
        for (bytes, expected) in CASES {
            // A pipe of capacity 1 delivers one byte at a time.
            let (mut peer, stream) = duplex(1);
            let writing = tokio::spawn(async move { peer.write_all(bytes).await });
            let (protocol, mut replayed) = sniff(stream).await.unwrap();
            assert_eq!(protocol, expected, "{}", bytes.escape_ascii());
            for byte in bytes {
                assert_eq!(replayed.read_u8().await.unwrap(), *byte);
            }
            writing.await.unwrap().unwrap();
        }
    }

    #[test]
    fn detection_needs_no_more_bytes_than_necessary() {
        let cases: [(&[u8], usize); 5] =
            [(&PREFACE, 24), (b"POST /", 2), (b"PRI * HTTP/1.1", 12), (b"GET /", 1), (b"\x16\x03\x01", 1)];
        for (bytes, needed) in cases {
            assert_eq!(detect(&bytes[..needed - 1]), None, "{}", bytes.escape_ascii());
            assert_ne!(detect(&bytes[..needed]), None, "{}", bytes.escape_ascii());
        }
    }

    #[tokio::test]
    async fn a_connection_that_closes_before_detection_is_an_error() {
        for bytes in [&b""[..], b"P", &PREFACE[..23]] {
            let error = sniff(bytes).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{}", bytes.escape_ascii());
        }
    }

    #[tokio::test]
    async fn vectored_writes_pass_through() {
        let (mut peer, stream) = duplex(64);
        peer.write_all(b"GET ").await.unwrap();
        let (_, mut replayed) = sniff(stream).await.unwrap();
        assert!(replayed.is_write_vectored());
        let count = replayed.write_vectored(&[IoSlice::new(b"ab"), IoSlice::new(b"c")]).await.unwrap();
        assert_eq!(count, 3);
        replayed.shutdown().await.unwrap();
        let mut written = String::new();
        peer.read_to_string(&mut written).await.unwrap();
        assert_eq!(written, "abc");
    }
}
