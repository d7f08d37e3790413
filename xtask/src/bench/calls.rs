//! `cargo xtask bench calls`: CPU time and latency of calls, and CPU time of lists.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use super::load::{self, Lookup};
use super::peers::{NGHTTPD, Nghttpd};
use super::server::{Kind, Server};
use super::table::{self, Bar};
use super::{Bench, MILLION, Pairs, Rounds, data, micros, micros_of, process};
use crate::interop::python::Python;
use crate::program::Program;

/// Options of this part.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    #[command(flatten)]
    rounds: Rounds,

    /// Number of movies in the database.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    movies: u64,
}

/// Time limit for starting the server of grpcio.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// Bytes of a movie of the generated databases in a list, the prefix included.
const MOVIE_BYTES: u16 = 91;

/// Connections, and calls at a time on each.
const STREAMS: (u64, u64) = (10, 100);

/// Runs the part, and prints a table.
pub(super) fn run(root: &Path, options: &Options) -> Result<()> {
    let mut bench = Bench::new(root, options.rounds)?;
    bench.calls_and_lists(options.movies)?;
    bench.peers(root, options.movies)?;
    bench.table.print(["ours", "peer"]);
    Ok(())
}

impl Bench {
    /// Calls and lists beside a plain tonic server.
    fn calls_and_lists(&mut self, movies: u64) -> Result<()> {
        const CALLS: u64 = 200_000;
        const ONE_BY_ONE: u64 = 5_000;
        let database = data::database(&self.dir, movies)?;
        let servers = [self.server(Kind::Ours, movies)?, self.server(Kind::Naive, movies)?];
        let metered = [self.server(Kind::Metered, movies)?, self.server(Kind::Ours, movies)?];
        for server in &servers {
            load::check(&self.target, server.address, &database)?;
        }
        for server in servers.iter().chain(&metered) {
            load::calls(server.address, Lookup::Course, 0, CALLS / 10, STREAMS)?;
        }
        let lists = (10 * MILLION).div_ceil(movies);
        let (mut call, mut movie, mut latency) = (Pairs::new(), Pairs::new(), Pairs::new());
        let (mut metrics, mut catalog, mut copy) = (Pairs::new(), Vec::new(), Vec::new());
        for round in 0..self.rounds {
            let asked = round * 7919 % movies;
            let calls = |server: &Server, lookup| {
                micros(server, CALLS, || load::calls(server.address, lookup, asked, CALLS, STREAMS))
            };
            call.push(&servers, |server| calls(server, Lookup::Course))?;
            metrics.push(&metered, |server| calls(server, Lookup::Course))?;
            catalog.push([calls(&servers[0], Lookup::Catalog)?, calls(&servers[0], Lookup::Course)?]);
            movie.push(&servers, |server| {
                micros(server, lists * movies, || load::lists(server.address, lists))
            })?;
            let plain_tcp = load::plain_tcp(&self.target, 400_000_000)? * f64::from(MOVIE_BYTES) * 1e6;
            copy.push([movie.0[movie.0.len() - 1][0], plain_tcp]);
            latency.push(&servers, |server| {
                load::random_calls(&self.target, server.address, movies, ONE_BY_ONE, (1, 1))
            })?;
        }
        let (size, tonic) = (table::count(movies), "tonic: ");
        let figure = format!("CPU of a GetMovieByID, {size} movies");
        self.table.row(&figure, "µs", &call.0, Bar::MaxRatio(0.34), tonic);
        self.table.row(
            "CPU of a GetMovieByID with metrics on",
            "µs",
            &metrics.0,
            Bar::MaxRatio(1.10),
            "off: ",
        );
        self.table.row("CPU of a GetMovie", "µs", &catalog, Bar::MaxRatio(1.25), "GetMovieByID: ");
        let figure = format!("CPU of a streamed movie, {size} movies");
        self.table.row(&figure, "µs", &movie.0, Bar::MaxRatio(0.08), tonic);
        let figure = format!("CPU of a streamed movie against {MOVIE_BYTES} bytes over plain TCP");
        self.table.row(&figure, "µs", &copy, Bar::None, "TCP: ");
        self.table.row("latency of one call at a time, p50", "µs", &latency.0, Bar::MaxRatio(1.0), tonic);
        Ok(())
    }

    /// Calls beside a server of files over HTTP/2, and a server in Python.
    fn peers(&mut self, root: &Path, movies: u64) -> Result<()> {
        const CALLS: u64 = 100_000;
        const CALLS_OF_PYTHON: u64 = 5_000;
        let ours = self.server(Kind::Ours, movies)?;
        let nghttpd = if NGHTTPD.is_available() { Some(Nghttpd::start(MOVIE_BYTES.into())?) } else { None };
        let python = match Grpcio::start(root, &self.target, &data::database(&self.dir, movies)?) {
            Ok(python) => Some(python),
            Err(error) => {
                eprintln!("{error:#}; the figures of grpcio are left out");
                None
            }
        };
        let (mut files, mut pythons) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            let call = micros(&ours, CALLS, || load::calls(ours.address, Lookup::Course, 0, CALLS, STREAMS))?;
            let mut peers = [f64::NAN; 2];
            if let Some(nghttpd) = &nghttpd {
                let gets = || load::gets(nghttpd.address, "/movie", load::Protocol::Http2, CALLS, STREAMS);
                peers[0] = micros_of(|| nghttpd.cpu(), CALLS, gets)?;
            }
            if let Some(Grpcio { program, address }) = &python {
                let calls = || load::calls(*address, Lookup::Course, 0, CALLS_OF_PYTHON, STREAMS);
                peers[1] = micros_of(|| process::cpu(program.id()), CALLS_OF_PYTHON, calls)?;
            }
            files.push([call, peers[0]]);
            pythons.push([call, peers[1]]);
        }
        let figure = format!("CPU of a GetMovieByID against a file of {MOVIE_BYTES} bytes by nghttpd");
        self.table.row(&figure, "µs", &files, Bar::None, "nghttpd: ");
        let figure = "CPU of a GetMovieByID against the course's server";
        self.table.row(figure, "µs", &pythons, Bar::None, "grpcio: ");
        Ok(())
    }
}

/// `xtask/interop/server.py`.
struct Grpcio {
    program: Program,
    address: std::net::SocketAddr,
}

impl Grpcio {
    /// Installs the packages, and starts the server.
    fn start(root: &Path, target: &Path, database: &Path) -> Result<Self> {
        let python = Python::install(root, &target.join("interop"))?;
        let program = Program::start(&mut python.server(&database.display().to_string()))?;
        let line = program.wait_for("serving ", START_TIMEOUT)?;
        let (_, address) = line.trim_end().rsplit_once(" on ").context("the server prints no address")?;
        Ok(Self { program, address: address.parse()? })
    }
}
