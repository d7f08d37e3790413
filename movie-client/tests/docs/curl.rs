//! `curl` in documents: its requests are made by the test, so that no program is needed.

use std::io;
use std::net::SocketAddr;

use crate::http1;

/// The host and port that documents write.
const HOST: &str = "localhost:3001";

/// A request of `curl`.
#[derive(Debug, Default)]
pub(crate) struct Curl {
    method: Option<String>,
    path: String,
    headers: Vec<String>,
    body: Option<String>,
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
    pub(crate) fn run(&self, address: SocketAddr) -> io::Result<String> {
        let default = if self.body.is_some() { "POST" } else { "GET" };
        let method = self.method.as_deref().unwrap_or(default);
        let request_line = format!("{method} {} HTTP/1.1", self.path);
        let head = [&[request_line], self.headers.as_slice()].concat().join("\r\n");
        let body = self.body.as_deref().unwrap_or_default();
        let response = http1::send(address, &head, body.as_bytes())?;
        String::from_utf8(response.body).map_err(io::Error::other)
    }
}
