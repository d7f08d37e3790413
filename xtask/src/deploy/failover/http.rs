//! Requests over HTTP/1.1 without encryption.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};

/// Time for a response: longer than the service waits for a store.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A response.
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) body: String,
}

/// Sends a request over a connection of its own.
pub(super) fn request(address: SocketAddr, method: &str, path: &str, body: &str) -> Result<Response> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n"
    );
    stream.write_all(format!("{head}content-type: application/json\r\n\r\n{body}").as_bytes())?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    parse(&response)
}

fn parse(response: &str) -> Result<Response> {
    let malformed = || format!("a malformed response: {response:?}");
    let (head, body) = response.split_once("\r\n\r\n").with_context(malformed)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).with_context(malformed)?;
    Ok(Response { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_has_a_status_and_a_body() {
        let response = parse("HTTP/1.1 503 Service Unavailable\r\na: b\r\n\r\n{}").unwrap();
        assert_eq!((response.status, response.body.as_str()), (503, "{}"));
        assert!(parse("").is_err());
        assert!(parse("nonsense\r\n\r\n").is_err());
    }
}
