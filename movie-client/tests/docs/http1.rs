//! Requests over HTTP/1.1, so that the documents need no program for them.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Upper bound of a request.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A response.
pub(crate) struct Response {
    /// The status line and the headers.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// Sends a request with this request line and these headers; returns its response.
pub(crate) fn send(address: SocketAddr, head: &str, body: &[u8]) -> io::Result<Response> {
    let length = body.len();
    let head = format!("{head}\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(&[head.as_bytes(), body].concat())?;
    let mut response = Vec::new();
    stream.read_to_end(&mut response)?;
    let end = response.windows(4).position(|part| part == b"\r\n\r\n");
    let end = end.ok_or_else(|| io::Error::other("the response has no end of its headers"))?;
    let head = String::from_utf8_lossy(&response[..end]).into_owned();
    let body = &response[end + 4..];
    let body = if head.contains("transfer-encoding: chunked") {
        joined(body).ok_or_else(|| io::Error::other("the response has invalid chunks"))?
    } else {
        body.to_owned()
    };
    Ok(Response { head, body })
}

/// Joins the chunks of a body (RFC 9112, section 7.1).
fn joined(mut chunks: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = chunks.windows(2).position(|part| part == b"\r\n")?;
        let size = usize::from_str_radix(str::from_utf8(&chunks[..end]).ok()?, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend(chunks.get(end + 2..end + 2 + size)?);
        chunks = chunks.get(end + 4 + size..)?;
    }
}
