//! `cargo xtask bench watch`: the cost of watches beside those of etcd.
//!
//! Both send each write to all watchers, over connections of gRPC. The service keeps the movies in SQLite. The load generator,
//! `movie-service/examples/watchers.rs`, checks that each watcher is told every write once and in order.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use super::peers::{ETCD, Etcd};
use super::server::{Kind, Server};
use super::table::Bar;
use super::watchers::{self, LIMITS, Load, Watched};
use super::{Bench, Rounds, load, process, sqlite};

/// Options of this part.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    #[command(flatten)]
    rounds: Rounds,

    /// Seconds of writes to 2,000 watchers.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
}

/// Time for the service to give memory back.
const SETTLE_TIME: Duration = Duration::from_secs(15);

/// Runs the part, and prints a table.
pub(super) fn run(root: &Path, options: &Options) -> Result<()> {
    let mut bench = Bench::new(root, options.rounds)?;
    let kinds: &[Peer] = if ETCD.is_available() { &[Peer::Ours, Peer::Etcd] } else { &[Peer::Ours] };
    bench.delivery(kinds)?;
    bench.memory_of_watchers(kinds)?;
    let server = bench.watched(Peer::Ours)?;
    server.watched(&bench.target).measure_idle(&mut bench.table)?;
    drop(server);
    let server = bench.watched(Peer::Ours)?;
    let watched = server.watched(&bench.target);
    watched.warm_up()?;
    watched.measure_busy(options.seconds, options.seconds, &mut bench.table)?;
    drop(server);
    bench.change_log()?;
    println!("The service ran with --limit {LIMITS}.");
    bench.table.print(["ours", "etcd"]);
    sqlite::remove(&bench.watched_store())
}

/// A server that is compared.
#[derive(Clone, Copy, Debug)]
enum Peer {
    Ours,
    Etcd,
}

/// A running server, whose store was empty.
enum Running {
    Ours(Server),
    Etcd(Etcd),
}

impl Running {
    fn watched(&self, target: &Path) -> Watched {
        let (process, address) = match self {
            Self::Ours(server) => (server.id(), server.address),
            Self::Etcd(etcd) => (etcd.id(), etcd.address),
        };
        let is_etcd = matches!(self, Self::Etcd(_));
        Watched { generator: watchers::generator(target), is_etcd, process, address, credentials: None }
    }
}

impl Bench {
    fn watched_store(&self) -> PathBuf {
        self.dir.join("watched.db")
    }

    fn watched(&self, peer: Peer) -> Result<Running> {
        match peer {
            Peer::Ours => Ok(Running::Ours(self.watched_with(&[])?)),
            Peer::Etcd => Ok(Running::Etcd(Etcd::start(&self.dir.join("etcd"))?)),
        }
    }

    fn watched_with(&self, options: &[&str]) -> Result<Server> {
        let store = self.watched_store();
        sqlite::remove(&store)?;
        let options = [&["--limit", LIMITS], options].concat();
        Server::start_with(&self.target, Kind::Searching, sqlite::url(&store), &options)
    }

    /// Measures a figure of the servers in each round; without etcd, its figure is not a number.
    fn pairs(&self, peers: &[Peer], measure: impl Fn(&Watched) -> Result<f64>) -> Result<Vec<[f64; 2]>> {
        let mut pairs = Vec::new();
        for _ in 0..self.rounds {
            let mut pair = [f64::NAN; 2];
            for (figure, peer) in pair.iter_mut().zip(peers) {
                let server = self.watched(*peer)?;
                *figure = measure(&server.watched(&self.target))?;
            }
            pairs.push(pair);
        }
        Ok(pairs)
    }

    /// CPU time of a change that is delivered to a watcher.
    fn delivery(&mut self, peers: &[Peer]) -> Result<()> {
        const WRITES: u32 = 150;
        const REPETITIONS: u32 = 4;
        let cpu = |watched: &Watched, watchers: u32, connections: u32| -> Result<f64> {
            let load = Load { watchers, connections, writes: WRITES, ..Load::default() };
            let mut watchers_of = watched.open(load)?;
            // The first writes open files and fill caches.
            watchers_of.write()?;
            let before = process::cpu(watched.process)?;
            for _ in 0..REPETITIONS {
                watchers_of.write()?;
            }
            let cpu = process::cpu(watched.process)? - before;
            Ok(cpu * 1e6 / f64::from(WRITES * REPETITIONS) / f64::from(watchers))
        };
        let pairs = self.pairs(peers, |watched| cpu(watched, 300, 10))?;
        let figure = "CPU of a change delivered to a watcher, 300 watchers on 10 connections";
        self.table.pair(figure, "µs", &pairs, Bar::MaxRatio(0.25));
        let pairs = self.pairs(peers, |watched| cpu(watched, 1, 1))?;
        let figure = "CPU of a change with a single watcher, its write included";
        self.table.pair(figure, "µs", &pairs, Bar::None);
        Ok(())
    }

    /// Memory of a watcher, its part of the connection included.
    fn memory_of_watchers(&mut self, peers: &[Peer]) -> Result<()> {
        let load = Load { watchers: 2000, connections: 50, writes: 1, ..Load::default() };
        let pairs = self.pairs(peers, |watched| {
            drop(watched.open(Load { watchers: 1, connections: 1, ..load })?);
            let before = process::memory(watched.process, "VmRSS:")?;
            let _watchers = watched.open(load)?;
            let grown = process::memory(watched.process, "VmRSS:")? - before;
            Ok(grown * 1e6 / 1024.0 / f64::from(load.watchers))
        })?;
        self.table.pair("memory of a watcher, 2,000 on 50 connections", "KiB", &pairs, Bar::MaxFigure(6.0));
        Ok(())
    }

    /// Memory of a kept change of a new movie: in a catalogue alone, then in the service, whose store also has a row for it.
    fn change_log(&mut self) -> Result<()> {
        const MOVIES: u32 = 100_000;
        let [with, without] = [MOVIES, 1].map(|kept| load::change_log(&self.target, kept, MOVIES));
        let log = (with? - without?) / f64::from(MOVIES);
        self.table.single("memory of the change log for a new movie", "bytes", log, Bar::MaxFigure(120.0));
        let mut grown = [0.0; 2];
        for (grown, keep) in grown.iter_mut().zip(["100000", "1"]) {
            let server = self.watched_with(&["--keep-changes", keep])?;
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
        self.table.single(figure, "bytes", with - without, Bar::None);
        self.table.single(
            "memory of a new movie in the service, with SQLite's cached pages",
            "bytes",
            without,
            Bar::None,
        );
        Ok(())
    }
}
