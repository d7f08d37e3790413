//! Calls and watches of a service in JSON over HTTP/1.1.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// Time limit of a read.
const TIMEOUT: Duration = Duration::from_secs(20);

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
