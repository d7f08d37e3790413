//! Queries that load a service, and what a run of them costs.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::films::Parts;
use super::judged::{self, Kind};
use super::random::Random;
use crate::bench::server::Server;
use crate::bench::table::percentile;
use crate::program;

/// Time limit of a run.
const RUN_TIMEOUT: Duration = Duration::from_mins(10);

/// Queries of each sort.
const COUNT: usize = 1000;

/// A query, as `movie-service/examples/search.rs` reads it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Query {
    query: String,
    /// Whether the values of all facets are counted.
    facets: bool,
}

/// A response, as `movie-service/examples/search.rs` prints it.
#[derive(Debug, Deserialize)]
pub(super) struct Response {
    nanoseconds: f64,
    /// The titles of the hits, in order.
    pub(super) titles: Vec<String>,
}

/// Cost of a query in a run, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    /// CPU time of the server.
    pub(super) cpu: f64,
    /// Median latency.
    pub(super) p50: f64,
    /// 99th percentile of the latencies.
    pub(super) p99: f64,
}

/// Sorts of queries over movies that are made of parts of films.
pub(super) struct Traffic {
    /// Titles, beginnings, typing errors and people.
    pub(super) mixed: Vec<Query>,
    /// Titles with typing errors.
    pub(super) typos: Vec<Query>,
    /// Beginnings of titles, as a person types them.
    pub(super) prefixes: Vec<Query>,
}

/// Returns queries without facets.
pub(super) fn plain<T: Into<String>>(queries: impl IntoIterator<Item = T>) -> Vec<Query> {
    queries.into_iter().map(|query| Query { query: query.into(), facets: false }).collect()
}

/// Returns the same queries with facets.
pub(super) fn with_facets(queries: &[Query]) -> Vec<Query> {
    queries.iter().map(|query| Query { facets: true, ..query.clone() }).collect()
}

impl Traffic {
    /// Makes queries for the first `movies` movies of these parts.
    pub(super) fn new(parts: &Parts, movies: u64) -> Self {
        let mut random = Random::new(movies);
        let limit = usize::try_from(movies).unwrap_or(usize::MAX);
        let mut sample = |count: usize| -> Vec<_> {
            (0..count).map(|_| parts.movie(random.below(limit) as u64)).collect()
        };
        let titles: Vec<String> = sample(4 * COUNT).into_iter().map(|movie| movie.title).collect();
        let titles: Vec<&str> = titles.iter().map(String::as_str).collect();
        let mut typos = Vec::new();
        for query in judged::generate(&titles, movies, COUNT / 6) {
            if !matches!(query.kind, Kind::Exact | Kind::Prefix | Kind::NoAccent | Kind::NoPunct) {
                typos.push(query.typed);
            }
        }
        typos.truncate(COUNT);
        let mut prefixes: Vec<String> =
            sample(COUNT / 10).iter().flat_map(|movie| typed(&movie.title)).collect();
        prefixes.truncate(COUNT);
        let people = sample(COUNT).into_iter().map(|movie| {
            let word = movie.title.rsplit(' ').next().unwrap_or_default();
            format!("{} {word}", movie.director)
        });
        let exact = titles[..COUNT].iter().map(|title| title.to_lowercase());
        let mixed = exact.chain(people).chain(typos.iter().chain(&prefixes).cloned());
        Self { mixed: plain(mixed), typos: plain(typos), prefixes: plain(prefixes) }
    }
}

/// Returns the beginnings of a title after each key.
fn typed(title: &str) -> impl Iterator<Item = String> {
    title.char_indices().map(|(at, char)| title[..at + char.len_utf8()].to_lowercase())
}

/// Returns queries that very many movies match.
pub(super) fn broad() -> Vec<Query> {
    const WORDS: [&str; 18] = [
        "the",
        "a",
        "of the",
        "the a",
        "love",
        "the love",
        "man",
        "a man",
        "in the",
        "john",
        "the s",
        "star",
        "la",
        "de la",
        "st",
        "con",
        "the of and",
        "night of the",
    ];
    let letters = ('a'..='z').flat_map(|letter| [letter.to_string(), format!("the {letter}")]);
    plain(WORDS.iter().map(|words| (*words).to_owned()).chain(letters))
}

/// Returns queries that are made to be expensive, as long as the service accepts them.
pub(super) fn hostile() -> Vec<Query> {
    const REPEATED: [&str; 14] = [
        "a",
        "a ",
        "the ",
        "the man of ",
        "qwertyuiop ",
        "starts martst ",
        "e.t.",
        "straenger thinsg ",
        "1 ",
        "s t a r ",
        "love man night day ",
        "*a",
        "千",
        "xz ",
    ];
    const OTHERS: [&str; 4] = [
        "aaaaaaaa eeeeeeee iiiiiiii oooooooo",
        "sterting stringer mastered charging bartered",
        "?????",
        "themanofthe",
    ];
    let long = |unit: &&str| unit.repeat(1000 / unit.chars().count());
    plain(REPEATED.iter().map(long).chain(OTHERS.iter().map(|query| (*query).to_owned())))
}

/// Sends queries one at a time, and returns the responses. `target` has the programs, `dir` is for the queries.
pub(super) fn send(target: &Path, dir: &Path, server: &Server, queries: &[Query]) -> Result<Vec<Response>> {
    let path = dir.join("queries.jsonl");
    let mut file = BufWriter::new(File::create(&path)?);
    for query in queries {
        serde_json::to_writer(&mut file, query)?;
        file.write_all(b"\n")?;
    }
    file.flush()?;
    let mut generator = Command::new(target.join("plain/examples/search"));
    generator.arg("queries").arg(server.address.to_string()).arg(&path);
    let printed = program::run(&mut generator, RUN_TIMEOUT);
    fs::remove_file(&path)?;
    let parse = |line| serde_json::from_str(line).with_context(|| format!("the response {line:?}"));
    let responses = printed?.lines().map(parse).collect::<Result<Vec<Response>>>()?;
    ensure!(responses.len() == queries.len(), "{} of {} responses", responses.len(), queries.len());
    Ok(responses)
}

/// Sends queries one at a time, and returns the cost of one. Runs them again until the CPU time can be measured.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(super) fn measure(target: &Path, dir: &Path, server: &Server, queries: &[Query]) -> Result<Cost> {
    /// Seconds of CPU time, so that the queries differ in what else they meet.
    const ENOUGH: f64 = 0.25;
    let before = server.cpu()?;
    let mut times = Vec::new();
    while server.cpu()? - before < ENOUGH {
        times.extend(send(target, dir, server, queries)?.iter().map(|response| response.nanoseconds / 1e6));
    }
    let cpu = (server.cpu()? - before) * 1e3 / times.len() as f64;
    Ok(Cost { cpu, p50: percentile(times.iter().copied(), 50), p99: percentile(times, 99) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_queries_are_as_long_as_the_service_accepts() {
        assert!(hostile().iter().all(|query| query.query.chars().count() <= 1000));
        assert!(hostile().iter().any(|query| query.query.chars().count() == 1000));
    }

    #[test]
    fn a_title_is_typed_letter_by_letter() {
        assert_eq!(typed("Éa B").collect::<Vec<_>>(), ["é", "éa", "éa ", "éa b"]);
    }
}
