//! `cargo xtask bench`: compares the service with a plain tonic server in one run.
//!
//! Both are built, load the same generated data, and are measured in alternation. A figure is the median of its rounds. Most
//! figures are the CPU time and the memory of the server's process, as Linux reports them, because the duration of a call depends
//! on what else the machine does.

mod catalog;
pub(crate) mod data;
mod http;
mod listing;
pub(crate) mod load;
mod memory;
mod postgres;
pub(crate) mod process;
mod search;
mod server;
mod store;
mod table;
mod watch;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{fs, thread};

use anyhow::{Result, ensure};
use clap::{Args, Subcommand};

use self::server::{Kind, Server};
use self::table::{Bar, Table};
use crate::interop::python::Python;
use crate::program;

/// Options of the benchmark.
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Options {
    #[command(subcommand)]
    part: Option<Part>,

    /// Number of movies in the database for calls and lists.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    movies: u64,

    /// Number of rounds of each figure.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,

    /// Measure only the writable catalogue and its store.
    #[arg(long)]
    catalog: bool,
}

/// Benchmarks with a table of their own.
#[derive(Subcommand, Clone, Debug)]
enum Part {
    /// Measure what JSON over HTTP costs beside gRPC.
    Http(http::Options),
    /// Measure the memory of a million movies, and calls that return many of them.
    Memory(memory::Options),
    /// Measure search: its relevance, or what it costs.
    Search(search::Options),
    /// Measure what watches cost beside those of etcd.
    Watch(watch::Options),
    /// Measure what the SQL stores cost.
    Store(store::Options),
}

const MILLION: u64 = 1_000_000;

/// Runs the benchmark, and prints a table.
///
/// # Errors
///
/// If a program cannot be built or run, or if a response is wrong.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    match &options.part {
        Some(Part::Http(options)) => return http::run(root, options),
        Some(Part::Memory(options)) => return memory::run(root, options),
        Some(Part::Search(options)) => return search::run(root, options),
        Some(Part::Watch(options)) => return watch::run(root, options),
        Some(Part::Store(options)) => return store::run(root, options),
        None => {}
    }
    load::check_tools()?;
    let target = crate::target(root);
    build(root)?;
    let dir = target.join("bench");
    fs::create_dir_all(&dir)?;
    let python = Python::install(root, &target.join("interop"))?;
    let bench = Bench { target, dir, python, rounds: options.rounds, table: Table::default() };
    bench.run(options.movies, options.catalog)
}

/// Builds the service and the client with the profile `release`, and the load generators with the profile `plain`.
pub(crate) fn build(root: &Path) -> Result<()> {
    let packages = ["--package", "movie-service", "--package", "movie-client"];
    cargo_build(root, &[&["--release", "--bins"][..], &packages].concat())?;
    cargo_build(root, &[&["--profile", "plain", "--examples"][..], &packages].concat())
}

fn cargo_build(root: &Path, args: &[&str]) -> Result<()> {
    let status = program::cargo(root).arg("build").args(args).status()?;
    ensure!(status.success(), "cargo build failed");
    Ok(())
}

struct Bench {
    target: PathBuf,
    dir: PathBuf,
    python: Python,
    rounds: u64,
    table: Table,
}

impl Bench {
    fn run(mut self, movies: u64, catalog: bool) -> Result<()> {
        if !catalog {
            self.calls_and_lists(movies)?;
            self.start_and_memory()?;
            self.sizes()?;
            self.stalled_readers()?;
            self.reloads()?;
            self.listing()?;
        }
        self.catalog()?;
        self.table.print(["ours", "naive"]);
        Ok(())
    }

    fn server(&self, kind: Kind, movies: u64) -> Result<Server> {
        Server::start(&self.target, kind, &data::database(&self.dir, movies)?)
    }

    /// CPU time of a call and of a movie in a list, and latency of a call.
    fn calls_and_lists(&mut self, movies: u64) -> Result<()> {
        const CALLS: u64 = 200_000;
        const ONE_BY_ONE: u64 = 5_000;
        let database = data::database(&self.dir, movies)?;
        let servers = [self.server(Kind::Ours, movies)?, self.server(Kind::Naive, movies)?];
        for server in &servers {
            load::check(&self.target, server.address, &database)?;
            load::calls(server.address, 0, CALLS / 10, 10, 100)?;
        }
        // Enough CPU time for the resolution of Linux, a hundredth of a second.
        let lists = (20 * MILLION).div_ceil(movies);
        let metered = [self.server(Kind::Metered, movies)?, self.server(Kind::Ours, movies)?];
        for server in &metered {
            load::calls(server.address, 0, CALLS / 10, 10, 100)?;
        }
        let (mut call, mut movie, mut latency) = (Pairs::new(), Pairs::new(), Pairs::new());
        let mut metrics = Pairs::new();
        let mut copy = Vec::new();
        for round in 0..self.rounds {
            let asked = round * 7919 % movies;
            call.push(&servers, |server| {
                micros(server, CALLS, || load::calls(server.address, asked, CALLS, 10, 100))
            })?;
            metrics.push(&metered, |server| {
                micros(server, CALLS, || load::calls(server.address, asked, CALLS, 10, 100))
            })?;
            movie.push(&servers, |server| {
                micros(server, lists * movies, || load::lists(server.address, lists))
            })?;
            // A movie of these databases is 91 bytes, the prefix included.
            let plain_tcp = load::plain_tcp(&self.target, 400_000_000)? * 91.0 * 1e6;
            copy.push([movie.0[movie.0.len() - 1][0], plain_tcp]);
            latency.push(&servers, |server| {
                load::random_calls(&self.target, server.address, movies, ONE_BY_ONE, (1, 1))
            })?;
        }
        let size = table::count(movies);
        self.table.pair(&format!("CPU of a GetMovieByID, {size} movies"), "µs", &call.0, Bar::Ratio(0.40));
        self.table.row("the same with metrics on", "µs", &metrics.0, Bar::Ratio(1.10), "off: ");
        self.table.pair(&format!("CPU of a streamed movie, {size} movies"), "µs", &movie.0, Bar::Ratio(0.08));
        self.table.row("the same against 91 bytes over plain TCP", "µs", &copy, Bar::None, "TCP: ");
        self.table.pair("latency of one call at a time, p50", "µs", &latency.0, Bar::Ratio(1.0));
        Ok(())
    }

    /// Start time and memory with a million movies.
    fn start_and_memory(&mut self) -> Result<()> {
        let (mut start, mut memory, mut peak) = (Pairs::new(), Pairs::new(), Pairs::new());
        for _ in 0..self.rounds {
            let mut measured = Vec::new();
            for kind in [Kind::Ours, Kind::Naive] {
                let server = self.server(kind, MILLION)?;
                let peak = server.peak_memory()?;
                load::lists(server.address, 1)?;
                measured.push((server.start.as_secs_f64() * 1e3, peak, server.memory()?));
            }
            start.0.push([measured[0].0, measured[1].0]);
            peak.0.push([measured[0].1, measured[1].1]);
            memory.0.push([measured[0].2, measured[1].2]);
        }
        self.table.pair("start to first answer, 1M movies", "ms", &start.0, Bar::Ratio(0.45));
        self.table.pair("memory while loading 1M movies, peak", "MB", &peak.0, Bar::Ours(300.0));
        self.table.pair("memory at 1M movies, after one list", "MB", &memory.0, Bar::Ours(130.0));
        Ok(())
    }

    /// Growth of CPU time, memory and start time with the size of the database.
    fn sizes(&mut self) -> Result<()> {
        const CALLS: u64 = 100_000;
        let sizes = [7, MILLION, 10 * MILLION];
        let mut starts = Vec::new();
        for _ in 0..self.rounds {
            let [ten, million] = [10 * MILLION, MILLION].map(|size| self.server(Kind::Ours, size));
            starts.push([ten?.start.as_secs_f64() * 1e3, million?.start.as_secs_f64() * 1e3]);
        }
        self.table.ours("start to first answer, 10M movies against 1M", "ms", &starts, Bar::Ratio(11.0));

        let mut servers = Vec::new();
        for size in sizes {
            servers.push(self.server(Kind::Ours, size)?);
        }
        let mut rounds = Vec::new();
        for _ in 0..self.rounds {
            let mut round = [0.0; 3];
            for (cost, (server, size)) in round.iter_mut().zip(servers.iter().zip(sizes)) {
                *cost = micros(server, CALLS, || {
                    load::random_calls(&self.target, server.address, size, CALLS, (10, 100)).map(drop)
                })?;
            }
            rounds.push(round);
        }
        let against = |large: usize, small: usize| -> Vec<[f64; 2]> {
            rounds.iter().map(|round| [round[large], round[small]]).collect()
        };
        self.table.ours(
            "CPU of a call at random ids, 1M movies against 7",
            "µs",
            &against(1, 0),
            Bar::Ratio(1.15),
        );
        self.table.ours(
            "CPU of a call at random ids, 10M movies against 1M",
            "µs",
            &against(2, 1),
            Bar::Ratio(1.15),
        );
        let memory = servers[2].memory()?;
        self.table.ours("memory at 10M movies", "MB", &[[memory, servers[1].memory()?]], Bar::Ours(1200.0));
        Ok(())
    }

    /// Memory for a thousand callers that stop reading a list of a million movies.
    fn stalled_readers(&mut self) -> Result<()> {
        let server = self.server(Kind::Ours, MILLION)?;
        load::lists(server.address, 1)?;
        let before = server.memory()?;
        let stalled = load::stall(&self.target, server.address, 1000)?;
        load::calls(server.address, 1, 1000, 1, 1)?;
        let grown = server.memory()? - before;
        drop(stalled);
        self.table.single("memory of 1,000 stalled readers, 1M movies", "MB", grown, Bar::Ours(100.0));
        Ok(())
    }

    /// Resources of our client and of the course's client for a list of a million movies into a pipe.
    fn listing(&mut self) -> Result<()> {
        /// Lines of the course's client that are not in the list: two headings and an empty line.
        const OTHER_LINES: u64 = 3;
        let server = self.server(Kind::Ours, MILLION)?;
        let address = server.address.to_string();
        let (mut wall, mut cpu, mut memory) = (Pairs::new(), Pairs::new(), Pairs::new());
        for _ in 0..self.rounds {
            let mut ours = Command::new(self.target.join("release/movie-client"));
            let ours = listing::measure(ours.args(["--address", &address, "list"]), MILLION)?;
            let course = listing::measure(&mut self.python.client(&address), MILLION + OTHER_LINES)?;
            wall.0.push([ours.wall, course.wall]);
            cpu.0.push([ours.cpu, course.cpu]);
            memory.0.push([ours.memory, course.memory]);
        }
        let course = "the course's: ";
        self.table.row(
            "CPU of the client that lists 1M movies into a pipe",
            "s",
            &cpu.0,
            Bar::Ratio(0.125),
            course,
        );
        self.table.row("time until it has", "s", &wall.0, Bar::Ratio(0.125), course);
        self.table.row("memory of the client meanwhile, peak", "MB", &memory.0, Bar::Ours(50.0), course);
        Ok(())
    }

    /// Growth of memory over reloads.
    fn reloads(&mut self) -> Result<()> {
        let database = self.dir.join("reloaded.json");
        let source = data::database(&self.dir, MILLION)?;
        fs::copy(&source, &database)?;
        let server = Server::start(&self.target, Kind::Ours, &database)?;
        let (mut first, mut last) = (0.0, 0.0);
        for reload in 0..10 {
            let before = server.cpu()?;
            fs::copy(&source, &database)?;
            // CPU time grows while the service reloads, and stops growing at the end.
            while server.cpu()? - before < 0.2 {
                thread::sleep(Duration::from_millis(50));
            }
            let mut busy = f64::NAN;
            while server.cpu()? > busy || busy.is_nan() {
                busy = server.cpu()?;
                thread::sleep(Duration::from_millis(1500));
            }
            last = server.memory()?;
            if reload == 0 {
                first = last;
            }
        }
        self.table.single(
            "most memory in ten reloads of 1M movies",
            "MB",
            server.peak_memory()?,
            Bar::Ours(300.0),
        );
        self.table.ours("memory after ten reloads against one", "MB", &[[last, first]], Bar::Ratio(1.05));
        fs::remove_file(database)?;
        Ok(())
    }
}

/// Returns the CPU time that a server uses for `work`, divided by `count`, in microseconds.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn micros(server: &Server, count: u64, work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let before = server.cpu()?;
    work()?;
    Ok((server.cpu()? - before) * 1e6 / count as f64)
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
