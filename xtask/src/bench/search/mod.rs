//! `cargo xtask bench search`: relevance and cost of `SearchMovies`.
//!
//! The service runs with its index and without it, over real films and over movies that are made of their words. Queries are
//! sent one at a time over gRPC by `movie-service/examples/search.rs`.

mod cost;
mod films;
mod judged;
mod random;
mod relevance;
mod text;
mod traffic;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use self::films::Films;
use self::judged::JudgedQuery;
use self::relevance::Judgement;
use super::server::{Kind, Server};
use super::table::Table;
use super::{MILLION, Rounds};

/// Options of the benchmark of the search.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    /// Measure relevance instead of cost: how often the film that was meant is among the first hits.
    #[arg(long)]
    relevance: bool,

    /// Seeds of the queries for --relevance.
    #[arg(long, value_delimiter = ',', default_values_t = [9101, 9102, 9103], requires = "relevance")]
    seeds: Vec<u64>,

    /// Files with queries to use instead, one JSON object a line with the keys kind, typed and title.
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "relevance", conflicts_with = "seeds")]
    queries: Vec<PathBuf>,

    /// Number of movies in the generated database.
    #[arg(
        long,
        default_value_t = MILLION,
        value_parser = clap::value_parser!(u64).range(10_000..),
        conflicts_with = "relevance",
    )]
    movies: u64,

    #[command(flatten)]
    rounds: Rounds,
}

/// Runs the benchmark, and prints a table.
pub(super) fn run(root: &Path, options: &Options) -> Result<()> {
    let super::Bench { target, dir, rounds, table } = super::Bench::new(root, options.rounds)?;
    let database = root.join("databases/films.json");
    let films = Films::read(&database)?;
    let bench = Bench { target, dir, database, films, rounds, table };
    if options.relevance { bench.relevance(options) } else { bench.costs(options.movies) }
}

struct Bench {
    target: PathBuf,
    dir: PathBuf,
    /// The database of films.
    database: PathBuf,
    films: Films,
    rounds: u64,
    table: Table,
}

impl Bench {
    /// Judges the first ten hits of sets of queries.
    fn relevance(&self, options: &Options) -> Result<()> {
        /// Queries of each kind.
        const COUNT: usize = 300;
        let (mut names, mut sets): (Vec<String>, Vec<Vec<JudgedQuery>>) = (Vec::new(), Vec::new());
        for path in &options.queries {
            names.push(path.display().to_string());
            sets.push(judged::read(path)?);
        }
        if sets.is_empty() {
            let titles = self.films.titles();
            names = options.seeds.iter().map(|seed| format!("seed {seed}")).collect();
            sets = options.seeds.iter().map(|seed| judged::generate(&titles, *seed, COUNT)).collect();
        }
        let server = Server::start(&self.target, Kind::Searching, &self.database)?;
        let mut judgements = Vec::new();
        for set in &sets {
            let queries = traffic::plain(set.iter().map(|query| query.typed.as_str()));
            let responses = traffic::send(&self.target, &self.dir, &server, &queries)?;
            let mut judgement = Judgement::default();
            for (query, response) in set.iter().zip(&responses) {
                judgement.add(query, &response.titles);
            }
            judgements.push(judgement);
        }
        print!("{}", relevance::table(&names, &judgements));
        Ok(())
    }
}
