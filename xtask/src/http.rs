//! Requests over HTTP/1.0, and calls and watches of a service in JSON over HTTP/1.1.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// Time limit of a read: longer than the service waits for a store.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Returns the body of a page.
///
/// # Errors
///
/// If its status is not 200.
pub(crate) fn get(address: SocketAddr, path: &str) -> Result<String> {
    let (status, body) = exchange(address, &format!("GET {path}"), "")?;
    ensure!(status == 200, "http://{address}{path} has the status {status}\n{body}");
    Ok(body)
}

/// Sends a request over HTTP/1.0, whose response ends with the connection; returns the status and the body. `head` is the method, the
/// path, and headers in lines of their own.
///
/// # Errors
///
/// If the response does not come.
pub(crate) fn exchange(address: SocketAddr, head: &str, body: &str) -> Result<(u16, String)> {
    let error = || format!("http://{address}: {head}");
    let mut stream = TcpStream::connect(address).with_context(error)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let (request, headers) = head.split_once('\n').unwrap_or((head, ""));
    let mut lines = vec![format!("{} HTTP/1.0", request.trim_end()), "host: localhost".to_owned()];
    lines.extend(headers.lines().map(str::to_owned));
    lines.push(format!("content-length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(lines.join("\r\n").as_bytes()).with_context(error)?;
    let mut response = Vec::new();
    stream.read_to_end(&mut response).with_context(error)?;
    parse(&String::from_utf8_lossy(&response)).with_context(error)
}

fn parse(response: &str) -> Result<(u16, String)> {
    let malformed = || format!("a malformed response: {response:?}");
    let (head, body) = response.split_once("\r\n\r\n").with_context(malformed)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).with_context(malformed)?;
    Ok((status, body.to_owned()))
}

/// A connection that stays open.
pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Creates a movie with this overview, waits for the response, and returns the id. The title has no new words for the search index.
    pub(crate) fn create(&mut self, overview: &str) -> Result<String> {
        let movie = format!("{{\"title\":\"A created movie\",\"year\":2026,\"overview\":\"{overview}\"}}");
        let (status, response) = self.call("POST /v1/movies", &movie)?;
        ensure!(status == 201, "{status}: {response}");
        Ok(response["id"].as_str().context("a movie without an id")?.to_owned())
    }

    /// Makes a request, and returns the status and the response.
    pub(crate) fn call(&mut self, request: &str, body: &str) -> Result<(u16, Value)> {
        let length = body.len();
        let head = format!(
            "{request} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        self.0.get_mut().write_all((head + body).as_bytes())?;
        let status = self.line()?;
        let status = status.split(' ').nth(1).with_context(|| format!("no status: {status}"))?.parse()?;
        let mut length = None;
        loop {
            let line = self.line()?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(bytes) = line.strip_prefix("content-length: ") {
                length = Some(bytes.parse()?);
            }
        }
        let mut response = vec![0; length.context("a response without a length")?];
        self.0.read_exact(&mut response)?;
        Ok((status, serde_json::from_slice(&response)?))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            bail!("the connection was closed");
        }
        Ok(line.trim_end().to_owned())
    }
}

/// A watch, in a thread. It ends with its node.
pub(crate) struct Watch(Receiver<(Instant, String)>);

impl Watch {
    /// Opens a watch, and waits until it has begun.
    pub(crate) fn open(address: SocketAddr) -> Result<Self> {
        let mut connection = Connection::open(address)?;
        connection.0.get_mut().write_all(b"GET /v1/movies:watch HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
        while !connection.line()?.contains("caughtUp") {}
        let (sender, overviews) = mpsc::channel();
        thread::spawn(move || {
            while let Ok(line) = connection.line() {
                let now = Instant::now();
                let overview = line.split_once("\"overview\":\"").and_then(|(_, rest)| rest.split_once('"'));
                if let Some((overview, _)) = overview
                    && sender.send((now, overview.to_owned())).is_err()
                {
                    break;
                }
            }
        });
        Ok(Self(overviews))
    }

    /// Returns when the watcher was told each of this many changes, with their overviews.
    pub(crate) fn changes(&self, count: usize) -> Result<Vec<(Instant, String)>> {
        let next = |_| self.0.recv_timeout(TIMEOUT).context("a change did not reach another node");
        (0..count).map(next).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_has_a_status_and_a_body() {
        let response = parse("HTTP/1.1 503 Service Unavailable\r\na: b\r\n\r\n{}").unwrap();
        assert_eq!(response, (503, "{}".to_owned()));
        assert!(parse("").is_err());
        assert!(parse("nonsense\r\n\r\n").is_err());
    }

    #[test]
    fn headers_follow_the_method_and_the_path() {
        const REQUEST: &str =
            "POST /movies HTTP/1.0\r\nhost: localhost\r\naccept: text/plain\r\ncontent-length: 2\r\n\r\n{}";
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = vec![0; REQUEST.len()];
            stream.read_exact(&mut request).unwrap();
            stream.write_all(b"HTTP/1.0 201 Created\r\n\r\nmade").unwrap();
            String::from_utf8(request).unwrap()
        });
        let response = exchange(address, "POST /movies\r\naccept: text/plain", "{}").unwrap();
        assert_eq!(response, (201, "made".to_owned()));
        assert_eq!(server.join().unwrap(), REQUEST);
    }
}
