//! What each proxy must pass on unchanged.

use std::io::Write;
use std::process::Command;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail, ensure};
use prost::encoding::encode_varint;
use serde_json::Value;
use tempfile::NamedTempFile;

use super::TIMEOUT;
use super::nodes::{NOTICE_TIME, origin};
use super::proxy::Proxy;
use crate::build::Build;
use crate::program::{self, Program};
use crate::wait;

/// A film of `databases/films.json`.
const FILM: &str = "tt0047478";
const TITLE: &str = "Seven Samurai";

/// Bytes of a header that is too large for the service (16 KiB), and of a body that is (1 MiB), but not for the proxies.
const LARGE_HEADER: usize = 18_000;
const LARGE_BODY: usize = 2_000_000;

/// What responses begin with.
const HTTP_1: &str = "HTTP/1.1 ";
const HTTP_2: &str = "HTTP/2 ";

/// Both versions of HTTP. Requests that are refused before their end are sent over HTTP/1.1 only: their streams in HTTP/2 are reset
/// with `NO_ERROR` after the response (RFC 9113 §8.1), which curl 7.88 takes for a failure.
const VERSIONS: [(&str, &str); 2] = [("--http1.1", HTTP_1), ("--http2", HTTP_2)];

/// Checks all proxies at the same time.
pub(super) fn all(build: &Build, proxies: &[Proxy]) -> Result<()> {
    each(proxies, |proxy| Check { build, proxy }.reads())?;
    // Not at the same time: the movies of a list must not change while the client checks it.
    each(proxies, |proxy| Check { build, proxy }.watch())
}

/// Checks that reads continue when no node can reach the store.
pub(super) fn reads_without_store(build: &Build, proxies: &[Proxy]) -> Result<()> {
    each(proxies, |proxy| {
        let check = Check { build, proxy };
        // The nodes have noticed when they refuse a write, and the proxies at their next checks.
        wait::until("writes without a store are refused", TIMEOUT, || {
            let response = check.post("/v1/movies", br#"{"title":"Unstored"}"#)?;
            ensure!(response.contains("STORE_UNAVAILABLE"), "{response}");
            Ok(())
        })?;
        thread::sleep(NOTICE_TIME);
        for _ in 0..4 {
            check.get()?;
        }
        Ok(())
    })
}

/// Does something with all proxies at the same time. An error names the proxy.
pub(super) fn each(proxies: &[Proxy], work: impl Fn(&Proxy) -> Result<()> + Sync) -> Result<()> {
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> =
            proxies.iter().map(|proxy| (proxy.name, scope.spawn(move || work(proxy)))).collect();
        for (name, thread) in threads {
            let done = thread.join().unwrap_or_else(|_| Err(anyhow!("the check panicked")));
            done.with_context(|| format!("through {name}"))?;
        }
        Ok(())
    })
}

struct Check<'a> {
    build: &'a Build,
    proxy: &'a Proxy,
}

impl Check<'_> {
    fn reads(&self) -> Result<()> {
        self.get()?;
        self.stream()?;
        self.health()?;
        self.json_and_page()?;
        self.grpc_web()?;
        self.errors()?;
        self.tls()
    }

    fn get(&self) -> Result<()> {
        let printed = program::run(self.client("json").args(["get", FILM]), TIMEOUT)?;
        let movie: Value = serde_json::from_str(&printed)?;
        ensure!(movie["title"] == TITLE, "not {TITLE}: {printed}");
        Ok(())
    }

    /// Reads the list of the course, in which the client checks each movie.
    fn stream(&self) -> Result<()> {
        let mut bench = self.client("json");
        bench.args([
            "bench",
            "--call",
            "course-list",
            "--calls",
            "3",
            "--concurrency",
            "1",
            "--warm-up",
            "0",
        ]);
        let report: Value = serde_json::from_str(&program::run(&mut bench, TIMEOUT)?)?;
        ensure!(report["answered"] == 3, "lists are not answered: {report}");
        Ok(())
    }

    /// Watches in gRPC and in JSON, and creates a movie.
    fn watch(&self) -> Result<()> {
        let mut json = self.proxy.curl("--http1.1", "/v1/movies:watch");
        let watches = [
            (Program::start(self.client("ndjson").arg("watch"))?, "caught_up"),
            (Program::start(json.arg("--no-buffer"))?, "caughtUp"),
        ];
        for (watch, caught_up) in &watches {
            wait_for_line(watch, caught_up)?;
        }
        let title = format!("Watched through {}", self.proxy.name);
        program::run(self.client("json").args(["create", "--title", &title]), TIMEOUT)?;
        for (watch, _) in &watches {
            wait_for_line(watch, &title)?;
        }
        Ok(())
    }

    fn health(&self) -> Result<()> {
        for service in [None, Some("Movie"), Some("movie.catalog.v1.MovieCatalog")] {
            program::run(self.client("json").arg("health").args(service), TIMEOUT)?;
        }
        Ok(())
    }

    fn json_and_page(&self) -> Result<()> {
        for (version, protocol) in VERSIONS {
            let movie = response(&mut self.proxy.curl(version, &format!("/v1/movies/{FILM}")))?;
            expect(&movie, protocol, "200", &[TITLE, "content-type: application/json"])?;
            let page = response(&mut self.proxy.curl(version, "/"))?;
            expect(
                &page,
                protocol,
                "200",
                &["content-type: text/html", "content-security-policy: ", "</html>"],
            )?;
        }
        Ok(())
    }

    /// Calls as a page of the service does, and as one of another site.
    fn grpc_web(&self) -> Result<()> {
        let content_type = "application/grpc-web+proto";
        let call = |version: &str, origin: &str| {
            let mut curl = self.proxy.curl(version, "/Movie/GetMovieByID");
            curl.arg("--header").arg(format!("content-type: {content_type}"));
            curl.arg("--header").arg(format!("origin: {origin}"));
            run_with_body(&mut curl, &message(FILM.as_bytes())?)
        };
        for (version, protocol) in VERSIONS {
            let response = call(version, &origin(self.proxy.address))?;
            expect(&response, protocol, "200", &[content_type, TITLE, "grpc-status:0"])?;
        }
        let (version, protocol) = VERSIONS[0];
        expect(&call(version, "https://other.example")?, protocol, "403", &["ORIGIN_NOT_ALLOWED"])
    }

    /// Sends requests that are wrong or too large. The errors are those of the service.
    fn errors(&self) -> Result<()> {
        let missing = Program::start(self.client("json").args(["get", "nothing"]))?.finish(TIMEOUT)?;
        ensure!(missing.status.code() == Some(1), "not an unknown movie: {missing:?}");
        // The limit is 262,144 bytes.
        let ids = (0..1_000).map(|number| format!("{number:0>300}"));
        let too_large = Program::start(self.client("json").arg("batch").args(ids))?.finish(TIMEOUT)?;
        ensure!(too_large.stderr.contains("expected at most 262144 bytes"), "not too large: {too_large:?}");
        for (version, protocol) in VERSIONS {
            let unknown = response(&mut self.proxy.curl(version, "/nothing"))?;
            expect(&unknown, protocol, "404", &["PATH_UNKNOWN"])?;
            let mut curl = self.proxy.curl(version, "/v1/catalog");
            let head = response(curl.arg("--header").arg(format!("x-large: {}", "a".repeat(LARGE_HEADER))))?;
            expect(&head, protocol, "431", &[])?;
            ensure!(!head.contains("<html"), "a page of the proxy: {head}");
        }
        let too_large = self.post("/v1/movies", &vec![b' '; LARGE_BODY])?;
        expect(&too_large, HTTP_1, "413", &["MESSAGE_TOO_LARGE"])?;
        Ok(())
    }

    fn tls(&self) -> Result<()> {
        let mut old = self.proxy.curl("--http1.1", "/v1/catalog");
        old.args(["--show-error", "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0"]);
        let old = Program::start(&mut old)?.finish(TIMEOUT)?;
        ensure!(!old.status.success(), "TLS 1.1 is accepted: {old:?}");
        // The alert of the proxy: curl itself would refuse in other words.
        ensure!(old.stderr.contains("alert protocol version"), "no alert about TLS 1.1: {old:?}");
        Ok(())
    }

    fn post(&self, path: &str, body: &[u8]) -> Result<String> {
        let mut curl = self.proxy.curl("--http1.1", path);
        run_with_body(curl.args(["--header", "content-type: application/json"]), body)
    }

    /// Returns a command of the client, which tries each call once.
    fn client(&self, output: &str) -> Command {
        let mut client = Command::new(self.build.client());
        client.args(["--address", &origin(self.proxy.address), "--tries", "1", "--output", output]);
        client.arg("--tls-ca").arg(&self.proxy.authority);
        client
    }
}

/// Waits for a line with `words` on the standard output of a program.
fn wait_for_line(program: &Program, words: &str) -> Result<()> {
    let began = Instant::now();
    while began.elapsed() < TIMEOUT {
        let line = program.line(TIMEOUT)?.with_context(|| format!("a watch ended before {words:?}"))?;
        if line.contains(words) {
            return Ok(());
        }
    }
    bail!("a watch did not print {words:?} within {TIMEOUT:?}")
}

/// Runs curl, and returns the response. A proxy may close a connection with an unread body, which curl reports.
fn response(curl: &mut Command) -> Result<String> {
    Ok(Program::start(curl)?.finish(TIMEOUT)?.stdout)
}

fn run_with_body(curl: &mut Command, body: &[u8]) -> Result<String> {
    let mut file = NamedTempFile::new()?;
    file.write_all(body)?;
    response(curl.arg("--data-binary").arg(format!("@{}", file.path().display())))
}

/// Checks the version and the status of a response, and that it contains `parts`.
fn expect(response: &str, protocol: &str, status: &str, parts: &[&str]) -> Result<()> {
    // curl also prints `HTTP/1.1 100 Continue`.
    let statuses = response.lines().filter_map(|line| line.strip_prefix(protocol));
    let has_status = statuses.filter(|line| !line.starts_with("100")).any(|line| line.starts_with(status));
    ensure!(has_status, "not {protocol}{status}: {response}");
    // Names of headers have any case in HTTP/1.1.
    let lower_case = response.to_lowercase();
    for part in parts {
        ensure!(lower_case.contains(&part.to_lowercase()), "no {part:?} in {response}");
    }
    Ok(())
}

/// Returns a message in gRPC whose field 1 is this text.
fn message(text: &[u8]) -> Result<Vec<u8>> {
    let mut message = vec![0x0a];
    encode_varint(text.len() as u64, &mut message);
    message.extend(text);
    let length = u32::try_from(message.len())?.to_be_bytes();
    Ok([&[0], length.as_slice(), &message].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_must_have_the_version_the_status_and_the_parts() {
        let response = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 413 \r\n\r\n{reason}";
        expect(response, "HTTP/1.1 ", "413", &["reason"]).unwrap();
        expect(response, "HTTP/1.1 ", "200", &[]).unwrap_err();
        expect(response, "HTTP/2 ", "413", &[]).unwrap_err();
        expect(response, "HTTP/1.1 ", "413", &["another"]).unwrap_err();
    }

    #[test]
    fn a_message_has_its_length_before_it() {
        assert_eq!(message(b"A").unwrap(), [0, 0, 0, 0, 3, 0x0a, 1, b'A']);
        assert_eq!(message(&[b'a'; 200]).unwrap()[..8], [0, 0, 0, 0, 203, 0x0a, 0xc8, 1]);
    }
}
