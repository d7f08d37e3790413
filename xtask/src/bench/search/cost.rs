//! CPU time, latency and memory of search, and its cost to the rest of the service.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::traffic::{self, Cost, Query, Traffic};
use super::{Bench, judged};
use crate::bench::server::{Kind, Server};
use crate::bench::table::{self, Bar, median};
use crate::bench::{MILLION, Pairs, sqlite};
use crate::program;

/// Time limit of a run of writes.
const WRITE_TIMEOUT: Duration = Duration::from_mins(5);

/// With search, and without.
const KINDS: [Kind; 2] = [Kind::Searching, Kind::Ours];

impl Bench {
    /// Measures all costs, and prints the table.
    pub(super) fn costs(mut self, movies: u64) -> Result<()> {
        self.real_films()?;
        self.start(movies)?;
        self.index(movies)?;
        self.queries(movies)?;
        self.writes(movies)?;
        self.table.print(["with search", "without"]);
        Ok(())
    }

    /// Queries of all kinds over the real films.
    fn real_films(&mut self) -> Result<()> {
        let titles = self.films.titles();
        let judged = judged::generate(&titles, 1, 300);
        let queries = traffic::plain(judged.into_iter().map(|query| query.typed));
        let server = Server::start(&self.target, Kind::Searching, &self.database)?;
        self.settle(&server)?;
        let cost = self.cost(&server, &queries)?;
        self.table.single("CPU of a query, films.json", "ms", cost.cpu, Bar::MaxFigure(0.25));
        self.table.single("latency of a query, films.json, p50", "ms", cost.p50, Bar::None);
        self.table.single("latency of a query, films.json, p99", "ms", cost.p99, Bar::None);
        Ok(())
    }

    /// Start of the service: it serves before its index is built.
    fn start(&mut self, movies: u64) -> Result<()> {
        let database = self.films.parts().database(&self.dir, movies, true)?;
        let (mut listening, mut answer) = (Vec::new(), Vec::new());
        for round in 0..self.rounds {
            let (mut times, first) = ([[0.0; 2]; 2], usize::from(round % 2 == 1));
            for kind in [first, 1 - first] {
                let server = Server::start(&self.target, KINDS[kind], &database)?;
                times[0][kind] = server.listening.as_secs_f64() * 1e3;
                times[1][kind] = server.start.as_secs_f64() * 1e3;
            }
            listening.push(times[0]);
            answer.push(times[1]);
        }
        let size = table::count(movies);
        self.table.pair(&format!("start to listening, {size} movies"), "ms", &listening, Bar::MaxRatio(1.1));
        self.table.pair(
            &format!("start to first response, {size} movies"),
            "ms",
            &answer,
            Bar::MaxRatio(1.1),
        );
        Ok(())
    }

    /// Memory of the index, and CPU time to build it. Measured once, because the service takes long to become idle.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn index(&mut self, movies: u64) -> Result<()> {
        let millions = movies as f64 / MILLION as f64;
        for (fields, details) in
            [("title and director", false), ("and year, genres, countries, languages", true)]
        {
            let database = self.films.parts().database(&self.dir, movies, details)?;
            let (mut megabytes, mut cpu) = ([0.0; 2], [0.0; 2]);
            for (at, kind) in KINDS.into_iter().enumerate() {
                let server = Server::start(&self.target, kind, &database)?;
                server.wait_until_idle()?;
                cpu[at] = server.cpu()?;
                self.settle(&server)?;
                megabytes[at] = server.memory()?;
            }
            let memory = (megabytes[0] - megabytes[1]) / millions;
            let build = (cpu[0] - cpu[1]) / millions;
            let bars = if details { [Bar::None; 2] } else { [Bar::MaxFigure(60.0), Bar::MaxFigure(6.0)] };
            let per = "the index, per 1M movies";
            self.table.single(&format!("memory of {per}: {fields}"), "MB", memory, bars[0]);
            self.table.single(&format!("CPU to build {per}: {fields}"), "s", build, bars[1]);
        }
        Ok(())
    }

    /// Queries over generated movies.
    fn queries(&mut self, movies: u64) -> Result<()> {
        let parts = self.films.parts();
        let database = parts.database(&self.dir, movies, true)?;
        let Traffic { mixed, typos, prefixes } = Traffic::new(&parts, movies);
        let (broad, empty) = (traffic::broad(), traffic::plain([""; 100]));
        let broad_facets = traffic::with_facets(&broad);
        let empty_facets = traffic::with_facets(&empty);
        let server = Server::start(&self.target, Kind::Searching, &database)?;
        self.settle(&server)?;

        let size = table::count(movies);
        let is_million = movies <= MILLION;
        let p99 = Bar::MaxFigure(if is_million { 4.0 } else { 12.0 });
        let mean = |bar| if is_million { Bar::MaxFigure(bar) } else { Bar::None };
        for (name, queries, [cpu, p50]) in [
            ("mixed queries", &mixed, [mean(0.7), mean(0.8)]),
            ("typing errors", &typos, [Bar::None; 2]),
            ("prefixes", &prefixes, [Bar::None; 2]),
            ("broad queries", &broad, [Bar::None; 2]),
            ("broad queries with facets", &broad_facets, [Bar::None; 2]),
            ("empty queries", &empty, [Bar::None; 2]),
            ("empty queries with facets", &empty_facets, [Bar::None; 2]),
        ] {
            let cost = self.cost(&server, queries)?;
            self.table.single(&format!("{name}, {size} movies: CPU"), "ms", cost.cpu, cpu);
            self.table.single(&format!("{name}, {size} movies: p50"), "ms", cost.p50, p50);
            self.table.single(&format!("{name}, {size} movies: p99"), "ms", cost.p99, p99);
        }
        let mut most: f64 = 0.0;
        for query in traffic::hostile() {
            let cost = traffic::measure(&self.target, &self.dir, &server, &vec![query; 50])?;
            most = most.max(cost.cpu);
        }
        self.table.single(
            &format!("most expensive hostile query, {size} movies: CPU"),
            "ms",
            most,
            Bar::MaxFigure(20.0),
        );
        Ok(())
    }

    /// Writes into an SQLite store, by one writer and by many.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn writes(&mut self, movies: u64) -> Result<()> {
        let parts = self.films.parts();
        let stores = ["searched.db", "unsearched.db"].map(|name| self.dir.join(name));
        sqlite::create(&self.target, &parts.database(&self.dir, movies, true)?, &stores[0])?;
        sqlite::remove(&stores[1])?;
        fs::copy(&stores[0], &stores[1])?;

        let mut servers = Vec::new();
        for (kind, store) in KINDS.into_iter().zip(&stores) {
            let server = Server::start(&self.target, kind, sqlite::url(store))?;
            self.settle(&server)?;
            servers.push(server);
        }
        let servers: [Server; 2] = servers.try_into().map_err(|_| anyhow::anyhow!("expected two servers"))?;
        for (writers, writes) in [(256, 20_000), (1, 5000)] {
            // Movies that the stores do not have yet.
            let path = self.dir.join(format!("written-{movies}-{writes}.json"));
            let database = parts.written(&path, movies..movies + writes, true)?;
            let mut rounds = Pairs::new();
            for _ in 0..self.rounds {
                rounds.push(&servers, |server| {
                    let before = server.cpu()?;
                    let mut command = Command::new(self.target.join("plain/examples/search"));
                    command
                        .args(["writes", &server.address.to_string()])
                        .arg(&database)
                        .arg(writers.to_string());
                    program::run(&mut command, WRITE_TIMEOUT)?;
                    // Larger parts of the index are merged in the background.
                    server.wait_until_idle()?;
                    Ok((server.cpu()? - before) * 1e6 / writes as f64)
                })?;
            }
            let figure = format!("CPU of a write, {writers} at a time, {} movies", table::count(movies));
            self.table.pair(&figure, "µs", &rounds.0, Bar::MaxRatio(1.2));
        }
        drop(servers);
        stores.iter().try_for_each(|store| sqlite::remove(store))
    }

    /// Returns the cost of a query: medians over the rounds.
    fn cost(&self, server: &Server, queries: &[Query]) -> Result<Cost> {
        let rounds = (0..self.rounds).map(|_| traffic::measure(&self.target, &self.dir, server, queries));
        let rounds = rounds.collect::<Result<Vec<Cost>>>()?;
        let of = |figure: fn(&Cost) -> f64| median(rounds.iter().map(figure));
        Ok(Cost { cpu: of(|cost| cost.cpu), p50: of(|cost| cost.p50), p99: of(|cost| cost.p99) })
    }

    /// Waits until a service has its index and is idle.
    fn settle(&self, server: &Server) -> Result<()> {
        server.wait_until_idle()?;
        if server.kind == Kind::Searching {
            // A search waits for the index. The allocator returns the memory of its construction while searches use it.
            for _ in 0..2 {
                let titles = self.films.titles().into_iter().take(500);
                traffic::send(&self.target, &self.dir, server, &traffic::plain(titles))?;
                server.wait_until_idle()?;
            }
        }
        Ok(())
    }
}
