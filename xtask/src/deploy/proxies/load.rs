//! Load through proxies, while something happens to the nodes.

use std::fmt;
use std::io::Write;
use std::iter;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::NamedTempFile;

use super::TIMEOUT;
use super::nodes::{Nodes, Store};
use super::proxy::Proxy;
use crate::build::Build;
use crate::program::Program;

/// Connections of the readers of a proxy.
const READ_CONNECTIONS: u64 = 2;

/// Calls that the readers of a proxy make in a second, whether the earlier ones have ended or not.
pub(super) const READS_PER_SECOND: u64 = 400;

/// Pause between the writes of a writer, each of which is a program of its own.
const WRITE_PAUSE: Duration = Duration::from_millis(100);

/// How writes are sent.
pub(super) const WRITERS: [Writer; 3] = [Writer::Grpc, Writer::Json, Writer::JsonOverHttp2];

/// Load before and after what happens to the nodes.
const MARGIN: Duration = Duration::from_secs(1);

/// What the titles of written movies begin with.
const TITLE: &str = "Written through ";

/// Numbers the attempts to write.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// Calls through one proxy.
pub(super) struct Counts {
    pub(super) proxy: &'static str,
    reads: u64,
    failed_reads: u64,
    writes: Writes,
    /// By the proxy.
    retries: u64,
    errors: String,
}

/// Attempts to write, by title: each attempt has its own.
#[derive(Default)]
pub(super) struct Writes {
    pub(super) acknowledged: Vec<String>,
    pub(super) failed: Vec<String>,
    /// The responses to these.
    error: String,
}

/// Creates movies without an id and without a request id, so that a repeated request would create two.
///
/// Over HTTP/2, curl does as clients of gRPC do: it sends a request again whose stream was refused.
#[derive(Clone, Copy, Debug)]
pub(super) enum Writer {
    Grpc,
    Json,
    JsonOverHttp2,
}

impl Counts {
    pub(super) fn failed(&self) -> u64 {
        self.failed_reads + self.writes.failed.len() as u64
    }

    pub(super) fn total(&self) -> u64 {
        self.reads + (self.writes.acknowledged.len() + self.writes.failed.len()) as u64
    }

    /// Returns whether there were enough calls to say something.
    pub(super) fn has_enough_calls(&self) -> bool {
        self.reads >= 1_000 && self.writes.acknowledged.len() >= 20
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            reads, failed_reads, writes: Writes { acknowledged, failed, error }, retries, errors, ..
        } = self;
        let writes = acknowledged.len() + failed.len();
        write!(
            f,
            "{reads} reads, {failed_reads} failed; {writes} writes, {} failed, none made twice; ",
            failed.len()
        )?;
        write!(f, "{retries} tried again by the proxy")?;
        if *failed_reads > 0 {
            write!(f, "; reads: {errors}")?;
        }
        if !failed.is_empty() {
            write!(f, "; writes: {error}")?;
        }
        Ok(())
    }
}

/// Reads and writes through all proxies at the same time, while `disturb` runs, and checks what was written.
///
/// # Errors
///
/// If something does not run, an acknowledged write is not stored, or one is stored twice.
pub(super) fn run(
    build: &Build,
    proxies: &[Proxy],
    nodes: &mut Nodes,
    disturb: impl FnOnce(&mut Nodes) -> Result<()>,
) -> Result<Vec<Counts>> {
    let before = state(&nodes.store)?;
    let retries = proxies.iter().map(Proxy::retries).collect::<Result<Vec<_>>>()?;
    let ended = &AtomicBool::new(false);
    let (readers, writes) = thread::scope(|scope| {
        let pairs: Vec<_> = proxies
            .iter()
            .map(|proxy| WRITERS.map(|writer| scope.spawn(move || writer.write_until(proxy, ended))))
            .collect();
        let readers = proxies.iter().map(|proxy| start_reading(build, proxy)).collect::<Result<Vec<_>>>();
        thread::sleep(MARGIN);
        let disturbed = disturb(nodes);
        thread::sleep(MARGIN);
        ended.store(true, Ordering::Relaxed);
        let join = |writer: ScopedJoinHandle<'_, _>| {
            writer.join().unwrap_or_else(|_| Err(anyhow!("a writer panicked")))
        };
        // All are waited for, also if something failed.
        let writes: Vec<_> = pairs.into_iter().map(|pair| pair.into_iter().map(join).sum()).collect();
        disturbed?;
        anyhow::Ok((readers?, writes.into_iter().collect::<Result<Vec<Writes>>>()?))
    })?;
    // All of them before anything else: the load of one proxy must not last longer than that of another.
    let reports = readers.into_iter().map(end_reading).collect::<Result<Vec<_>>>()?;
    let mut all = Vec::new();
    for (((proxy, report), writes), before) in proxies.iter().zip(reports).zip(writes).zip(retries) {
        let number = |key: &str| report[key].as_u64().with_context(|| format!("no {key} in {report}"));
        ensure!(number("wrong")? == 0, "wrong responses through {}: {report}", proxy.name);
        all.push(Counts {
            proxy: proxy.name,
            // Without the calls that were interrupted.
            reads: number("answered")? + number("failed")?,
            failed_reads: number("failed")?,
            writes,
            retries: proxy.retries()? - before,
            errors: report["errors"].to_string(),
        });
    }
    check_writes(all.iter().map(|counts| &counts.writes), &nodes.store, before)?;
    Ok(all)
}

/// Returns the revision of a store, and how many movies were written.
pub(super) fn state(store: &Store) -> Result<(u64, usize)> {
    Ok((store.revision()?, store.titles(TITLE)?.len()))
}

/// Checks that each acknowledged write is stored, each attempt at most once, and that nothing else was written.
pub(super) fn check_writes<'a>(
    all: impl Iterator<Item = &'a Writes>,
    store: &Store,
    (revision, count): (u64, usize),
) -> Result<()> {
    let titles = store.titles(TITLE)?;
    let stored = |title: &String| titles.iter().filter(|stored| *stored == title).count();
    for writes in all {
        for title in &writes.acknowledged {
            ensure!(
                stored(title) == 1,
                "{title:?} was acknowledged once and is stored {} times",
                stored(title)
            );
        }
        for title in &writes.failed {
            ensure!(stored(title) <= 1, "{title:?} was sent once and is stored {} times", stored(title));
        }
    }
    let (changes, movies) = (store.revision()? - revision, (titles.len() - count) as u64);
    ensure!(changes == movies, "{movies} movies were written in {changes} changes");
    Ok(())
}

/// Starts calls on a schedule. The client tries each once; only what it asks before, about the movies, it may ask again.
fn start_reading(build: &Build, proxy: &Proxy) -> Result<Program> {
    let mut bench = Command::new(build.client());
    bench.args(["--address", &super::nodes::origin(proxy.address), "--tls-ca"]).arg(&proxy.authority);
    bench.args(["--output", "json", "bench", "--duration", "1m", "--warm-up", "0"]);
    bench.args(["--rate", &READS_PER_SECOND.to_string()]);
    bench.args(["--connections", &READ_CONNECTIONS.to_string()]);
    Program::start(&mut bench)
}

/// Interrupts the calls, and returns the client's report.
fn end_reading(reader: Program) -> Result<Value> {
    reader.signal(Signal::SIGINT)?;
    let output = reader.finish(TIMEOUT)?;
    serde_json::from_str(&output.stdout)
        .with_context(|| format!("no report of the client:\n{}", output.stderr))
}

impl iter::Sum for Writes {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        let mut sum = Self::default();
        for writes in all {
            sum.acknowledged.extend(writes.acknowledged);
            sum.failed.extend(writes.failed);
            sum.error += &writes.error;
        }
        sum
    }
}

impl Writer {
    /// Writes until `ended`.
    fn write_until(self, proxy: &Proxy, ended: &AtomicBool) -> Result<Writes> {
        let write = || {
            thread::sleep(WRITE_PAUSE);
            self.write(proxy)
        };
        iter::from_fn(|| (!ended.load(Ordering::Relaxed)).then(write)).sum()
    }

    /// Writes once, over a connection of its own.
    pub(super) fn write(self, proxy: &Proxy) -> Result<Writes> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let title = format!("{}{number}", self.titles(proxy));
        let mut body = NamedTempFile::new()?;
        body.write_all(&self.body(&title))?;
        let mut curl = self.curl(proxy);
        curl.arg("--data-binary").arg(format!("@{}", body.path().display()));
        let response = Program::start(&mut curl)?.finish(TIMEOUT)?.stdout;
        let mut writes = Writes::default();
        if self.is_acknowledged(&response) {
            writes.acknowledged.push(title);
        } else {
            writes.failed.push(title);
            // Its head has the status.
            writes.error =
                format!("[{}…]", response.replace(['\r', '\n'], " ").chars().take(80).collect::<String>());
        }
        Ok(writes)
    }

    /// Returns what the titles of its movies begin with.
    pub(super) fn titles(self, proxy: &Proxy) -> String {
        format!("{TITLE}{}, {self:?}, ", proxy.name)
    }

    fn curl(self, proxy: &Proxy) -> Command {
        match self {
            Self::Grpc => {
                let mut curl = proxy.curl("--http2", "/movie.catalog.v1.MovieCatalog/CreateMovie");
                curl.args(["--header", "content-type: application/grpc", "--header", "te: trailers"]);
                curl
            }
            Self::Json | Self::JsonOverHttp2 => {
                let version = if matches!(self, Self::Json) { "--http1.1" } else { "--http2" };
                let mut curl = proxy.curl(version, "/v1/movies");
                curl.args(["--header", "content-type: application/json"]);
                curl
            }
        }
    }

    /// Returns the body of a request that creates a movie with a title of less than a hundred bytes.
    fn body(self, title: &str) -> Vec<u8> {
        match self {
            Self::Grpc => {
                let field =
                    |content: &[u8]| [&[0x0a, u8::try_from(content.len()).unwrap_or(0)], content].concat();
                let request = field(&field(title.as_bytes()));
                [&[0, 0, 0, 0, u8::try_from(request.len()).unwrap_or(0)], request.as_slice()].concat()
            }
            Self::Json | Self::JsonOverHttp2 => {
                serde_json::json!({ "title": title }).to_string().into_bytes()
            }
        }
    }

    fn is_acknowledged(self, response: &str) -> bool {
        match self {
            // curl prints the trailers right after the message.
            Self::Grpc => response.lines().any(|line| line.ends_with("grpc-status: 0")),
            Self::Json => response.starts_with("HTTP/1.1 201"),
            Self::JsonOverHttp2 => response.starts_with("HTTP/2 201"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_counts_as_acknowledged_only_by_its_status() {
        assert!(Writer::Grpc.is_acknowledged("HTTP/2 200 \r\n\r\n\0A titlegrpc-status: 0\r\n"));
        assert!(!Writer::Grpc.is_acknowledged("HTTP/2 200 \r\ngrpc-status: 14\r\n"));
        assert!(!Writer::Grpc.is_acknowledged(""));
        assert!(Writer::Json.is_acknowledged("HTTP/1.1 201 Created\r\n"));
        assert!(!Writer::Json.is_acknowledged("HTTP/1.1 502 Bad Gateway\r\n"));
        assert!(Writer::JsonOverHttp2.is_acknowledged("HTTP/2 201 \r\n"));
        assert!(!Writer::JsonOverHttp2.is_acknowledged("HTTP/2 502 \r\n"));
    }

    #[test]
    fn the_body_in_grpc_is_a_message_in_a_message_after_its_length() {
        assert_eq!(Writer::Grpc.body("A"), [0, 0, 0, 0, 5, 0x0a, 3, 0x0a, 1, b'A']);
    }
}
