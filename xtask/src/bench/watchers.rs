//! Watchers of a server, opened by `movie-service/examples/watchers.rs`, and what is measured of them.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::process;
use super::table::{Bar, Table};

/// Limits of the service that this many watchers from one address need. A watch lasts as long as a soak.
pub(crate) const LIMITS: &str =
    "lists=20000,lists_per_address=20000,calls=30000,calls_per_address=30000,deadline=12h,age=24h";

/// Megabytes that many watchers may leave behind; how often that is checked, and the time before each check.
const MAX_LEFT_MB: f64 = 10.0;
const SETTLE_CHECKS: usize = 8;
const SETTLE_INTERVAL: Duration = Duration::from_secs(5);

/// Writes a second to many watchers, and reads of a movie meanwhile.
const WRITE_RATE: u32 = 50;
const READ_RATE: u32 = 2000;

/// A server whose changes are watched.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    /// The load generator.
    pub(crate) generator: PathBuf,
    pub(crate) is_etcd: bool,
    pub(crate) process: u32,
    pub(crate) address: SocketAddr,
    /// Certificate of the authority, and token of a writer, if the service needs them.
    pub(crate) credentials: Option<(PathBuf, String)>,
}

/// Watchers, and the load that they get.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    pub(crate) watchers: u32,
    pub(crate) connections: u32,
    pub(crate) writes: u32,
    /// Writes a second; with 0, each waits until all watchers were told the one before.
    pub(crate) write_rate: u32,
    /// Reads of a movie a second.
    pub(crate) read_rate: u32,
}

/// A running load generator. It is killed when it is dropped.
pub(crate) struct Watchers {
    child: Child,
    lines: BufReader<ChildStdout>,
}

/// Percentiles, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Percentiles {
    p50: f64,
    p99: f64,
    max: f64,
}

/// What a load generator measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Outcome {
    /// Delays of changes, from the start of their write.
    delays: Percentiles,
    /// Latencies of the reads.
    reads: Percentiles,
}

/// Returns writes at a constant rate for some seconds; without watchers, only their time counts.
fn constant(seconds: u32) -> Load {
    Load { writes: seconds * WRITE_RATE, write_rate: WRITE_RATE, ..Load::default() }
}

/// Returns the path of the load generator.
pub(crate) fn generator(target: &Path) -> PathBuf {
    target.join("plain/examples/watchers")
}

impl Watched {
    /// Opens watchers.
    ///
    /// # Errors
    ///
    /// If one of them cannot be opened.
    pub(crate) fn open(&self, load: Load) -> Result<Watchers> {
        let Load { watchers, connections, writes, write_rate, read_rate } = load;
        let mut command = Command::new(&self.generator);
        command.arg(if self.is_etcd { "etcd" } else { "movies" }).arg(self.address.to_string());
        let numbers = [watchers, connections, writes, write_rate, read_rate];
        command.args(numbers.map(|number| number.to_string()));
        if let Some((authority, token)) = &self.credentials {
            command.env("MOVIE_TLS_CA", authority).env("MOVIE_TOKEN", token);
        }
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.context("start the watchers")?;
        let lines = BufReader::new(child.stdout.take().context("the output is not a pipe")?);
        let mut watchers = Watchers { child, lines };
        ensure!(watchers.line()? == "ready\n", "the watchers could not be opened");
        Ok(watchers)
    }

    /// Makes writes with a single watcher, so that files are open and caches full.
    pub(crate) fn warm_up(&self) -> Result<()> {
        let load = Load { watchers: 1, connections: 1, writes: 100, ..Load::default() };
        self.open(load)?.write().map(drop)
    }

    /// Measures 10,000 watchers, one write to all of them, and what they leave behind.
    ///
    /// # Errors
    ///
    /// If a watcher is not told a change once and in order.
    pub(crate) fn measure_idle(&self, table: &mut Table) -> Result<()> {
        let memory = || process::memory(self.process, "VmRSS:");
        self.warm_up()?;
        let before = memory()?;
        let load = Load { watchers: 10_000, connections: 100, writes: 1, ..Load::default() };
        let mut watchers = self.open(load)?;
        let grown = memory()? - before;
        table.single("memory of 10,000 watchers on 100 connections", "MB", grown, Bar::MaxFigure(60.0));
        let slowest = watchers.write()?.delays.max;
        table.single("time until a write has reached 10,000 watchers", "ms", slowest, Bar::MaxFigure(1000.0));
        drop(watchers);
        let mut left = f64::INFINITY;
        for _ in 0..SETTLE_CHECKS {
            if left <= MAX_LEFT_MB {
                break;
            }
            thread::sleep(SETTLE_INTERVAL);
            // The allocator returns memory when a thread uses it again.
            self.open(Load { read_rate: READ_RATE, ..constant(1) })?.write()?;
            left = memory()? - before;
        }
        table.single(
            "memory that 10,000 watchers leave behind, within 40 s",
            "MB",
            left,
            Bar::MaxFigure(MAX_LEFT_MB),
        );
        Ok(())
    }

    /// Measures 2,000 watchers and 2,000 reads a second under constant writes, after the same reads without watchers.
    ///
    /// # Errors
    ///
    /// If a watcher is not told every change once and in order.
    pub(crate) fn measure_busy(&self, alone: u32, seconds: u32, table: &mut Table) -> Result<()> {
        // Reads are made by a process of their own, so that they do not wait while the watchers handle their changes.
        let alone = self.open(Load { read_rate: READ_RATE, ..constant(alone) })?.write()?.reads;
        let mut reads = self.open(Load { read_rate: READ_RATE, ..constant(seconds) })?;
        let mut watchers = self.open(Load { watchers: 2000, connections: 50, ..constant(seconds) })?;
        let (before, began) = (process::cpu(self.process)?, Instant::now());
        reads.begin()?;
        let changes = watchers.write()?.delays;
        let reads = reads.finish()?.reads;
        let cores = (process::cpu(self.process)? - before) / began.elapsed().as_secs_f64();
        let delay = format!("delay of a change, 2,000 watchers, 50 writes a second for {seconds} s");
        table.single(&format!("{delay}: p50"), "ms", changes.p50, Bar::None);
        table.single(&format!("{delay}: p99"), "ms", changes.p99, Bar::MaxFigure(250.0));
        table.single(&format!("{delay}: maximum"), "ms", changes.max, Bar::None);
        table.single("cores that the service uses meanwhile", "", cores, Bar::None);
        let figure = "latency of 2,000 GetMovie a second meanwhile, p99, against without watchers";
        table.row(figure, "ms", &[[reads.p99, alone.p99]], Bar::MaxRatio(3.0), "without: ");
        Ok(())
    }
}

impl Watchers {
    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.lines.read_line(&mut line)?;
        Ok(line)
    }

    /// Makes the writes, and waits until all watchers were told them.
    pub(crate) fn write(&mut self) -> Result<Outcome> {
        self.begin()?;
        self.finish()
    }

    fn begin(&mut self) -> Result<()> {
        Ok(self.child.stdin.as_mut().context("the input is not a pipe")?.write_all(b"\n")?)
    }

    fn finish(&mut self) -> Result<Outcome> {
        let line = self.line()?;
        Outcome::parse(&line)
            .context("a call failed, or a watcher was not told every change once and in order")
    }
}

impl Outcome {
    /// Reads a line of the load generator: percentiles in microseconds.
    fn parse(line: &str) -> Option<Self> {
        let values = line.split_whitespace().map(|text| Some(text.parse::<f64>().ok()? / 1e3));
        let values = values.collect::<Option<Vec<_>>>()?;
        let &[p50, p99, max, read_p50, read_p99, read_max] = values.as_slice() else { return None };
        let reads = Percentiles { p50: read_p50, p99: read_p99, max: read_max };
        Some(Self { delays: Percentiles { p50, p99, max }, reads })
    }
}

impl Drop for Watchers {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_generator_is_in_microseconds() {
        let outcome = Outcome::parse("1000 2000 3000 4000 5000 6000\n").unwrap();
        let percentiles = |p50, p99, max| Percentiles { p50, p99, max };
        let expected = Outcome { delays: percentiles(1.0, 2.0, 3.0), reads: percentiles(4.0, 5.0, 6.0) };
        assert_eq!(outcome, expected);
        assert_eq!(Outcome::parse(""), None);
    }
}
