//! Requests over HTTP/1.1, as text over a socket.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Upper bound of any wait, so that a test does not hang.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A response.
#[derive(Debug)]
pub(crate) struct Response {
    /// The status line and the headers, in lower case.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// Parses all bytes of a connection.
    pub(crate) fn new(text: &[u8]) -> Self {
        let end = text.windows(4).position(|part| part == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no response: {}", text.escape_ascii()));
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

/// Sends the only request of a connection and returns its response.
pub(crate) async fn exchange(address: SocketAddr, head: &str, body: &[u8]) -> Response {
    let length = body.len();
    let head = format!("{head}\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
    Response::new(&rest(&mut stream).await)
}

/// Reads until the service closes the connection.
pub(crate) async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    tokio::time::timeout(TIMEOUT, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    rest
}

/// Sends requests on one connection until a response says that it closes. Asserts that the service then closes it, and not
/// before; `stop` is called after the first response.
pub(crate) fn assert_last_response_closes(address: SocketAddr, mut stop: impl FnMut()) {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    for number in 0.. {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let mut response = Vec::new();
        while !response.ends_with(b"serving\n") {
            let mut part = [0; 1024];
            let length = stream.read(&mut part).unwrap();
            assert!(length > 0, "closed after {number} responses without a notice");
            response.extend(&part[..length]);
        }
        if Response::new(&response).header("connection") == Some("close") {
            break;
        }
        if number == 0 {
            stop();
        }
    }
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "the connection stays open");
}
