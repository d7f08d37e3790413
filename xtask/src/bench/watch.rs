//! `cargo xtask bench watch`: the cost of watches beside those of etcd.
//!
//! Both send each write to all watchers, over connections of gRPC. The service keeps the movies in SQLite. The load generator,
//! `movie-service/examples/watchers.rs`, checks that each watcher is told every write once and in order.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::table::{Bar, Table};
use super::{load, process};
use crate::program;

/// Options of the benchmark of watches.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    /// Number of rounds of the figures that are compared with etcd.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,

    /// Seconds of writes to 2,000 watchers.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,

    /// The service to measure, with the load generator of the profile `plain`; by default, both are built.
    #[arg(long)]
    service: Option<PathBuf>,
}

/// Limits of the service that this many watchers from one address need.
const LIMITS: &str = "lists=20000,lists_per_address=20000,calls=30000,calls_per_address=30000";

/// Time limit for starting a server.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Time for a server to give memory back.
const SETTLE_TIME: Duration = Duration::from_secs(15);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Ours,
    Etcd,
}

/// Runs the benchmark, and prints a table.
pub(super) fn run(root: &Path, options: &Options) -> Result<()> {
    let target = crate::target(root);
    let service = if let Some(service) = &options.service {
        service.clone()
    } else {
        super::build(root)?;
        target.join("release/movie-service")
    };
    let dir = target.join("bench/watch");
    fs::create_dir_all(&dir)?;
    let has_etcd = Command::new("etcd").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !has_etcd {
        eprintln!(
            "etcd is not installed, so its figures are missing; on Debian, install the package etcd-server"
        );
    }
    let bench = Bench { target, dir, service, has_etcd };
    let mut table = Table::default();
    bench.delivery(options.rounds, &mut table)?;
    bench.memory(options.rounds, &mut table)?;
    bench.idle(&mut table)?;
    bench.busy(options.seconds, &mut table)?;
    bench.log(&mut table)?;
    println!("The service ran with --limit {LIMITS}.");
    table.print(["ours", "etcd"]);
    fs::remove_dir_all(&bench.dir)?;
    Ok(())
}

struct Bench {
    target: PathBuf,
    dir: PathBuf,
    service: PathBuf,
    has_etcd: bool,
}

impl Bench {
    fn kinds(&self) -> &'static [Kind] {
        if self.has_etcd { &[Kind::Ours, Kind::Etcd] } else { &[Kind::Ours] }
    }

    /// Measures a figure of both servers in each round; without etcd, its figure is not a number.
    fn pairs(&self, rounds: u64, measure: impl Fn(Kind) -> Result<f64>) -> Result<Vec<[f64; 2]>> {
        let mut pairs = Vec::new();
        for _ in 0..rounds {
            let mut pair = [f64::NAN; 2];
            for (figure, kind) in pair.iter_mut().zip(self.kinds()) {
                *figure = measure(*kind)?;
            }
            pairs.push(pair);
        }
        Ok(pairs)
    }

    /// CPU time of a change that is delivered to a watcher.
    fn delivery(&self, rounds: u64, table: &mut Table) -> Result<()> {
        const REPETITIONS: u32 = 4;
        let cpu = |kind, watchers: u32, connections: u32| -> Result<f64> {
            let server = Server::start(self, kind)?;
            let mut watchers_of = self.watchers(&server, [watchers, connections, 150, 0, 0])?;
            // The first writes open files and fill caches.
            watchers_of.write()?;
            let before = server.cpu()?;
            for _ in 0..REPETITIONS {
                watchers_of.write()?;
            }
            Ok((server.cpu()? - before) * 1e6 / f64::from(150 * REPETITIONS) / f64::from(watchers))
        };
        let figure = "CPU of a change delivered to a watcher, 300 watchers on 10 connections";
        table.pair(figure, "µs", &self.pairs(rounds, |kind| cpu(kind, 300, 10))?, Bar::Ratio(0.25));
        let figure = "CPU of a change with a single watcher, its write included";
        table.pair(figure, "µs", &self.pairs(rounds, |kind| cpu(kind, 1, 1))?, Bar::None);
        Ok(())
    }

    /// Memory of a watcher, its part of the connection included.
    fn memory(&self, rounds: u64, table: &mut Table) -> Result<()> {
        let pairs = self.pairs(rounds, |kind| {
            let server = Server::start(self, kind)?;
            drop(self.watchers(&server, [1, 1, 1, 0, 0])?);
            let before = server.memory()?;
            let _watchers = self.watchers(&server, [2000, 50, 1, 0, 0])?;
            Ok((server.memory()? - before) * 1e6 / 1024.0 / 2000.0)
        })?;
        table.pair("memory of a watcher, 2,000 on 50 connections", "KiB", &pairs, Bar::Ours(6.0));
        Ok(())
    }

    /// Many watchers, and one write to all.
    fn idle(&self, table: &mut Table) -> Result<()> {
        let server = Server::start(self, Kind::Ours)?;
        self.watchers(&server, [1, 1, 1, 0, 0])?.write()?;
        let before = server.memory()?;
        let mut watchers = self.watchers(&server, [10_000, 100, 1, 0, 0])?;
        let grown = server.memory()? - before;
        table.single("memory of 10,000 watchers on 100 connections", "MB", grown, Bar::Ours(60.0));
        let [.., slowest] = watchers.write()?.delays;
        table.single("time until a write has reached all of them", "ms", slowest, Bar::Ours(1000.0));
        drop(watchers);
        thread::sleep(SETTLE_TIME);
        // The allocator returns memory when a thread uses it again.
        load::calls(server.address, 0, 10_000, 20, 10)?;
        table.single("memory that they leave behind", "MB", server.memory()? - before, Bar::Ours(10.0));
        Ok(())
    }

    /// Watchers and reads under constant writes.
    fn busy(&self, seconds: u64, table: &mut Table) -> Result<()> {
        const RATE: u32 = 50;
        const READS: u32 = 2000;
        let server = Server::start(self, Kind::Ours)?;
        self.watchers(&server, [1, 1, 100, 0, 0])?.write()?;
        let seconds = u32::try_from(seconds)?;
        let writes = seconds * RATE;
        // In a process of its own, so that a read does not wait while the watchers handle their changes.
        let mut reads = self.watchers(&server, [0, 0, writes, RATE, READS])?;
        let alone = reads.write()?;
        let mut watchers = self.watchers(&server, [2000, 50, writes, RATE, 0])?;
        let before = server.cpu()?;
        reads.begin()?;
        let changes = watchers.write()?;
        let reads = reads.finish()?;
        let cores = (server.cpu()? - before) / f64::from(seconds);
        let figure = format!("delay of a change, 2,000 watchers, 50 writes a second for {seconds} s: p50");
        table.single(&figure, "ms", changes.delays[0], Bar::None);
        table.single("the same, p99", "ms", changes.delays[1], Bar::Ours(250.0));
        table.single("the same, cores that the service uses", "", cores, Bar::None);
        let figure = "latency of 2,000 GetMovie a second meanwhile, p99, against without";
        let latencies = [[reads.latencies[1], alone.latencies[1]]];
        table.row(figure, "ms", &latencies, Bar::Ratio(3.0), "without: ");
        Ok(())
    }

    /// Memory of a kept change of a new movie: in a catalogue alone, then in the service, whose store also has a row for it.
    fn log(&self, table: &mut Table) -> Result<()> {
        const MOVIES: u32 = 100_000;
        let alone = |kept: u32| -> Result<f64> {
            let mut command = Command::new(self.target.join("plain/examples/change_log"));
            let printed =
                program::run(command.args([kept, MOVIES].map(|number| number.to_string())), START_TIMEOUT)?;
            Ok(printed.trim().parse()?)
        };
        let log = (alone(MOVIES)? - alone(1)?) / f64::from(MOVIES);
        table.single("memory of the change log for a new movie", "bytes", log, Bar::Ours(120.0));
        let mut grown = [0.0; 2];
        for (grown, keep) in grown.iter_mut().zip(["100000", "1"]) {
            let server = Server::start_with(self, Kind::Ours, &["--keep-changes", keep])?;
            load::writes(&self.target, server.address, 256, 1000)?;
            let before = server.memory()?;
            load::writes(&self.target, server.address, 256, MOVIES.into())?;
            thread::sleep(SETTLE_TIME);
            // The allocator returns memory when a thread uses it again.
            load::writes(&self.target, server.address, 256, 1000)?;
            *grown = (server.memory()? - before) * 1e6 / f64::from(MOVIES);
        }
        let [with, without] = grown;
        let figure = "the same in the service, with SQLite's cached pages of the log";
        table.single(figure, "bytes", with - without, Bar::None);
        table.single("memory of such a movie itself", "bytes", without, Bar::None);
        Ok(())
    }

    fn watchers(&self, server: &Server, numbers: [u32; 5]) -> Result<Watchers> {
        let mut command = Command::new(self.target.join("plain/examples/watchers"));
        command.arg(if server.kind == Kind::Etcd { "etcd" } else { "movies" });
        command.arg(server.address.to_string()).args(numbers.map(|number| number.to_string()));
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("start watchers")?;
        let lines = BufReader::new(child.stdout.take().context("the output is not a pipe")?);
        let mut watchers = Watchers { child, lines };
        ensure!(watchers.line()? == "ready\n", "the watchers could not be opened");
        Ok(watchers)
    }
}

/// A running load generator. It is killed when it is dropped.
struct Watchers {
    child: Child,
    lines: BufReader<ChildStdout>,
}

/// The 50th and the 99th percentile, and the maximum, in milliseconds.
type Percentiles = [f64; 3];

struct Outcome {
    delays: Percentiles,
    latencies: Percentiles,
}

impl Watchers {
    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.lines.read_line(&mut line)?;
        Ok(line)
    }

    /// Makes the writes, and waits until all watchers were told them.
    fn write(&mut self) -> Result<Outcome> {
        self.begin()?;
        self.finish()
    }

    fn begin(&mut self) -> Result<()> {
        Ok(self.child.stdin.as_mut().context("the input is not a pipe")?.write_all(b"\n")?)
    }

    fn finish(&mut self) -> Result<Outcome> {
        let line = self.line()?;
        let values = line.split_whitespace().map(|text| Ok(text.parse::<f64>()? / 1e3));
        let values = values.collect::<Result<Vec<_>>>()?;
        ensure!(values.len() == 6, "a watcher was not told every change once and in order");
        Ok(Outcome {
            delays: [values[0], values[1], values[2]],
            latencies: [values[3], values[4], values[5]],
        })
    }
}

impl Drop for Watchers {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server under measurement with an empty store. It is killed when it is dropped.
struct Server {
    child: Child,
    kind: Kind,
    address: SocketAddr,
}

impl Server {
    fn start(bench: &Bench, kind: Kind) -> Result<Self> {
        Self::start_with(bench, kind, &[])
    }

    fn start_with(bench: &Bench, kind: Kind, options: &[&str]) -> Result<Self> {
        let store = bench.dir.join("store");
        let _ = fs::remove_dir_all(&store);
        fs::create_dir_all(&store)?;
        // Two ports that are free now, and probably stay free until the server binds them.
        let ports = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
        let [address, peer] = [ports[0].local_addr()?, ports[1].local_addr()?];
        drop(ports);
        let mut command;
        match kind {
            Kind::Ours => {
                command = Command::new(&bench.service);
                command.args([
                    "--allow-anonymous-writes",
                    "--limit",
                    LIMITS,
                    "--listen",
                    &address.to_string(),
                ]);
                command.arg("--database").arg(format!("sqlite:{}", store.join("movies.db").display()));
                command.args(options);
            }
            Kind::Etcd => {
                let [client, peer] = [address, peer].map(|address| format!("http://{address}"));
                command = Command::new("etcd");
                command.arg("--data-dir").arg(&store).args(["--listen-client-urls", &client]);
                command.args(["--advertise-client-urls", &client, "--listen-peer-urls", &peer]);
                command.args(["--initial-advertise-peer-urls", &peer]);
                command.args(["--initial-cluster", &format!("default={peer}")]);
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let server = Self { child: command.spawn().context("start a server")?, kind, address };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            ensure!(began.elapsed() < START_TIMEOUT, "{kind:?} did not listen within {START_TIMEOUT:?}");
            thread::sleep(Duration::from_millis(10));
        }
        // etcd listens before it has elected itself.
        thread::sleep(Duration::from_secs(2));
        Ok(server)
    }

    fn cpu(&self) -> Result<f64> {
        process::cpu(self.child.id())
    }

    fn memory(&self) -> Result<f64> {
        process::memory(self.child.id(), "VmRSS:")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
