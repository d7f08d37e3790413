//! Admin HTTP server: `/metrics`, `/livez` and `/readyz`, over HTTP/1.1.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

/// The most connections at a time; more wait to be accepted. Few clients are expected: Prometheus and probes.
const CONNECTIONS: usize = 32;

/// How long a connection may take for its one request and answer. Bounds a peer that sends its headers slowly,
/// and one that does not read.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest head of a request, in bytes.
const HEAD: usize = 8 * 1024;

/// How long to wait before accepting again when the operating system refuses.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The type of Prometheus's text format.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

const PLAIN: &str = "text/plain; charset=utf-8";

/// Answers until `shutdown` completes.
///
/// `metrics` returns the page of that name, as it is to be at this moment; `ready` returns how the service is
/// ready for calls, or why it is not. `shutdown` should complete after the calls have ended: a drain is what one
/// wants to watch.
pub async fn serve(
    listener: TcpListener,
    metrics: impl Fn() -> String + Send + Sync + 'static,
    ready: impl Fn() -> Result<&'static str, String> + Send + Sync + 'static,
    shutdown: impl Future<Output = ()>,
) {
    let pages = Arc::new(Pages { metrics, ready });
    let mut open = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => return,
            accepted = accept(&listener), if open.len() < CONNECTIONS => {
                open.spawn(answer(accepted, pages.clone()));
            }
            Some(_) = open.join_next() => {}
        }
    }
}

async fn accept(listener: &TcpListener) -> TcpStream {
    let mut refused = false;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                if !std::mem::replace(&mut refused, true) {
                    warn!(%error, "cannot accept connections for metrics for now");
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Answers one request.
async fn answer<M, R>(stream: TcpStream, pages: Arc<Pages<M, R>>)
where
    M: Fn() -> String,
    R: Fn() -> Result<&'static str, String>,
{
    let page = service_fn(|request: Request<_>| {
        let response = pages.page(request.method(), request.uri().path());
        async { Ok::<_, Infallible>(response) }
    });
    // One request a connection, so that its time can be bounded as a whole.
    let answered = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), page);
    let ended = match timeout(REQUEST_TIMEOUT, answered).await {
        Ok(ended) => ended.map_err(io::Error::other),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    };
    if let Err(error) = ended {
        debug!(%error, "a request for metrics failed");
    }
}

/// What is asked for.
struct Pages<M, R> {
    metrics: M,
    ready: R,
}

impl<M: Fn() -> String, R: Fn() -> Result<&'static str, String>> Pages<M, R> {
    fn page(&self, method: &Method, path: &str) -> Response<String> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut refused = page(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "only GET and HEAD\n".into());
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        match path {
            "/metrics" => page(StatusCode::OK, PROMETHEUS, (self.metrics)()),
            "/livez" => page(StatusCode::OK, PLAIN, "alive\n".into()),
            "/readyz" => match (self.ready)() {
                Ok(text) => page(StatusCode::OK, PLAIN, format!("{text}\n")),
                Err(reason) => page(StatusCode::SERVICE_UNAVAILABLE, PLAIN, format!("{reason}\n")),
            },
            _ => page(StatusCode::NOT_FOUND, PLAIN, "there are /metrics, /livez and /readyz\n".into()),
        }
    }
}

fn page(status: StatusCode, kind: &'static str, text: String) -> Response<String> {
    let mut response = Response::new(text);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;

    use super::*;
    use crate::telemetry::metrics::Metrics;

    /// Serves on a free port of the loopback interface; ready as long as the switch says so.
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

    /// Sends a request line and returns the whole answer.
    async fn ask(address: SocketAddr, line: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("{line} HTTP/1.1\r\nhost: test\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // What was sent and not read makes the end an error, of which the response tells.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn the_pages_are_metrics_and_the_two_probes() {
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
        let refused = ask(address, "POST /metrics").await;
        assert!(
            refused.starts_with("HTTP/1.1 405 ") && refused.contains("allow: GET, HEAD\r\n"),
            "{refused}"
        );
        let long = ask(address, &format!("GET /{}", "x".repeat(2 * HEAD))).await;
        assert!(long.starts_with("HTTP/1.1 431 "), "{long}");
        let head = ask(address, "HEAD /livez").await;
        assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
    }

    #[tokio::test]
    async fn silent_peers_do_not_keep_the_others_out() {
        let address = start(Arc::default()).await;
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        assert!(ask(address, "GET /livez").await.starts_with("HTTP/1.1 200 "));
    }

    #[tokio::test]
    async fn it_ends_when_it_is_told_also_while_a_peer_is_connected() {
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
