//! Requests over HTTP/1.0, whose responses end with the connection.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// Time for a response.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Returns the body of a page.
pub(super) fn get(address: &str, path: &str) -> Result<String> {
    let (status, body) = exchange(address, &format!("GET {path} HTTP/1.0"), "")?;
    ensure!(status == 200, "http://{address}{path} has the status {status}\n{body}");
    Ok(body)
}

/// Sends a form with one field; returns the status and the body of the response.
pub(super) fn post_form(address: &str, path: &str, field: &str, value: &str) -> Result<(u16, String)> {
    let mut form = format!("{field}=");
    for byte in value.bytes() {
        // Writing to a string does not fail.
        let _ = write!(form, "%{byte:02X}");
    }
    let head = format!("POST {path} HTTP/1.0\r\ncontent-type: application/x-www-form-urlencoded");
    exchange(address, &head, &form)
}

/// Sends a request; returns the status and the body of the response. `head` is its first line, and headers.
pub(super) fn exchange(address: &str, head: &str, body: &str) -> Result<(u16, String)> {
    let error = || format!("http://{address}: {head}");
    let response = send(address, head, body).with_context(error)?;
    let (head, body) = response.split_once("\r\n\r\n").with_context(error)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.with_context(error)?, body.to_owned()))
}

fn send(address: &str, head: &str, body: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let length = body.len();
    let request =
        format!("{head}\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes())?;
    let mut response = Vec::new();
    stream.read_to_end(&mut response)?;
    Ok(String::from_utf8_lossy(&response).into_owned())
}
