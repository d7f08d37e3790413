//! HTTP/1.1 connections: JSON and gRPC-Web, or an error response if both are off.

use std::convert::Infallible;
use std::error::Error;
use std::future::ready;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tracing::debug;

use crate::server::call::refusal::http_version_not_supported;
use crate::server::connection::serve_connection::{ServeConnection, ServeResult};
use crate::telemetry::metrics::Metrics;

/// Maximum number of headers of a request.
const MAX_HEADERS: usize = 100;

/// Maximum size of a request's line and headers, and of its trailers.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Maximum size of the read buffer and of the write buffer.
const MAX_BUFFER_BYTES: usize = 64 * 1024;

/// Returns a configured connection builder. `head_timeout` limits the time between a response and the complete head of
/// the next request.
pub(crate) fn builder(head_timeout: Duration) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_headers(MAX_HEADERS)
        .max_header_size(MAX_HEAD_BYTES)
        .max_buf_size(MAX_BUFFER_BYTES);
    builder
}

impl<I, S> ServeConnection for http1::Connection<TokioIo<I>, S>
where
    I: AsyncRead + AsyncWrite + Unpin + 'static,
    S: HttpService<Incoming, Error = Infallible>,
    S::ResBody: 'static,
    <S::ResBody as http_body::Body>::Error: Into<Box<dyn Error + Send + Sync>>,
{
    const HAS_TASKS: bool = false;

    fn poll_serve(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<ServeResult> {
        self.poll(cx).map_err(Into::into)
    }

    /// The next response says that the connection closes ([`Http1Call`]). hyper would close an idle connection at once, and
    /// with it a request that is on its way.
    ///
    /// [`Http1Call`]: crate::server::call::task::Http1Call
    fn start_shutdown(self: Pin<&mut Self>) {}

    fn close(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }

    fn ping(self: Pin<&mut Self>) -> bool {
        false
    }
}

/// Answers one request with [`http_version_not_supported`] and closes the connection. For HTTP/1.1 while JSON and
/// gRPC-Web are off. Counts the request in `metrics`. An idle connection is closed once `drain` completes.
///
/// # Errors
///
/// If the request is not valid HTTP/1.1 or arrives too slowly, or the connection fails.
pub(crate) async fn refuse(
    io: impl AsyncRead + AsyncWrite + Unpin,
    head_timeout: Duration,
    metrics: &Metrics,
    drain: impl Future<Output = ()>,
) -> hyper::Result<()> {
    let service = service_fn(|_: Request<Incoming>| {
        let status = StatusCode::HTTP_VERSION_NOT_SUPPORTED;
        metrics.http_refused(status);
        debug!(%status, "refused a request that is no call");
        ready(Ok::<_, Infallible>(http_version_not_supported(
            "start the service with --http on to serve JSON",
        )))
    });
    let mut connection = pin!(builder(head_timeout).serve_connection(TokioIo::new(io), service));
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = drain => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    /// Far more than a test takes.
    const HEAD_TIMEOUT: Duration = Duration::from_mins(10);

    #[tokio::test]
    async fn a_refusal_names_the_protocol_of_the_port_and_closes_the_connection() {
        let (mut peer, io) = duplex(1024);
        let serving = tokio::spawn(async { refuse(io, HEAD_TIMEOUT, &Metrics::off(), pending()).await });
        peer.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut response = String::new();
        peer.read_to_string(&mut response).await.unwrap();
        assert!(response.starts_with("HTTP/1.1 505 HTTP Version Not Supported\r\n"), "{response}");
        assert!(response.contains("connection: close\r\n"), "{response}");
        let (_, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(body.contains("gRPC") && body.contains("HTTP/2") && body.contains("--http on"), "{body}");
        serving.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_head_that_is_too_large_is_refused() {
        let many = "a: b\r\n".repeat(MAX_HEADERS + 1);
        let large = format!("a: {}\r\n", "b".repeat(MAX_HEAD_BYTES));
        for headers in [many, large] {
            let (mut peer, io) = duplex(64 * 1024);
            let serving = tokio::spawn(async { refuse(io, HEAD_TIMEOUT, &Metrics::off(), pending()).await });
            peer.write_all(format!("GET / HTTP/1.1\r\n{headers}\r\n").as_bytes()).await.unwrap();
            let mut response = String::new();
            peer.read_to_string(&mut response).await.unwrap();
            assert!(response.starts_with("HTTP/1.1 431 "), "{response}");
            serving.await.unwrap().unwrap_err();
        }
    }

    #[tokio::test]
    async fn a_drain_closes_a_connection_without_a_request() {
        let (mut peer, io) = duplex(1024);
        refuse(io, HEAD_TIMEOUT, &Metrics::off(), async {}).await.unwrap();
        assert_eq!(peer.read(&mut [0]).await.unwrap(), 0);
    }
}
