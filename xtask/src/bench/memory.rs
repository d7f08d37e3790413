//! `cargo xtask bench memory`: memory of a million movies by store, with search and without, and CPU time of calls that return
//! many of them.

use std::path::Path;

use anyhow::Result;

use super::load::{self, Lookup, Protocol};
use super::peers::{POSTGRES, Postgres};
use super::server::{Kind, Server};
use super::table::{Bar, median};
use super::{Bench, MILLION, Rounds, data, micros, sqlite};

/// A database with a million movies.
struct Database {
    /// What its movies have, and where they are.
    name: &'static str,
    address: String,
    /// Bar of the memory without search. `bench search` has a bar for the index, with realistic titles.
    memory: Bar,
}

/// Runs the part, and prints a table.
pub(super) fn run(root: &Path, rounds: Rounds) -> Result<()> {
    let mut bench = Bench::new(root, rounds)?;
    let (target, dir) = (&bench.target, &bench.dir);
    let store = dir.join("memory.db");
    sqlite::create(target, &data::detailed(dir, MILLION)?, &store)?;
    let json = data::database(dir, MILLION)?;
    let detailed =
        Database { name: "all fields, SQLite", address: sqlite::url(&store), memory: Bar::MaxFigure(190.0) };
    let four = Database {
        name: "four fields, JSON",
        address: json.display().to_string(),
        memory: Bar::MaxFigure(130.0),
    };
    let mut databases = vec![detailed, four];
    let postgres = if POSTGRES.is_available() { Some(Postgres::start()?) } else { None };
    if let Some(postgres) = &postgres {
        let address = postgres.create("memory")?;
        sqlite::import(target, &json, &address)?;
        let name = "four fields and times, PostgreSQL";
        databases.push(Database { name, address, memory: Bar::MaxFigure(150.0) });
    }
    bench.memory(&databases)?;
    drop(postgres);
    bench.many(&Server::start(&bench.target, Kind::Ours, &databases[0].address)?)?;
    bench.table.print(["ours", "other"]);
    sqlite::remove(&store)
}

impl Bench {
    /// Memory once the service is idle, and CPU time of the first page.
    fn memory(&mut self, databases: &[Database]) -> Result<()> {
        let (mut memory, mut first) = (vec![Vec::new(); databases.len()], Vec::new());
        for _ in 0..self.rounds {
            for (at, (database, memory)) in databases.iter().zip(&mut memory).enumerate() {
                let server = Server::start(&self.target, Kind::Ours, &database.address)?;
                server.wait_until_idle()?;
                load::lists(server.address, 1)?;
                memory.push(server.memory()?);
                if at == 0 {
                    first.push(micros(&server, 1, || load::pages(&self.target, server.address, 1))? / 1e3);
                }
            }
        }
        for (database, memory) in databases.iter().zip(memory) {
            let without = median(memory);
            let figure = format!("memory of 1M movies, {}", database.name);
            self.table.single(&figure, "MB", without, database.memory);
            // Once: the index takes several seconds to build.
            let index = self.with_search(database)? - without;
            let figure = format!("memory of the index of 1M movies, {}", database.name);
            self.table.single(&figure, "MB", index, Bar::None);
        }
        self.table.single("CPU of the first page after the start", "ms", median(first), Bar::MaxFigure(8.0));
        Ok(())
    }

    /// Returns the memory of a service with search.
    fn with_search(&self, database: &Database) -> Result<f64> {
        const SEARCHES: u64 = 1000;
        let server = Server::start(&self.target, Kind::Searching, &database.address)?;
        server.wait_until_idle()?;
        load::lists(server.address, 1)?;
        // The allocator returns the memory of the index's construction while searches use it.
        for _ in 0..2 {
            let path = "/v1/movies:search?query=winding";
            load::gets(server.address, path, Protocol::Http1, SEARCHES / 2, (4, 1))?;
            server.wait_until_idle()?;
        }
        server.memory()
    }

    /// CPU time of calls that return many movies, from the store with all fields.
    fn many(&mut self, server: &Server) -> Result<()> {
        const PAGES: u64 = 200;
        const BATCHES: u64 = 200;
        const BATCH_IDS: u64 = 1_000;
        const CALLS: u64 = 100_000;
        let target = &self.target;
        server.wait_until_idle()?;
        let (mut pages, mut batches, mut lookups) = (Vec::new(), Vec::new(), Vec::new());
        let (mut tcp, mut calls) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            pages.push(micros(server, PAGES, || load::pages(target, server.address, PAGES))? / 1e3);
            let mut bytes = 0.0;
            let movies = BATCHES * BATCH_IDS;
            let batch = micros(server, movies, || {
                bytes = load::batches(target, server.address, MILLION, BATCHES)?;
                Ok(())
            })?;
            // What it costs to send as many bytes over TCP.
            let bytes = load::plain_tcp(target, 400_000_000)? * bytes / 1e3 * 1e6;
            batches.push(batch - bytes);
            tcp.push(bytes);
            lookups.push(micros(server, movies, || load::lookups(target, server.address, MILLION, movies))?);
            calls.push([Lookup::Catalog, Lookup::Course].map(|lookup| {
                micros(server, CALLS, || load::calls(server.address, lookup, 0, CALLS, (10, 100)))
            }));
        }
        let calls = calls.into_iter().map(|[catalog, course]| Ok([catalog?, course?]));
        let calls = calls.collect::<Result<Vec<_>>>()?;
        let figure = "CPU of a page with a filter and an order";
        self.table.single(figure, "ms", median(pages), Bar::MaxFigure(4.0));
        let figure = "CPU of a movie in a batch of 1,000, beyond its bytes";
        self.table.single(figure, "µs", median(batches), Bar::MaxFigure(0.6));
        self.table.single("CPU of its bytes over plain TCP", "µs", median(tcp), Bar::None);
        let figure = "CPU of an id that is looked up, 1,000 at a time";
        self.table.single(figure, "µs", median(lookups), Bar::MaxFigure(0.8));
        let figure = "CPU of a GetMovie with all fields";
        self.table.row(figure, "µs", &calls, Bar::MaxRatio(1.25), "GetMovieByID: ");
        Ok(())
    }
}
