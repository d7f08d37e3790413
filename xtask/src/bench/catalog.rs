//! CPU time of the writable catalogue and its store.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::server::{Kind, Server};
use super::table::Bar;
use super::{Bench, MILLION, data, load, micros};
use crate::program;

/// Time limit of an import.
pub(super) const IMPORT_TIMEOUT: Duration = Duration::from_mins(10);

impl Bench {
    /// Measures a SQLite store with a million movies.
    pub(super) fn catalog(&mut self) -> Result<()> {
        let path = self.dir.join("catalog.db");
        remove(&path)?;
        let store = format!("sqlite:{}", path.display());
        let mut import = Command::new(self.target.join("release/movie-service"));
        import.arg("import").arg(data::detailed(&self.dir, MILLION)?).args(["--database", &store]);
        program::run(&mut import, IMPORT_TIMEOUT)?;

        let server = Server::start(&self.target, Kind::Ours, &store)?;
        self.reads(&server)?;
        self.writes(&server)?;
        drop(server);
        remove(&path)
    }

    fn reads(&mut self, server: &Server) -> Result<()> {
        const CALLS: u64 = 200_000;
        const PAGES: u64 = 200;
        load::pages(&self.target, server.address, 1)?;
        let (mut calls, mut pages) = (Vec::new(), Vec::new());
        for round in 0..self.rounds {
            let movie = round * 7919;
            calls.push([
                micros(server, CALLS, || load::catalog_calls(server.address, movie, CALLS, 10, 100))?,
                micros(server, CALLS, || load::calls(server.address, movie, CALLS, 10, 100))?,
            ]);
            pages.push(micros(server, PAGES, || load::pages(&self.target, server.address, PAGES))? / 1e3);
        }
        let figure = "CPU of a GetMovie against a GetMovieByID, 1M movies";
        self.table.ours(figure, "µs", &calls, Bar::Ratio(1.25));
        pages.sort_by(f64::total_cmp);
        let page = pages[pages.len() / 2];
        self.table.single("CPU of a page with a filter and an order, 1M movies", "ms", page, Bar::Ours(20.0));
        Ok(())
    }

    fn writes(&mut self, server: &Server) -> Result<()> {
        let mut writes = Vec::new();
        for _ in 0..self.rounds {
            let many = load::writes(&self.target, server.address, 256, 20_000)?;
            // A single writer waits for each response, so each movie is a transaction.
            writes.push([many, load::writes(&self.target, server.address, 1, 500)?]);
        }
        let figure = "durable writes a second, 256 writers against one";
        self.table.ours(figure, "/s", &writes, Bar::AtLeast(10.0));
        Ok(())
    }
}

/// Removes a database and the files beside it.
pub(super) fn remove(path: &Path) -> Result<()> {
    for end in ["", "-wal", "-shm", ".lock"] {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        if fs::exists(&name)? {
            fs::remove_file(&name)?;
        }
    }
    Ok(())
}
