//! Admin HTTP server: `/metrics`, `/livez` and `/readyz`, over HTTP/1.1.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodRouter, get};
use http::StatusCode;
use http::header::{ALLOW, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use tower::ServiceExt;
use tracing::debug;

use crate::server::accept::retry;

/// Maximum number of connections; a further one ends the oldest, so that peers that send nothing do not keep a probe
/// waiting. Few clients are expected: Prometheus and probes.
const MAX_CONNECTIONS: usize = 32;

/// Maximum time of a connection, for its only request and response. Bounds a peer that sends its headers slowly, and
/// one that does not read.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum size of the head of a request.
const MAX_HEAD_BYTES: usize = 8 * 1024;

/// The media type of Prometheus's text format.
const PROMETHEUS_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves requests until `shutdown` completes.
///
/// `metrics` returns the current metrics as text. `ready` returns the readiness of the service as text; an error if it is
/// not ready. `shutdown` should complete after the calls have ended, so that a drain can be observed.
pub async fn serve(
    listener: TcpListener,
    metrics: impl Fn() -> String + Clone + Send + Sync + 'static,
    ready: impl Fn() -> Result<&'static str, String> + Clone + Send + Sync + 'static,
    shutdown: impl Future<Output = ()>,
) {
    let router = router(metrics, ready);
    let mut connections = JoinSet::new();
    let mut by_age: VecDeque<AbortHandle> = VecDeque::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => return,
            (stream, _) = retry::accept("connections for metrics", || listener.accept()) => {
                while connections.try_join_next().is_some() {}
                by_age.retain(|connection| !connection.is_finished());
                if by_age.len() == MAX_CONNECTIONS && let Some(oldest) = by_age.pop_front() {
                    oldest.abort();
                }
                by_age.push_back(connections.spawn(serve_request(stream, router.clone())));
            }
        }
    }
}

fn router(
    metrics: impl Fn() -> String + Clone + Send + Sync + 'static,
    ready: impl Fn() -> Result<&'static str, String> + Clone + Send + Sync + 'static,
) -> Router {
    let ready = move || match ready() {
        Ok(text) => (StatusCode::OK, format!("{text}\n")),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    };
    Router::new()
        .route("/metrics", page(async move || ([(CONTENT_TYPE, PROMETHEUS_CONTENT_TYPE)], metrics())))
        .route("/livez", page(async || "alive\n"))
        .route("/readyz", page(async move || ready()))
        .fallback(page(async || (StatusCode::NOT_FOUND, "there are /metrics, /livez and /readyz\n")))
}

/// A page that refuses methods other than GET and HEAD.
fn page<H: Handler<T, ()>, T: 'static>(handler: H) -> MethodRouter {
    get(handler)
        .fallback(async || (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET, HEAD")], "only GET and HEAD\n"))
}

async fn serve_request(stream: TcpStream, router: Router) {
    // One request per connection, so that one timeout bounds all of it.
    let served = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service_fn(|request| router.clone().oneshot(request)));
    let result = match timeout(REQUEST_TIMEOUT, served).await {
        Ok(result) => result.map_err(io::Error::other),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    };
    if let Err(error) = result {
        debug!(%error, "a request for metrics failed");
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;

    use super::*;
    use crate::telemetry::metrics::Metrics;

    /// Serves on a free port of the loopback interface; ready while `ready` is true.
    async fn start(ready: Arc<AtomicBool>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let metrics = Metrics::on();
        let metrics = move || metrics.render();
        let ready =
            move || if ready.load(Ordering::Relaxed) { Ok("ready") } else { Err("no store".to_owned()) };
        tokio::spawn(serve(listener, metrics, ready, pending()));
        address
    }

    /// Sends a request line and returns the whole response.
    async fn ask(address: SocketAddr, line: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("{line} HTTP/1.1\r\nhost: test\r\n\r\n").as_bytes()).await.unwrap();
        let mut response = Vec::new();
        // If the server closes the connection with unread data, reading ends with an error after the response.
        let _ = stream.read_to_end(&mut response).await;
        String::from_utf8(response).unwrap()
    }

    #[tokio::test]
    async fn metrics_and_both_probes_are_served() {
        let ready = Arc::new(AtomicBool::new(true));
        let address = start(ready.clone()).await;
        let metrics = ask(address, "GET /metrics").await;
        assert!(metrics.starts_with("HTTP/1.1 200 OK\r\n"), "{metrics}");
        assert!(metrics.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{metrics}");
        assert!(metrics.contains("\nmovie_service_connections_open 0\n"), "{metrics}");
        assert!(ask(address, "GET /livez").await.starts_with("HTTP/1.1 200 "));
        assert!(ask(address, "GET /readyz").await.starts_with("HTTP/1.1 200 "));
        ready.store(false, Ordering::Relaxed);
        let refused = ask(address, "GET /readyz").await;
        assert!(refused.starts_with("HTTP/1.1 503 ") && refused.ends_with("\r\nno store\n"), "{refused}");
        assert!(ask(address, "GET /livez").await.starts_with("HTTP/1.1 200 "));
    }

    #[tokio::test]
    async fn other_paths_and_methods_and_long_heads_are_refused() {
        let address = start(Arc::default()).await;
        assert!(ask(address, "GET /").await.starts_with("HTTP/1.1 404 "));
        assert!(ask(address, "GET /metrics/").await.starts_with("HTTP/1.1 404 "));
        for path in ["/metrics", "/livez", "/readyz", "/"] {
            let refused = ask(address, &format!("POST {path}")).await;
            assert!(refused.starts_with("HTTP/1.1 405 "), "{refused}");
            assert!(refused.contains("allow: GET, HEAD\r\n"), "{refused}");
            assert!(refused.ends_with("\r\n\r\nonly GET and HEAD\n"), "{refused}");
        }
        let long = ask(address, &format!("GET /{}", "x".repeat(2 * MAX_HEAD_BYTES))).await;
        assert!(long.starts_with("HTTP/1.1 431 "), "{long}");
        let head = ask(address, "HEAD /livez").await;
        assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
    }

    #[tokio::test]
    async fn peers_that_do_not_finish_their_requests_do_not_delay_others() {
        let address = start(Arc::default()).await;
        let mut unfinished = Vec::new();
        for _ in 0..10 * MAX_CONNECTIONS {
            let mut peer = TcpStream::connect(address).await.unwrap();
            peer.write_all(b"GET /livez HT").await.unwrap();
            unfinished.push(peer);
        }
        // Without waiting for the time limit of the others.
        let answered = timeout(REQUEST_TIMEOUT / 2, ask(address, "GET /livez")).await.unwrap();
        assert!(answered.starts_with("HTTP/1.1 200 "), "{answered}");
    }

    #[tokio::test]
    async fn it_stops_on_shutdown_even_while_a_peer_is_connected() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving =
            tokio::spawn(serve(listener, String::new, || Ok("ready"), async { drop(stopped.await) }));
        drop(stop);
        serving.await.unwrap();
        assert_eq!(peer.read(&mut [0]).await.unwrap_or(0), 0);
    }
}
