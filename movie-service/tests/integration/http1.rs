//! What callers that speak HTTP/1.1 meet, as text over a socket.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::process::{Service, command, database};

/// How long anything may take before a test gives up. Not a measure of speed: the machine may be busy.
const TIMEOUT: Duration = Duration::from_mins(1);

/// An answer, taken apart.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status line and the headers, in lower case.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Takes apart what came until the connection was closed.
    fn new(text: &[u8]) -> Self {
        let end = text.windows(4).position(|part| part == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no answer: {}", text.escape_ascii()));
        let head = String::from_utf8(text[..end].to_ascii_lowercase()).unwrap();
        let mut body = text[end + 4..].to_owned();
        if head.contains("transfer-encoding: chunked") {
            body = joined(&body);
        }
        Self { head, body }
    }

    pub(crate) fn status(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }
}

/// Joins the chunks of a body (RFC 9112, section 7.1).
fn joined(mut chunks: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = chunks.windows(2).position(|part| part == b"\r\n").unwrap();
        let size = usize::from_str_radix(str::from_utf8(&chunks[..end]).unwrap(), 16).unwrap();
        let chunk = &chunks[end + 2..];
        if size == 0 {
            return body;
        }
        body.extend(&chunk[..size]);
        chunks = &chunk[size + 2..];
    }
}

/// Sends the only request of a connection and returns its answer.
pub(crate) async fn exchange(address: SocketAddr, head: &str, body: &[u8]) -> Answer {
    let length = body.len();
    let head = format!("{head}\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
    Answer::new(&rest(&mut stream).await)
}

/// Reads until the service closes the connection.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    tokio::time::timeout(TIMEOUT, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    rest
}

fn with_web() -> Service {
    Service::run(command(&database("movies.json")).args(["--web-origin", "*"]))
}

#[tokio::test]
async fn who_expects_a_web_site_is_told_what_this_is_and_how_to_have_grpc_web() {
    let service = Service::start("movies.json");
    for (head, body) in [
        ("GET / HTTP/1.1", &b""[..]),
        ("POST /Movie/GetMovieByID HTTP/1.1", &[0; 1024]),
        ("GET / HTTP/1.0", b""),
    ] {
        let answer = exchange(service.address, head, body).await;
        assert_eq!(answer.status(), "505", "{head}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        for word in ["gRPC", "HTTP/2", "--web-origin"] {
            assert!(answer.text().contains(word), "{word} is missing: {answer:?}");
        }
        assert_eq!(answer.text().lines().count(), 1);
    }
}

#[tokio::test]
async fn with_grpc_web_what_is_none_is_told_so() {
    let service = with_web();
    for head in ["GET / HTTP/1.1", "POST /Movie/GetMovieByID HTTP/1.1\r\ncontent-type: application/grpc"] {
        let answer = exchange(service.address, head, b"").await;
        assert_eq!(answer.status(), "505", "{head}: {answer:?}");
        assert!(answer.text().contains("gRPC-Web"), "{answer:?}");
    }
}

#[tokio::test]
async fn headers_that_never_end_are_cut_off() {
    for web in [&[][..], &["--web-origin", "*"]] {
        let mut command = command(&database("movies.json"));
        let service = Service::run(command.args(web).env("MOVIE_LIMITS", "handshake=300ms,idle=300ms"));
        let mut stream = TcpStream::connect(service.address).await.unwrap();
        stream.write_all(b"POST /Movie/GetMovieByID HTTP/1.1\r\nhost: loc").await.unwrap();
        let rest = rest(&mut stream).await;
        assert!(!rest.starts_with(b"HTTP/1.1 200"), "{}", rest.escape_ascii());
    }
}

#[tokio::test]
async fn a_connection_between_two_calls_holds_up_no_shutdown() {
    let mut service = with_web();
    let mut stream = TcpStream::connect(service.address).await.unwrap();
    let request =
        "OPTIONS / HTTP/1.1\r\nhost: a\r\norigin: http://a\r\naccess-control-request-method: POST\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut status = [0; 15];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 200 OK");
    service.signal("TERM");
    rest(&mut stream).await;
    assert!(service.wait().await.success());
}
