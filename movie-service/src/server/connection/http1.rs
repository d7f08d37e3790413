//! HTTP/1.1 connections: gRPC-Web, and a hint for callers that expect a web site.

use std::convert::Infallible;
use std::error::Error;
use std::future::ready;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::server::call::refusal::signpost;
use crate::server::connection::serving::{Left, Serving};

/// The most headers of a request.
const MAX_HEADERS: usize = 100;

/// The most bytes of a request's line and headers, and of its trailers.
const MAX_HEAD: usize = 16 * 1024;

/// The most bytes that are read ahead, and of a response that wait for the peer to read.
const MAX_BUFFER: usize = 64 * 1024;

/// Configured hyper connection builder. `head_timeout` limits the time between a response and the complete head of
/// the next request.
pub(crate) fn builder(head_timeout: Duration) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_headers(MAX_HEADERS)
        .max_header_size(MAX_HEAD)
        .max_buf_size(MAX_BUFFER);
    builder
}

impl<I, S> Serving for http1::Connection<TokioIo<I>, S>
where
    I: AsyncRead + AsyncWrite + Unpin + 'static,
    S: HttpService<Incoming, Error = Infallible>,
    S::ResBody: 'static,
    <S::ResBody as http_body::Body>::Error: Into<Box<dyn Error + Send + Sync>>,
{
    const HAS_TASKS: bool = false;

    fn poll_serve(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Left> {
        self.poll(cx).map_err(Into::into)
    }

    fn leave(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }

    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }

    fn ping(self: Pin<&mut Self>) -> bool {
        false
    }
}

/// Serves a connection until either side ends it. Once `drain` completes, the request in flight is the last.
///
/// # Errors
///
/// If the peer does not speak HTTP/1.1 or is too slow, or the connection fails.
async fn serve<I, S>(
    io: I,
    service: S,
    head_timeout: Duration,
    drain: impl Future<Output = ()>,
) -> hyper::Result<()>
where
    I: AsyncRead + AsyncWrite + Unpin,
    S: HttpService<Incoming, Error = Infallible>,
    S::ResBody: 'static,
    <S::ResBody as http_body::Body>::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut connection = pin!(builder(head_timeout).serve_connection(TokioIo::new(io), service));
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = drain => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

/// Answers one request with [`signpost`] and closes: for a connection of HTTP/1.1 when gRPC-Web is off.
///
/// # Errors
///
/// If the peer does not speak HTTP/1.1 or is too slow, or the connection fails.
pub(crate) async fn refuse(
    io: impl AsyncRead + AsyncWrite + Unpin,
    head_timeout: Duration,
    drain: impl Future<Output = ()>,
) -> hyper::Result<()> {
    let service = service_fn(|_: Request<Incoming>| {
        ready(Ok(signpost("start the service with --web-origin to have it speak gRPC-Web, too")))
    });
    serve(io, service, head_timeout, drain).await
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::sync::{Notify, oneshot};
    use tokio::task::JoinHandle;

    use http::Response;
    use tonic::body::Body;

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

    /// Far more than a test takes.
    const LONG: Duration = Duration::from_mins(10);

    /// Serves an end of a pipe with a service that says `Hello.`; returns the other end.
    fn start(
        head_timeout: Duration,
        drain: impl Future<Output = ()> + Send + 'static,
    ) -> (DuplexStream, JoinHandle<hyper::Result<()>>) {
        let (peer, io) = duplex(64 * 1024);
        let service =
            service_fn(|_: Request<Incoming>| ready(Ok(Response::new(Body::new("Hello.".to_owned())))));
        (peer, tokio::spawn(serve(io, service, head_timeout, drain)))
    }

    /// Reads the response to a request.
    async fn answer(peer: &mut DuplexStream) -> String {
        let mut read = String::new();
        while !read.ends_with("Hello.") {
            read.push(peer.read_u8().await.unwrap().into());
        }
        read
    }

    async fn rest(mut peer: DuplexStream) -> String {
        let mut rest = String::new();
        peer.read_to_string(&mut rest).await.unwrap();
        rest
    }

    #[tokio::test]
    async fn one_connection_serves_many_requests_until_the_peer_closes() {
        let (mut peer, serving) = start(LONG, pending());
        for _ in 0..3 {
            peer.write_all(REQUEST).await.unwrap();
            assert!(answer(&mut peer).await.starts_with("HTTP/1.1 200 OK\r\n"));
        }
        drop(peer);
        serving.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_head_that_takes_too_long_is_cut_off() {
        for sent in [&b""[..], b"GET / HTTP/1.1\r\nhost: loc"] {
            let (mut peer, serving) = start(Duration::from_millis(10), pending());
            peer.write_all(sent).await.unwrap();
            assert!(!rest(peer).await.contains("200"));
            assert!(serving.await.unwrap().unwrap_err().is_timeout());
        }
    }

    #[tokio::test]
    async fn a_connection_that_stays_idle_is_closed() {
        let (mut peer, serving) = start(Duration::from_millis(100), pending());
        peer.write_all(REQUEST).await.unwrap();
        answer(&mut peer).await;
        assert_eq!(rest(peer).await, "");
        assert!(serving.await.unwrap().unwrap_err().is_timeout());
    }

    #[tokio::test]
    async fn a_head_that_is_too_large_is_refused() {
        let many = "a: b\r\n".repeat(MAX_HEADERS + 1);
        let large = format!("a: {}\r\n", "b".repeat(MAX_HEAD));
        for headers in [many, large] {
            let (mut peer, serving) = start(LONG, pending());
            let head = format!("GET / HTTP/1.1\r\n{headers}\r\n");
            peer.write_all(head.as_bytes()).await.unwrap();
            assert!(rest(peer).await.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"));
            serving.await.unwrap().unwrap_err();
        }
    }

    #[tokio::test]
    async fn a_drain_closes_an_idle_connection_at_once() {
        for requests in [0, 1] {
            let (stop, stopped) = oneshot::channel::<()>();
            let (mut peer, serving) = start(LONG, async { drop(stopped.await) });
            for _ in 0..requests {
                peer.write_all(REQUEST).await.unwrap();
                answer(&mut peer).await;
            }
            drop(stop);
            assert_eq!(rest(peer).await, "");
            serving.await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn a_drain_lets_the_request_in_flight_end() {
        let (mut peer, io) = duplex(1024);
        let (called, stop, stopping, finish) = (Notify::new(), Notify::new(), Notify::new(), Notify::new());
        let service = service_fn(async |_: Request<Incoming>| {
            called.notify_one();
            finish.notified().await;
            Ok(Response::new(Body::new("Hello.".to_owned())))
        });
        let drain = async {
            stop.notified().await;
            stopping.notify_one();
        };
        let serving = serve(io, service, LONG, drain);
        let calling = async {
            peer.write_all(REQUEST).await.unwrap();
            called.notified().await;
            stop.notify_one();
            stopping.notified().await;
            finish.notify_one();
            rest(peer).await
        };
        let (served, rest) = tokio::join!(serving, calling);
        served.unwrap();
        assert!(rest.contains("connection: close\r\n") && rest.ends_with("Hello."), "{rest}");
    }

    #[tokio::test]
    async fn a_refusal_says_what_this_port_speaks_and_closes() {
        let (mut peer, io) = duplex(1024);
        let serving = tokio::spawn(refuse(io, LONG, pending()));
        peer.write_all(REQUEST).await.unwrap();
        let text = rest(peer).await;
        assert!(text.starts_with("HTTP/1.1 505 HTTP Version Not Supported\r\n"), "{text}");
        assert!(text.contains("connection: close\r\n"), "{text}");
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(body.contains("gRPC") && body.contains("HTTP/2") && body.contains("--web-origin"), "{body}");
        serving.await.unwrap().unwrap();
    }
}
