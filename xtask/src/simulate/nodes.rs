//! Real nodes on one PostgreSQL, on this machine.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::events::Random;
use crate::bench::peers::Postgres;
use crate::bench::server::{Kind, Server};
use crate::bench::watchers::LIMITS;
use crate::http::{Connection, Watch};
use crate::program;

/// Time limit of a command of PostgreSQL.
const TIMEOUT: Duration = Duration::from_mins(1);

/// The database of the nodes.
const DATABASE: &str = "simulated";

/// Transactions a second of an idle node: polls, and looks for changes to remove.
const IDLE_RATE: f64 = 20.2;

/// Ticks of `/proc/stat` in a second, on all common platforms.
const TICKS_A_SECOND: f64 = 100.0;

/// Connections with writers.
const WRITERS: u32 = 8;

/// Nodes, and their store.
pub(super) struct Nodes {
    // Dropped before their store.
    pub(super) servers: Vec<Server>,
    pub(super) postgres: Postgres,
    /// Time after a load until the store has counted all transactions.
    settle: Duration,
}

/// Counters at a time, or their differences.
#[derive(Clone, Debug)]
pub(super) struct Counters {
    pub(super) seconds: f64,
    /// CPU time of each node, and of the store.
    pub(super) nodes: Vec<f64>,
    pub(super) store: f64,
    /// Transactions that the store committed, and those of them that wrote.
    pub(super) transactions: f64,
    pub(super) writing: f64,
    /// Cores that other programs took.
    pub(super) others: f64,
}

impl Nodes {
    /// Starts a store with the movies of a file, and nodes on it; waits until all are idle.
    pub(super) fn start(target: &Path, movies: &Path, count: usize, settle: Duration) -> Result<Self> {
        let postgres = Postgres::start()?;
        let url = postgres.create(DATABASE)?;
        crate::bench::sqlite::import(target, movies, &url)?;
        // Otherwise the store does this while something else is measured.
        for command in ["VACUUM ANALYZE", "CHECKPOINT"] {
            program::run(&mut postgres.psql(DATABASE, command), TIMEOUT)?;
        }
        let start = || Server::start_with(target, Kind::Searching, &url, &["--limit", LIMITS]);
        let servers = (0..count).map(|_| start()).collect::<Result<Vec<_>>>()?;
        // An idle node polls, so it never counts as idle: time for the index, the columns and the first compaction.
        thread::sleep(Duration::from_secs(4));
        Ok(Self { servers, postgres, settle })
    }

    /// Reads the CPU times.
    fn cpu(&self) -> Result<(Vec<f64>, f64)> {
        let nodes = self.servers.iter().map(Server::cpu).collect::<Result<_>>()?;
        Ok((nodes, self.postgres.cpu_now()?))
    }

    /// Reads the numbers of committed transactions and of those that wrote.
    fn transactions(&self) -> Result<[f64; 2]> {
        let all = "SELECT xact_commit FROM pg_stat_database WHERE datname = 'simulated'";
        let writing = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint";
        // In another database, whose transactions do not count.
        let [all, writing] = [all, writing].map(|query| self.postgres.number("postgres", query));
        Ok([all?, writing?])
    }

    /// Returns by how much the counters grow while `load` runs.
    pub(super) fn measure<T>(&self, load: impl FnOnce(&Self) -> Result<T>) -> Result<(Counters, T)> {
        // The queries take CPU time of the store, so they are outside of what is measured.
        let (transactions, counted) = (self.transactions()?, Instant::now());
        let ((nodes, store), busy, began) = (self.cpu()?, busy_time()?, Instant::now());
        let loaded = load(self)?;
        let (seconds, (nodes_after, store_after)) = (began.elapsed().as_secs_f64(), self.cpu()?);
        let busy = busy_time()? - busy;
        thread::sleep(self.settle);
        let transactions_after = self.transactions()?;
        let between = counted.elapsed().as_secs_f64() - seconds;
        let [all, writing] = [0, 1].map(|at| transactions_after[at] - transactions[at]);
        // Before and after the load, the nodes polled.
        let transactions = all - IDLE_RATE * f64::from(u32::try_from(self.servers.len())?) * between;
        let nodes: Vec<_> = nodes_after.iter().zip(&nodes).map(|(after, before)| after - before).collect();
        let store = store_after - store;
        let others = (busy - nodes.iter().sum::<f64>() - store) / seconds;
        Ok((Counters { seconds, nodes, store, transactions, writing, others }, loaded))
    }

    /// Executes a script of SQL again and again, over 8 connections or at a rate, and returns how often a second.
    pub(super) fn repeat(&self, script: &str, seconds: u32, rate: Option<u32>) -> Result<f64> {
        self.postgres.repeat(DATABASE, script, seconds, rate)
    }

    /// Makes writes at random times (a Poisson process) at all nodes, and returns the number of writes and their delays at the last
    /// node, in seconds: from the time at which each was due, of those that were made at another.
    pub(super) fn write(&self, rate: f64, seconds: u32) -> Result<(f64, Vec<f64>)> {
        let last = self.servers.last().context("expected nodes")?;
        let (watch, began) = (Watch::open(last.address)?, Instant::now());
        let written = thread::scope(|scope| {
            let writer = |(writer, node): (u32, &Server)| {
                let (address, is_last) = (node.address, node.address == last.address);
                scope.spawn(move || {
                    let mut connection = Connection::open(address)?;
                    let mut random = Random(u64::from(writer) << 32);
                    let (mut due, mut count) = (0.0, 0_u32);
                    loop {
                        due += random.exponential(f64::from(WRITERS) / rate);
                        if due > f64::from(seconds) {
                            return Ok::<_, anyhow::Error>(count);
                        }
                        thread::sleep(Duration::from_secs_f64(due).saturating_sub(began.elapsed()));
                        connection.create(&format!("{due:.6} {is_last}"))?;
                        count += 1;
                    }
                })
            };
            let writers: Vec<_> = (0..WRITERS).zip(self.servers.iter().cycle()).map(writer).collect();
            let counts = writers.into_iter().map(|writer| writer.join().ok().context("a writer panicked")?);
            counts.sum::<Result<u32>>()
        })?;
        let mut delays = Vec::new();
        for (at, overview) in watch.changes(written as usize)? {
            if let Some(due) = overview.strip_suffix(" false") {
                delays.push(at.duration_since(began).as_secs_f64() - due.parse::<f64>()?);
            }
        }
        Ok((f64::from(written), delays))
    }
}

/// Returns the time for which the cores of this machine were busy, in seconds.
pub(super) fn busy_time() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let ticks = stat.lines().next().unwrap_or_default().split_whitespace().skip(1).map(str::parse::<f64>);
    let ticks = ticks.collect::<Result<Vec<_>, _>>()?;
    // Times of proc_stat(5); those of guests, which follow, are part of the user's.
    let [user, nice, system, _idle, _wait_for_disks, interrupts, soft_interrupts, ..] = ticks[..] else {
        bail!("/proc/stat has too few times: {stat}");
    };
    Ok([user, nice, system, interrupts, soft_interrupts].iter().sum::<f64>() / TICKS_A_SECOND)
}
