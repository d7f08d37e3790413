//! `cargo xtask bench memory`: memory of a million movies, and CPU time of calls that return many of them.
//!
//! All figures are of the service without search.

use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{fs, thread};

use anyhow::Result;
use clap::Args;

use super::catalog::{IMPORT_TIMEOUT, remove};
use super::server::{Kind, Server};
use super::table::{Bar, Table, median};
use super::{MILLION, data, load, micros};
use crate::program;

/// Options of the benchmark of memory.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    /// Number of rounds of each figure.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,

    /// URL of an empty PostgreSQL database; without one, its memory is not measured.
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
}

/// Runs the benchmark, and prints a table.
pub(super) fn run(root: &Path, options: &Options) -> Result<()> {
    load::check_tools()?;
    let target = crate::target(root);
    super::build(root)?;
    let dir = target.join("bench");
    fs::create_dir_all(&dir)?;
    let path = dir.join("memory.db");
    remove(&path)?;
    let sqlite = format!("sqlite:{}", path.display());
    import(&target, &data::detailed(&dir, MILLION)?, &sqlite)?;
    let json = data::database(&dir, MILLION)?;
    let json = json.display().to_string();
    let mut databases = vec![
        ("all fields, SQLite", &sqlite, Bar::Ours(190.0)),
        ("four fields, JSON", &json, Bar::Ours(130.0)),
    ];
    if let Some(url) = &options.postgres {
        import(&target, Path::new(&json), url)?;
        databases.push(("four fields and times, PostgreSQL", url, Bar::Ours(150.0)));
    }
    let mut table = Table::default();
    let (mut memory, mut first) = (vec![Vec::new(); databases.len()], Vec::new());
    for _ in 0..options.rounds {
        for ((_, database, _), memory) in databases.iter().zip(&mut memory) {
            let server = Server::start(&target, Kind::Ours, database)?;
            settle(&server)?;
            load::lists(server.address, 1)?;
            memory.push(server.memory()?);
            if *database == &sqlite {
                let before = server.precise_cpu()?;
                load::pages(&target, server.address, 1)?;
                first.push((server.precise_cpu()? - before) * 1e3);
            }
        }
    }
    for ((name, _, bar), memory) in databases.iter().zip(memory) {
        table.single(&format!("memory of 1M movies, {name}"), "MB", median(memory), *bar);
    }
    table.single("CPU of the first page after the start", "ms", median(first), Bar::Ours(8.0));
    calls(&target, &Server::start(&target, Kind::Ours, &sqlite)?, options.rounds, &mut table)?;
    table.print(["figure", "other"]);
    remove(&path)
}

/// CPU time of calls that return many movies.
fn calls(target: &Path, server: &Server, rounds: u64, table: &mut Table) -> Result<()> {
    const PAGES: u64 = 200;
    const BATCHES: u64 = 200;
    const BATCH_IDS: u64 = 1_000;
    settle(server)?;
    let (mut pages, mut batches, mut lookups) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        pages.push(micros(server, PAGES, || load::pages(target, server.address, PAGES))? / 1e3);
        let mut bytes = 0.0;
        let movies = BATCHES * BATCH_IDS;
        let batch = micros(server, movies, || {
            bytes = load::batches(target, server.address, MILLION, BATCHES)?;
            Ok(())
        })?;
        // What it costs to send as many bytes over TCP.
        let bytes = load::plain_tcp(target, 400_000_000)? * bytes / 1e3 * 1e6;
        batches.push([batch - bytes, bytes]);
        lookups.push(micros(server, movies, || load::lookups(target, server.address, MILLION, movies))?);
    }
    table.single("CPU of a page with a filter and an order", "ms", median(pages), Bar::Ours(4.0));
    let figure = "CPU of a movie in a batch of 1,000, beyond its bytes";
    table.row(figure, "µs", &batches, Bar::Ours(0.6), "its bytes over plain TCP: ");
    table.single("CPU of an id that is looked up, 1,000 at a time", "µs", median(lookups), Bar::Ours(0.8));
    Ok(())
}

/// Makes a database of the movies of a JSON file.
fn import(target: &Path, from: &Path, database: &str) -> Result<()> {
    let mut import = Command::new(target.join("release/movie-service"));
    import.arg("import").arg(from).args(["--database", database]);
    program::run(&mut import, IMPORT_TIMEOUT).map(drop)
}

/// Waits until a server uses no CPU time: it builds columns after the start.
fn settle(server: &Server) -> Result<()> {
    let mut before = f64::NAN;
    while before.is_nan() || server.cpu()? > before {
        before = server.cpu()?;
        thread::sleep(Duration::from_secs(1));
    }
    Ok(())
}
