//! `cargo xtask bench http`: the cost of JSON over HTTP beside the same call in gRPC.
//!
//! Both are requests to one service, without search, over one connection that stays open.

use std::path::Path;

use anyhow::Result;

use super::load::{self, Lookup};
use super::server::{Kind, Server};
use super::table::{Bar, Table};
use super::{Bench, MILLION, Rounds, data, micros};

/// Runs the part, and prints a table.
pub(super) fn run(root: &Path, rounds: Rounds) -> Result<()> {
    let Bench { target, rounds, mut table, dir } = Bench::new(root, rounds)?;
    let million = Server::start(&target, Kind::Ours, data::database(&dir, MILLION)?)?;
    movie(&million, rounds, &mut table)?;
    list(&million, rounds, &mut table)?;
    drop(million);
    let films = Server::start(&target, Kind::Ours, root.join("databases/films.json"))?;
    page(&films, rounds, &mut table)?;
    table.print(["JSON", "gRPC"]);
    Ok(())
}

/// CPU time of a movie by its id.
fn movie(server: &Server, rounds: u64, table: &mut Table) -> Result<()> {
    let path = format!("/v1/movies/{}", data::id(0));
    for (name, protocol, streams, calls) in [
        ("HTTP/1.1, one request at a time", load::Protocol::Http1, 1, 20_000),
        ("HTTP/2, one request at a time", load::Protocol::Http2, 1, 20_000),
        ("HTTP/2, 100 requests at a time", load::Protocol::Http2, 100, 100_000),
    ] {
        let json = || load::gets(server.address, &path, protocol, calls, (1, streams));
        let grpc = || load::calls(server.address, Lookup::Catalog, 0, calls, (1, streams));
        json()?;
        grpc()?;
        let mut pairs = Vec::new();
        for _ in 0..rounds {
            pairs.push([micros(server, calls, json)?, micros(server, calls, grpc)?]);
        }
        table.pair(&format!("CPU of a movie by its id, {name}"), "µs", &pairs, Bar::MaxRatio(4.0));
    }
    Ok(())
}

/// CPU time of a movie in the course's list, and the memory that the list takes.
fn list(server: &Server, rounds: u64, table: &mut Table) -> Result<()> {
    let json = || load::gets(server.address, "/v1/course/movies", load::Protocol::Http1, 1, (1, 1));
    load::lists(server.address, 1)?;
    let before = server.memory()?;
    let mut pairs = Vec::new();
    for _ in 0..rounds {
        pairs.push([
            micros(server, MILLION, json)?,
            micros(server, MILLION, || load::lists(server.address, 1))?,
        ]);
    }
    table.pair("CPU of a movie of GET /v1/course/movies, 1M movies", "µs", &pairs, Bar::MaxFigure(0.8));
    let grown = server.memory()? - before;
    table.single("memory that these lists add", "MB", grown, Bar::MaxFigure(10.0));
    Ok(())
}

/// CPU time of a page of a thousand films with all fields.
fn page(server: &Server, rounds: u64, table: &mut Table) -> Result<()> {
    const PAGES: u64 = 100;
    /// The encoded `ListMoviesRequest` with a page size of 1,000.
    const REQUEST: [u8; 3] = [8, 0xe8, 7];
    let json =
        || load::gets(server.address, "/v1/movies?pageSize=1000", load::Protocol::Http1, PAGES, (1, 1));
    let grpc = || load::list_pages(server.address, &REQUEST, PAGES);
    let mut pairs = Vec::new();
    for _ in 0..rounds {
        let millis = |micros: f64| micros / 1e3;
        pairs.push([millis(micros(server, PAGES, json)?), millis(micros(server, PAGES, grpc)?)]);
    }
    table.pair("CPU of a page of 1,000 films with all fields", "ms", &pairs, Bar::MaxFigure(6.0));
    Ok(())
}
