//! `cargo xtask bench`: measures the service beside its peers, in parts that take at most five minutes each.
//!
//! All servers of a comparison run in the same part, and are measured in alternation. A figure is the median of its rounds. Most
//! figures are the CPU time and the memory of the server's process, as Linux reports them, because the duration of a call depends
//! on what else the machine does.

mod calls;
pub(crate) mod data;
mod growth;
mod http;
mod listing;
pub(crate) mod load;
mod memory;
mod nodes;
pub(crate) mod peers;
pub(crate) mod process;
mod search;
pub(crate) mod server;
pub(crate) mod sqlite;
mod start;
mod store;
pub(crate) mod table;
mod watch;
pub(crate) mod watchers;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::{Args, Command, Subcommand};

use self::server::{Kind, Server};
use self::table::Table;
use crate::program;

/// Options of the benchmark.
#[derive(Args, Clone, Debug)]
pub struct Options {
    #[command(subcommand)]
    part: Option<Part>,
}

/// Parts of the benchmark. The first line of each says how long it takes once everything is built.
#[derive(Subcommand, Clone, Debug)]
enum Part {
    /// CPU time and latency of calls and lists, beside a plain tonic server, nghttpd and grpcio; 2 minutes
    Calls(calls::Options),
    /// CPU time and memory of the client that lists a million movies, beside the course's; 5 minutes
    List(Rounds),
    /// Time and memory of a start with a million movies, and of reloads, beside a plain tonic server; 3 minutes
    Start(Rounds),
    /// Memory of a million movies by store, with search and without, and CPU time of pages and batches; 5 minutes
    Memory(Rounds),
    /// What grows with the number of movies, up to ten million in JSON and in SQLite; 5 minutes
    Growth(Rounds),
    /// CPU time of JSON over HTTP beside gRPC; 2 minutes
    Http(Rounds),
    /// Search: its CPU time, latency and memory, or its relevance; 5 minutes
    Search(search::Options),
    /// The SQL stores: imports, starts and writes, beside bare programs, PostgreSQL's COPY and etcd; 5 minutes
    Store(Rounds),
    /// Writes of two nodes on one PostgreSQL, beside those of one node; 3 minutes
    Nodes(Rounds),
    /// Watches: CPU time, memory and delays of many, beside those of etcd; 5 minutes
    Watch(watch::Options),
}

/// The option of most parts.
#[derive(Args, Clone, Copy, Debug)]
struct Rounds {
    /// Number of rounds of each figure; some that take long are measured once.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
}

const MILLION: u64 = 1_000_000;

/// Runs a part of the benchmark, and prints its table and the bars that it misses. Without a part, lists the parts.
///
/// # Errors
///
/// If a program cannot be built or run, or if a response is wrong.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    let Some(part) = &options.part else {
        print!("{}", parts());
        return Ok(());
    };
    match part {
        Part::Calls(options) => calls::run(root, options),
        Part::List(rounds) => listing::run(root, *rounds),
        Part::Start(rounds) => start::run(root, *rounds),
        Part::Memory(rounds) => memory::run(root, *rounds),
        Part::Growth(rounds) => growth::run(root, *rounds),
        Part::Http(rounds) => http::run(root, *rounds),
        Part::Search(options) => search::run(root, options),
        Part::Store(rounds) => store::run(root, *rounds),
        Part::Nodes(rounds) => nodes::run(root, *rounds),
        Part::Watch(options) => watch::run(root, options),
    }
}

/// Returns the list of the parts.
fn parts() -> String {
    let command = Options::augment_args(Command::new("bench"));
    let lines = command.get_subcommands().map(|part| {
        let about = part.get_about().map(ToString::to_string).unwrap_or_default();
        format!("  cargo xtask bench {:<7} {about}\n", part.get_name())
    });
    format!("Run one part at a time, on a quiet machine:\n\n{}", lines.collect::<String>())
}

/// Builds the service and the client with the profile `release`, and the load generators with the profile `plain`.
pub(crate) fn build(root: &Path) -> Result<()> {
    build_programs(root)?;
    // Not those of the client, whose tests need half of this program.
    cargo_build(root, &["--profile", "plain", "--examples", "--package", "movie-service"])
}

/// Builds the service and the client with the profile `release`.
pub(crate) fn build_programs(root: &Path) -> Result<()> {
    cargo_build(root, &["--release", "--bins", "--package", "movie-service", "--package", "movie-client"])
}

fn cargo_build(root: &Path, args: &[&str]) -> Result<()> {
    let status = program::cargo(root).arg("build").args(args).status()?;
    ensure!(status.success(), "cargo build failed");
    Ok(())
}

/// A part that runs.
struct Bench {
    /// Folder of what cargo builds.
    target: PathBuf,
    /// Folder of databases.
    dir: PathBuf,
    rounds: u64,
    table: Table,
}

impl Bench {
    /// Builds the programs.
    fn new(root: &Path, Rounds { rounds }: Rounds) -> Result<Self> {
        peers::H2LOAD.require()?;
        build(root)?;
        let target = crate::target(root);
        let dir = target.join("bench");
        fs::create_dir_all(&dir)?;
        Ok(Self { target, dir, rounds, table: Table::default() })
    }

    /// Starts a server with a generated JSON database of this many movies.
    fn server(&self, kind: Kind, movies: u64) -> Result<Server> {
        Server::start(&self.target, kind, data::database(&self.dir, movies)?)
    }
}

/// Returns the CPU time that a server uses for `work`, divided by `count`, in microseconds.
fn micros(server: &Server, count: u64, work: impl FnOnce() -> Result<()>) -> Result<f64> {
    micros_of(|| server.cpu(), count, work)
}

/// Returns by how much the CPU time `cpu` grows during `work`, divided by `count`, in microseconds.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn micros_of(cpu: impl Fn() -> Result<f64>, count: u64, work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let before = cpu()?;
    work()?;
    Ok((cpu()? - before) * 1e6 / count as f64)
}

/// A figure of two servers, by round.
struct Pairs(Vec<[f64; 2]>);

impl Pairs {
    fn new() -> Self {
        Self(Vec::new())
    }

    /// Measures both servers. The order alternates from round to round, because a measurement after a pause differs from one
    /// under load.
    fn push(&mut self, servers: &[Server; 2], measure: impl Fn(&Server) -> Result<f64>) -> Result<()> {
        let mut round = [0.0; 2];
        let first = self.0.len() % 2;
        for index in [first, 1 - first] {
            round[index] = measure(&servers[index])?;
        }
        self.0.push(round);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_says_that_it_takes_five_minutes_or_less() {
        let command = Options::augment_args(Command::new("bench"));
        for part in command.get_subcommands() {
            let about = part.get_about().unwrap_or_default().to_string();
            let (_, time) = about.rsplit_once("; ").unwrap();
            let minutes: u32 = time.strip_suffix(" minutes").unwrap().parse().unwrap();
            assert!((1..=5).contains(&minutes), "{about}");
        }
    }

    #[test]
    fn the_list_of_the_parts_has_a_line_for_each() {
        let parts = parts();
        assert!(parts.contains("\n  cargo xtask bench calls   CPU time and latency of calls"), "{parts}");
        assert!(parts.lines().all(|line| line.chars().count() <= 140), "{parts}");
    }
}
