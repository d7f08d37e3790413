//! `cargo xtask bench growth`: what grows with the number of movies, up to ten million.

use std::path::Path;

use anyhow::Result;

use super::load;
use super::server::{Kind, Server};
use super::table::Bar;
use super::{Bench, MILLION, Rounds, data, micros, sqlite};

const TEN_MILLION: u64 = 10 * MILLION;

/// Runs the part, and prints a table.
pub(super) fn run(root: &Path, rounds: Rounds) -> Result<()> {
    let mut bench = Bench::new(root, rounds)?;
    bench.json()?;
    bench.calls()?;
    bench.sqlite()?;
    bench.table.print(["larger", "smaller"]);
    Ok(())
}

impl Bench {
    /// Start with a JSON file.
    fn json(&mut self) -> Result<()> {
        let mut starts = Vec::new();
        for _ in 0..self.rounds {
            // One after the other: a server that holds ten million movies slows the start of another down.
            let start =
                |size| Ok::<_, anyhow::Error>(self.server(Kind::Ours, size)?.start.as_secs_f64() * 1e3);
            starts.push([start(TEN_MILLION)?, start(MILLION)?]);
        }
        let figure = "start to first response, JSON, 10M movies against 1M";
        self.table.row(figure, "ms", &starts, Bar::MaxRatio(11.0), "");
        Ok(())
    }

    /// Calls and memory.
    fn calls(&mut self) -> Result<()> {
        const CALLS: u64 = 100_000;
        let sizes = [7, MILLION, TEN_MILLION];
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
        for (figure, large, small) in [("1M movies against 7", 1, 0), ("10M movies against 1M", 2, 1)] {
            let pairs: Vec<_> = rounds.iter().map(|round| [round[large], round[small]]).collect();
            let figure = format!("CPU of a call at random ids, {figure}");
            self.table.row(&figure, "µs", &pairs, Bar::MaxRatio(1.15), "");
        }
        let memory = [[servers[2].memory()?, servers[1].memory()?]];
        self.table.row("memory at 10M movies against 1M", "MB", &memory, Bar::MaxFigure(1200.0), "");
        Ok(())
    }

    /// Start with a SQLite store.
    fn sqlite(&mut self) -> Result<()> {
        let sizes = [TEN_MILLION, MILLION];
        let stores = sizes.map(|size| self.dir.join(format!("growth-{size}.db")));
        for (size, store) in sizes.iter().zip(&stores) {
            sqlite::create(&self.target, &data::database(&self.dir, *size)?, store)?;
        }
        let (mut starts, mut memory) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            let (mut cpu, mut megabytes) = ([0.0; 2], [0.0; 2]);
            for (at, store) in stores.iter().enumerate() {
                let server = Server::start(&self.target, Kind::Ours, sqlite::url(store))?;
                cpu[at] = server.cpu()?;
                megabytes[at] = server.memory()?;
            }
            starts.push(cpu);
            memory.push(megabytes);
        }
        let figure = "CPU of a start, SQLite, 10M movies against 1M";
        self.table.row(figure, "s", &starts, Bar::MaxRatio(12.0), "");
        self.table.row("memory after a start, SQLite, 10M movies against 1M", "MB", &memory, Bar::None, "");
        stores.iter().try_for_each(|store| sqlite::remove(store))
    }
}
