//! `cargo xtask bench start`: time and memory of a start with a million movies, of reloads, and of readers that stall.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::load::{self, Lookup};
use super::server::{Kind, Server};
use super::table::Bar;
use super::{Bench, MILLION, Rounds, data};

/// Runs the part, and prints a table.
pub(super) fn run(root: &Path, rounds: Rounds) -> Result<()> {
    let mut bench = Bench::new(root, rounds)?;
    bench.start()?;
    bench.stalled_readers()?;
    bench.reloads()?;
    bench.table.print(["ours", "peer"]);
    Ok(())
}

impl Bench {
    /// Time and memory of a start.
    fn start(&mut self) -> Result<()> {
        let (mut start, mut searching) = (Vec::new(), Vec::new());
        let (mut peak, mut memory) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            let mut measured = Vec::new();
            for kind in [Kind::Ours, Kind::Naive] {
                let server = self.server(kind, MILLION)?;
                let peak = server.peak_memory()?;
                load::lists(server.address, 1)?;
                measured.push((server.start.as_secs_f64() * 1e3, peak, server.memory()?));
            }
            let [ours, naive] = [measured[0], measured[1]];
            let with_search = self.server(Kind::Searching, MILLION)?.start.as_secs_f64() * 1e3;
            start.push([ours.0, naive.0]);
            searching.push([with_search, ours.0]);
            peak.push([ours.1, naive.1]);
            memory.push([ours.2, naive.2]);
        }
        let tonic = "tonic: ";
        self.table.row("start to first response, 1M movies", "ms", &start, Bar::MaxRatio(0.45), tonic);
        self.table.row(
            "start to first response with search, 1M movies",
            "ms",
            &searching,
            Bar::MaxRatio(1.1),
            "without: ",
        );
        self.table.row("memory while loading 1M movies, peak", "MB", &peak, Bar::MaxFigure(300.0), tonic);
        self.table.row("memory at 1M movies, after one list", "MB", &memory, Bar::MaxFigure(130.0), tonic);
        Ok(())
    }

    /// Memory for a thousand callers that stop reading a list of a million movies.
    fn stalled_readers(&mut self) -> Result<()> {
        let server = self.server(Kind::Ours, MILLION)?;
        load::lists(server.address, 1)?;
        let before = server.memory()?;
        let stalled = load::stall(&self.target, server.address, 1000)?;
        load::calls(server.address, Lookup::Course, 1, 1000, (1, 1))?;
        let grown = server.memory()? - before;
        drop(stalled);
        self.table.single("memory of 1,000 stalled readers, 1M movies", "MB", grown, Bar::MaxFigure(100.0));
        Ok(())
    }

    /// Growth of memory over reloads.
    fn reloads(&mut self) -> Result<()> {
        const RELOAD_TIMEOUT: Duration = Duration::from_mins(1);
        /// CPU time by which a reload has begun, in seconds.
        const BEGUN_CPU: f64 = 0.2;
        let database = self.dir.join("reloaded.json");
        let source = data::database(&self.dir, MILLION)?;
        fs::copy(&source, &database)?;
        let server = Server::start(&self.target, Kind::Ours, &database)?;
        let (mut first, mut last) = (0.0, 0.0);
        for reload in 0..10 {
            let (before, began) = (server.cpu()?, Instant::now());
            fs::copy(&source, &database)?;
            while server.cpu()? - before < BEGUN_CPU {
                ensure!(began.elapsed() < RELOAD_TIMEOUT, "no reload within {RELOAD_TIMEOUT:?}");
                thread::sleep(Duration::from_millis(50));
            }
            server.wait_until_idle()?;
            last = server.memory()?;
            if reload == 0 {
                first = last;
            }
        }
        let figure = "most memory in ten reloads of 1M movies";
        self.table.single(figure, "MB", server.peak_memory()?, Bar::MaxFigure(300.0));
        self.table.ours("memory after ten reloads against one", "MB", &[[last, first]], Bar::MaxRatio(1.05));
        Ok(fs::remove_file(database)?)
    }
}
