//! `cargo xtask bench store`: the cost of the SQL stores beside bare programs, PostgreSQL's COPY and etcd.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::peers::{ETCD, Etcd, POSTGRES, Postgres};
use super::process::Resources;
use super::server::{Kind, Server};
use super::table::Bar;
use super::{Bench, MILLION, Rounds, data, load, micros, micros_of, process, sqlite};

/// Connections with writers, and writers of each.
const WRITERS: (u64, u64) = (4, 64);

/// Writes of a round.
const WRITES: u64 = 60_000;

/// Runs the part, and prints a table.
pub(super) fn run(root: &Path, rounds: Rounds) -> Result<()> {
    let mut bench = Bench::new(root, rounds)?;
    let movies = data::database(&bench.dir, MILLION)?;
    bench.imports_and_starts(&movies)?;
    bench.writes()?;
    if POSTGRES.is_available() {
        bench.postgres(&movies)?;
    }
    bench.table.print(["service", "peer"]);
    Ok(())
}

impl Bench {
    /// Import into SQLite, and the start with its movies.
    fn imports_and_starts(&mut self, movies: &Path) -> Result<()> {
        let [store, floor] = ["imported.db", "floor.db"].map(|name| self.dir.join(name));
        let (mut imports, mut starts, mut peak) = (Vec::new(), Vec::new(), 0.0_f64);
        for _ in 0..self.rounds {
            sqlite::remove(&store)?;
            let import = measure(&mut sqlite::import_command(&self.target, movies, &sqlite::url(&store)))?;
            peak = peak.max(import.memory);
            sqlite::remove(&floor)?;
            let insert = measure(self.floor("insert").arg(&store).arg(&floor))?;
            imports.push([import.cpu, insert.cpu]);

            let select = measure(self.floor("select").arg(&store))?;
            let server = Server::start(&self.target, Kind::Ours, sqlite::url(&store))?;
            starts.push([server.cpu()?, select.cpu]);
        }
        let figure = "CPU of importing 1M movies into SQLite";
        self.table.row(figure, "s", &imports, Bar::MaxRatio(1.5), "inserts: ");
        self.table.single(
            "memory while importing 1M movies into SQLite, peak",
            "MB",
            peak,
            Bar::MaxFigure(200.0),
        );
        let figure = "CPU of a start with 1M movies of SQLite";
        self.table.row(figure, "s", &starts, Bar::MaxRatio(1.5), "SELECT: ");
        sqlite::remove(&store)?;
        sqlite::remove(&floor)
    }

    /// Durable writes of single movies into SQLite.
    fn writes(&mut self) -> Result<()> {
        let store = self.dir.join("written.db");
        sqlite::remove(&store)?;
        let server = Server::start(&self.target, Kind::Ours, sqlite::url(&store))?;
        let etcd = if ETCD.is_available() { Some(Etcd::start(&self.dir.join("etcd"))?) } else { None };
        let ours = || load::creates(server.address, WRITES, WRITERS);
        let theirs = |etcd: &Etcd| load::puts(etcd.address, WRITES, WRITERS);
        ours()?;
        etcd.as_ref().map_or(Ok(()), theirs)?;
        let (mut cpu, mut rate) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            let peer = match &etcd {
                Some(etcd) => micros_of(|| etcd.cpu(), WRITES, || theirs(etcd))?,
                None => f64::NAN,
            };
            cpu.push([micros(&server, WRITES, ours)?, peer]);
            let many = load::writes(&self.target, server.address, 256, 20_000)?;
            // A single writer waits for each response, so each movie is a transaction.
            rate.push([many, load::writes(&self.target, server.address, 1, 500)?]);
        }
        let figure = "CPU of a durable write, 256 writers, SQLite";
        self.table.row(figure, "µs", &cpu, Bar::MaxRatio(0.45), "etcd: ");
        let figure = "durable writes a second, 256 writers against one, SQLite";
        self.table.row(figure, "/s", &rate, Bar::MinRatio(10.0), "one: ");
        drop(server);
        sqlite::remove(&store)
    }

    /// Import into PostgreSQL.
    fn postgres(&mut self, movies: &Path) -> Result<()> {
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
            let import = measure(&mut sqlite::import_command(&self.target, movies, &url))?;
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
        self.table.row("time to import 1M movies into PostgreSQL", "s", &times, Bar::MaxRatio(1.5), "COPY: ");
        self.table.row(
            "CPU of importing 1M movies into PostgreSQL, client and server",
            "s",
            &cpus,
            Bar::None,
            "COPY: ",
        );
        Ok(fs::remove_file(rows)?)
    }

    fn floor(&self, command: &str) -> Command {
        let mut floor = Command::new(self.target.join("plain/examples/insert_floor"));
        floor.arg(command);
        floor
    }
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
