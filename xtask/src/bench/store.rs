//! `cargo xtask bench store`: the cost of the SQL stores beside bare programs, PostgreSQL's COPY and etcd.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::catalog::remove;
use super::postgres::Postgres;
use super::server::{Kind, Server};
use super::table::{Bar, Table};
use super::{MILLION, data, load, process};

/// Options of the benchmark of the stores.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    /// Number of rounds of each figure.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
}

/// Writers at a time, and writes of a round.
const CONNECTIONS: u64 = 4;
const STREAMS: u64 = 64;
const WRITES: u64 = 60_000;

/// Runs the benchmark, and prints a table.
pub(super) fn run(root: &Path, options: &Options) -> Result<()> {
    load::check_tools()?;
    let has_etcd = Command::new("etcd").arg("--version").stdout(Stdio::null()).status().is_ok();
    ensure!(has_etcd, "etcd is not installed; on Debian, install the package etcd-server");
    let target = crate::target(root);
    super::cargo_build(root, &["--release", "--package", "movie-service", "--bins"])?;
    super::cargo_build(
        root,
        &["--profile", "plain", "--package", "movie-service", "--example", "insert_floor"],
    )?;
    let dir = target.join("bench");
    fs::create_dir_all(&dir)?;
    let movies = data::database(&dir, MILLION)?;
    let mut bench = Stores { target, dir, movies, rounds: options.rounds, table: Table::default() };
    bench.sqlite()?;
    bench.writes()?;
    bench.postgres()?;
    bench.table.print(["service", "peer"]);
    Ok(())
}

struct Stores {
    target: PathBuf,
    dir: PathBuf,
    movies: PathBuf,
    rounds: u64,
    table: Table,
}

impl Stores {
    /// Import into SQLite, and the start with its movies.
    fn sqlite(&mut self) -> Result<()> {
        let [store, floor] = ["imported.db", "floor.db"].map(|name| self.dir.join(name));
        let (mut imports, mut starts, mut peak) = (Vec::new(), Vec::new(), 0.0_f64);
        for _ in 0..self.rounds {
            remove(&store)?;
            let import = measure(&mut self.import(&sqlite(&store)))?;
            peak = peak.max(import.memory);
            remove(&floor)?;
            let insert = measure(self.floor("insert").arg(&store).arg(&floor))?;
            imports.push([import.cpu, insert.cpu]);

            let select = measure(self.floor("select").arg(&store))?;
            let server = Server::start(&self.target, Kind::Ours, sqlite(&store))?;
            starts.push([server.cpu()?, select.cpu]);
        }
        let figure = "CPU of importing 1M movies into SQLite";
        self.table.row(figure, "s", &imports, Bar::Ratio(1.5), "inserts: ");
        self.table.single("memory meanwhile, peak", "MB", peak, Bar::Ours(200.0));
        let figure = "CPU of a start with 1M movies of SQLite";
        self.table.row(figure, "s", &starts, Bar::Ratio(1.5), "SELECT: ");
        remove(&store)?;
        remove(&floor)
    }

    /// CPU time of a durable write of one movie, with 256 writers.
    fn writes(&mut self) -> Result<()> {
        let store = self.dir.join("written.db");
        remove(&store)?;
        let server = Server::start(&self.target, Kind::Ours, sqlite(&store))?;
        let etcd = Etcd::start(&self.dir.join("etcd"))?;
        let ours = || load::creates(server.address, WRITES, CONNECTIONS, STREAMS);
        let theirs = || load::puts(etcd.address, WRITES, CONNECTIONS, STREAMS);
        ours()?;
        theirs()?;
        let mut writes = Vec::new();
        for _ in 0..self.rounds {
            let before = [server.cpu()?, etcd.cpu()?];
            ours()?;
            theirs()?;
            #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
            let micros = |cpu: f64| cpu * 1e6 / WRITES as f64;
            writes.push([micros(server.cpu()? - before[0]), micros(etcd.cpu()? - before[1])]);
        }
        let figure = "CPU of a durable write, 256 writers, SQLite";
        self.table.row(figure, "µs", &writes, Bar::Ratio(0.45), "etcd: ");
        drop(server);
        remove(&store)
    }

    /// Import into PostgreSQL.
    fn postgres(&mut self) -> Result<()> {
        let server = Postgres::start()?;
        let rows = self.dir.join("rows.copy");
        let copy = |direction: &str, table: &str| {
            format!("\\copy {table} {direction} '{}' (FORMAT binary)", rows.display())
        };
        let (mut times, mut cpus) = (Vec::new(), Vec::new());
        for round in 0..self.rounds {
            let database = format!("round{round}");
            let url = server.create(&database)?;
            let before = server.cpu()?;
            let import = measure(&mut self.import(&url))?;
            let imported = server.cpu()?;
            if round == 0 {
                measure(&mut server.psql(&database, &copy("TO", "movies")))?;
            }
            let peer = "CREATE TABLE peer (position BIGINT PRIMARY KEY, id TEXT NOT NULL UNIQUE, movie BYTEA NOT NULL)";
            measure(&mut server.psql(&database, peer))?;
            let began = server.cpu()?;
            let copied = measure(&mut server.psql(&database, &copy("FROM", "peer")))?;
            times.push([import.wall, copied.wall]);
            cpus.push([import.cpu + imported - before, copied.cpu + server.cpu()? - began]);
            measure(&mut server.psql("postgres", &format!("DROP DATABASE {database}")))?;
        }
        self.table.row("time to import 1M movies into PostgreSQL", "s", &times, Bar::Ratio(1.5), "COPY: ");
        self.table.row("CPU meanwhile, client and server", "s", &cpus, Bar::None, "COPY: ");
        Ok(fs::remove_file(rows)?)
    }

    fn import(&self, store: &str) -> Command {
        let mut import = Command::new(self.target.join("release/movie-service"));
        import.arg("import").arg(&self.movies).args(["--database", store]);
        import
    }

    fn floor(&self, command: &str) -> Command {
        let mut floor = Command::new(self.target.join("plain/examples/insert_floor"));
        floor.arg(command);
        floor
    }
}

fn sqlite(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

/// Resources of a program that has ended.
struct Resources {
    /// In seconds.
    wall: f64,
    /// In seconds.
    cpu: f64,
    /// Peak, in megabytes.
    memory: f64,
}

/// Runs a program to its end.
fn measure(command: &mut Command) -> Result<Resources> {
    let (cpu, began) = (process::cpu_of_ended()?, Instant::now());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let mut memory = 0.0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        // The peak only grows, and it cannot be read after the end of the process.
        memory = process::memory(child.id(), "VmHWM:").unwrap_or(memory);
        thread::sleep(Duration::from_millis(5));
    };
    ensure!(status.success(), "{command:?}: {status}");
    Ok(Resources { wall: began.elapsed().as_secs_f64(), cpu: process::cpu_of_ended()? - cpu, memory })
}

/// A server of etcd with one member. It is killed when it is dropped.
struct Etcd {
    child: Child,
    address: SocketAddr,
    dir: PathBuf,
}

impl Etcd {
    fn start(dir: &Path) -> Result<Self> {
        let _ = fs::remove_dir_all(dir);
        let free = || anyhow::Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?);
        let (address, peer) = (free()?, free()?);
        let mut command = Command::new("etcd");
        command.arg("--data-dir").arg(dir);
        let [client_url, peer_url] = [address, peer].map(|address| format!("http://{address}"));
        command.args(["--listen-client-urls", &client_url, "--advertise-client-urls", &client_url]);
        command.args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url]);
        command.args(["--initial-cluster", &format!("default={peer_url}")]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let etcd = Self { child: child.context("start etcd")?, address, dir: dir.to_owned() };
        let began = Instant::now();
        while load::puts(address, 1, 1, 1).is_err() {
            ensure!(began.elapsed() < Duration::from_secs(30), "etcd does not accept writes");
            thread::sleep(Duration::from_millis(100));
        }
        Ok(etcd)
    }

    fn cpu(&self) -> Result<f64> {
        process::cpu(self.child.id())
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}
