//! `curl` in documents: its requests are made by the test, so that no program is needed.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The host and port that documents write.
const HOST: &str = "localhost:3001";

/// Upper bound of a request.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A request of `curl`.
#[derive(Debug, Default)]
pub(crate) struct Curl {
    method: Option<String>,
    path: String,
    headers: Vec<String>,
    body: Option<String>,
    /// Whether only the status is printed.
    prints_status: bool,
    /// Whether the response does not end.
    pub(crate) is_endless: bool,
}

impl Curl {
    /// Parses the words after `curl`.
    pub(crate) fn parse(words: &[&str]) -> Result<Self, String> {
        let mut curl = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value =
                || words.next().map(|value| (*value).to_owned()).ok_or(format!("{word} needs a value"));
            match *word {
                "-s" => {}
                "-N" => curl.is_endless = true,
                "-X" => curl.method = Some(value()?),
                "-H" => curl.headers.push(value()?),
                "-d" | "--data-binary" => curl.body = Some(value()?),
                "-o" => drop(value()?),
                "-w" => {
                    value()?;
                    curl.prints_status = true;
                }
                url => {
                    let path = url.strip_prefix(HOST).filter(|path| path.starts_with('/'));
                    let path = path.ok_or(format!("expected an option or {HOST}/PATH, not `{url}`"))?;
                    path.clone_into(&mut curl.path);
                }
            }
        }
        Ok(curl)
    }

    /// Makes the request; returns what `curl` prints.
    pub(crate) fn run(&self, address: SocketAddr) -> std::io::Result<String> {
        let default = if self.body.is_some() { "POST" } else { "GET" };
        let method = self.method.as_deref().unwrap_or(default);
        let body = self.body.as_deref().unwrap_or_default();
        let headers: String = self.headers.iter().map(|header| header.clone() + "\r\n").collect();
        let request = format!(
            "{method} {} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n{headers}Content-Length: {}\r\n",
            self.path,
            body.len()
        );
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.write_all(format!("{request}\r\n{body}").as_bytes())?;
        let mut response = Vec::new();
        stream.read_to_end(&mut response)?;
        let response = String::from_utf8_lossy(&response).into_owned();
        let (head, body) = response.split_once("\r\n\r\n").unwrap_or((&response, ""));
        if self.prints_status {
            return Ok(format!("{}\n", head.split(' ').nth(1).unwrap_or_default()));
        }
        Ok(body.to_owned())
    }
}
