//! Load generator of `cargo xtask bench search`.
//!
//! * `search queries ADDRESS FILE` sends queries, one at a time. FILE has a JSON object a line:
//!   `{"query": "sevn samurai", "facets": false}`. For each it prints a line with the latency and the titles of the first ten
//!   hits: `{"nanoseconds": 250000, "titles": ["Seven Samurai"]}`.
//! * `search writes ADDRESS DATABASE WRITERS` creates the movies of a JSON file with concurrent writers. They get new ids.

use std::error::Error;
use std::io::{BufWriter, Write, stdout};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use movie_proto::catalog::v1::movie_catalog_client::MovieCatalogClient;
use movie_proto::catalog::v1::{CreateMovieRequest, Movie, SearchMoviesRequest};
use serde::Deserialize;
use serde_json::json;
use tonic::transport::{Channel, Endpoint};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[derive(Deserialize)]
struct Query {
    query: String,
    facets: bool,
}

/// A JSON file of movies.
#[derive(Deserialize)]
struct Database {
    movies: Vec<Created>,
}

/// The fields of a movie that are created.
#[derive(Deserialize)]
struct Created {
    title: String,
    director: String,
    rating: f32,
    rating_count: i64,
    year: i32,
    genres: Vec<String>,
    countries: Vec<String>,
    languages: Vec<String>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["queries", address, path] => queries(address, Path::new(path)).await,
        ["writes", address, path, writers] => writes(address, Path::new(path), writers.parse()?).await,
        _ => Err("expected a command; movie-service/examples/search.rs lists them".into()),
    }
}

async fn connect(address: &str) -> Result<MovieCatalogClient<Channel>> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true);
    Ok(MovieCatalogClient::new(endpoint.connect().await?))
}

async fn queries(address: &str, path: &Path) -> Result<()> {
    let mut stub = connect(address).await?;
    let mut output = BufWriter::new(stdout().lock());
    for line in std::fs::read_to_string(path)?.lines() {
        let Query { query, facets } = serde_json::from_str(line)?;
        let facets: &[&str] = if facets { &["genres", "countries", "languages", "decades"] } else { &[] };
        let facets = facets.iter().map(|field| (*field).to_owned()).collect();
        let request = SearchMoviesRequest { query, facets, page_size: 10, ..SearchMoviesRequest::default() };
        let start = Instant::now();
        let response = stub.search_movies(request).await?.into_inner();
        let nanoseconds = start.elapsed().as_nanos();
        let titles: Vec<String> =
            response.hits.into_iter().filter_map(|hit| hit.movie).map(|movie| movie.title).collect();
        writeln!(output, "{}", json!({ "nanoseconds": nanoseconds, "titles": titles }))?;
    }
    Ok(output.flush()?)
}

async fn writes(address: &str, path: &Path, writers: usize) -> Result<()> {
    let database: Database = serde_json::from_slice(&std::fs::read(path)?)?;
    let movies: Arc<Vec<Movie>> = Arc::new(database.movies.into_iter().map(Movie::from).collect());
    let next = Arc::new(AtomicUsize::new(0));
    let stub = connect(address).await?;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..writers {
        let (mut stub, movies, next) = (stub.clone(), movies.clone(), next.clone());
        tasks.spawn(async move {
            while let Some(movie) = movies.get(next.fetch_add(1, Ordering::Relaxed)) {
                let request = CreateMovieRequest { movie: Some(movie.clone()), request_id: String::new() };
                stub.create_movie(request).await?;
            }
            Ok::<_, tonic::Status>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

impl From<Created> for Movie {
    fn from(movie: Created) -> Self {
        Self {
            title: movie.title,
            director: movie.director,
            rating: Some(movie.rating),
            rating_count: movie.rating_count,
            year: movie.year,
            genres: movie.genres,
            countries: movie.countries,
            languages: movie.languages,
            ..Self::default()
        }
    }
}
