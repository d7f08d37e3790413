//! Load generator of `cargo xtask bench` for what h2load cannot do, such as checking responses.
//!
//! * `load check ADDRESS DATABASE` compares the whole list and a sample of single movies with the database.
//! * `load calls ADDRESS MOVIES CALLS CONNECTIONS STREAMS` makes calls of `GetMovieByID` with random ids of a generated database,
//!   checks each response, and prints the median latency in nanoseconds.
//! * `load pages ADDRESS PAGES` requests pages with filters and orders, and checks their sizes.
//! * `load batches ADDRESS MOVIES BATCHES` requests batches of 1,000 random movies, and prints the size of a batch in bytes.
//! * `load lookups ADDRESS MOVIES IDS` looks random ids up in bursts of 1,000, on one stream.
//! * `load writes ADDRESS WRITERS MOVIES` creates movies, and prints the number of movies per second.
//! * `load stall ADDRESS CONNECTIONS` opens connections that request the list and read nothing, prints a line, and keeps the
//!   connections open until its standard input ends.
//! * `load send ADDRESS BYTES` sends bytes over plain TCP, and waits until its standard input ends.

use std::error::Error;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::time::Instant;

use movie_proto::catalog::v1::movie_catalog_client::MovieCatalogClient;
use movie_proto::catalog::v1::{
    BatchGetMoviesRequest, CreateMovieRequest, ListMoviesRequest, LookupMoviesRequest, Movie, MovieFilter,
};
use movie_proto::movie_client::MovieClient;
use movie_proto::{Empty, MovieData, MovieId};
use movie_service::store::json;
use prost::Message;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

/// Ids of the benchmark's generated databases.
#[path = "../../xtask/src/bench/data.rs"]
#[allow(dead_code, reason = "xtask writes the databases")]
mod data;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["check", address, path] => check(address, Path::new(path)).await,
        ["calls", address, movies, calls, connections, streams] => {
            calls_at_random(address, movies.parse()?, calls.parse()?, connections.parse()?, streams.parse()?)
                .await
        }
        ["pages", address, pages] => self::pages(address, pages.parse()?).await,
        ["batches", address, movies, batches] => {
            self::batches(address, movies.parse()?, batches.parse()?).await
        }
        ["lookups", address, movies, ids] => lookups(address, movies.parse()?, ids.parse()?).await,
        ["writes", address, writers, movies] => writes(address, writers.parse()?, movies.parse()?).await,
        ["stall", address, connections] => stall(address, connections.parse()?).await,
        ["send", address, bytes] => send(address, bytes.parse()?),
        _ => Err("expected a command; movie-service/examples/load.rs lists them".into()),
    }
}

async fn connect(address: &str) -> Result<MovieClient<Channel>> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true);
    Ok(MovieClient::new(endpoint.connect().await?))
}

async fn check(address: &str, path: &Path) -> Result<()> {
    let movies = json::load(path)?;
    let mut stub = connect(address).await?;
    let mut list = stub.get_list_movies(Empty {}).await?.into_inner();
    for (number, expected) in movies.movies().map(MovieData::from).enumerate() {
        if list.message().await?.as_ref() != Some(&expected) {
            return Err(format!("movie {number} of the list: expected {expected:?}").into());
        }
        if number % 97 == 0 {
            let found = stub.get_movie_by_id(MovieId { id: expected.id.clone() }).await?.into_inner();
            if found != expected {
                return Err(format!("expected {expected:?}, got {found:?}").into());
            }
        }
    }
    if list.message().await?.is_some() {
        return Err("the list is longer than the database".into());
    }
    Ok(())
}

async fn calls_at_random(
    address: &str,
    movies: u64,
    calls: u64,
    connections: u64,
    streams: u64,
) -> Result<()> {
    let mut tasks = tokio::task::JoinSet::new();
    for connection in 0..connections {
        let connected = connect(address).await?;
        for stream in 0..streams {
            let mut stub = connected.clone();
            let mut random = connection * streams + stream;
            tasks.spawn(async move {
                let mut latencies = Vec::new();
                for _ in 0..calls / connections / streams {
                    random = data::mixed(random);
                    // Ids are computed, because a million stored ids would displace the server from the CPU cache.
                    let id = data::id(random % movies);
                    let start = Instant::now();
                    let movie = stub.get_movie_by_id(MovieId { id: id.clone() }).await?.into_inner();
                    latencies.push(start.elapsed().as_nanos());
                    assert_eq!(movie.id, id, "the response has another movie");
                }
                Ok::<_, tonic::Status>(latencies)
            });
        }
    }
    let mut latencies = Vec::new();
    while let Some(done) = tasks.join_next().await {
        latencies.extend(done??);
    }
    latencies.sort_unstable();
    println!("{}", latencies[latencies.len() / 2]);
    Ok(())
}

async fn connect_to_catalog(address: &str) -> Result<MovieCatalogClient<Channel>> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true);
    Ok(MovieCatalogClient::new(endpoint.connect().await?))
}

async fn pages(address: &str, pages: u64) -> Result<()> {
    let mut stub = connect_to_catalog(address).await?;
    let filters = [
        MovieFilter { year_from: 1950, year_to: 1990, ..MovieFilter::default() },
        MovieFilter { genres: vec!["Drama".into(), "War".into()], ..MovieFilter::default() },
        MovieFilter { rating_min: Some(5.0), countries: vec!["Japan".into()], ..MovieFilter::default() },
        MovieFilter { languages: vec!["Hindi".into()], year_from: 2000, ..MovieFilter::default() },
    ];
    let orders = ["year desc, title", "title", "rating desc, year", "title desc"];
    let mut token = String::new();
    for page in 0..usize::try_from(pages)? {
        // Four pages of each list.
        let list = page / 4;
        let request = ListMoviesRequest {
            filter: Some(filters[list % filters.len()].clone()),
            order_by: orders[list / filters.len() % orders.len()].into(),
            page_token: if page % 4 == 0 { String::new() } else { token },
            ..ListMoviesRequest::default()
        };
        let answer = stub.list_movies(request).await?.into_inner();
        if answer.movies.len() != 50 || answer.total_size < 10_000 {
            return Err(format!(
                "page {page}: expected 50 movies of at least 10,000, got {}",
                answer.movies.len()
            )
            .into());
        }
        token = answer.next_page_token;
    }
    Ok(())
}

/// Number of ids in a batch, and in a burst.
const BATCH_IDS: u64 = 1_000;

/// Returns the ids of a batch of random movies.
fn ids(batch: u64, movies: u64) -> Vec<String> {
    (batch * BATCH_IDS..(batch + 1) * BATCH_IDS)
        .map(|number| data::id(data::mixed(number) % movies))
        .collect()
}

async fn batches(address: &str, movies: u64, batches: u64) -> Result<()> {
    let mut stub = connect_to_catalog(address).await?;
    let mut bytes = 0;
    for batch in 0..batches {
        let ids = ids(batch, movies);
        let found = stub.batch_get_movies(BatchGetMoviesRequest { ids: ids.clone() }).await?.into_inner();
        if !found.movies.iter().map(|movie| &movie.id).eq(&ids) {
            return Err(format!("batch {batch} has other movies").into());
        }
        bytes = found.encoded_len();
    }
    println!("{bytes}");
    Ok(())
}

async fn lookups(address: &str, movies: u64, count: u64) -> Result<()> {
    let mut stub = connect_to_catalog(address).await?;
    let (requests, queued) = tokio::sync::mpsc::channel(usize::try_from(BATCH_IDS)?);
    let mut found = stub.lookup_movies(ReceiverStream::new(queued)).await?.into_inner();
    for burst in 0..count / BATCH_IDS {
        let ids = ids(burst, movies);
        for id in &ids {
            requests.send(LookupMoviesRequest { id: id.clone() }).await?;
        }
        for id in ids {
            let response = found.message().await?.ok_or("the stream ended")?;
            if response.id != id || response.movie.is_none_or(|movie| movie.id != id) {
                return Err(format!("expected the movie {id}").into());
            }
        }
    }
    Ok(())
}

async fn writes(address: &str, writers: u64, movies: u64) -> Result<()> {
    let stub = connect_to_catalog(address).await?;
    let mut tasks = tokio::task::JoinSet::new();
    let start = Instant::now();
    for _ in 0..writers {
        let mut stub = stub.clone();
        tasks.spawn(async move {
            for _ in 0..movies / writers {
                let movie = Movie { title: "A created movie".into(), year: 2026, ..Movie::default() };
                let request = CreateMovieRequest { movie: Some(movie), request_id: String::new() };
                stub.create_movie(request).await?;
            }
            Ok::<_, tonic::Status>(movies / writers)
        });
    }
    let mut written = 0;
    while let Some(done) = tasks.join_next().await {
        written += done??;
    }
    println!("{}", f64::from(u32::try_from(written)?) / start.elapsed().as_secs_f64());
    Ok(())
}

/// Sends bytes over plain TCP: the lower bound for the CPU time of a list.
fn send(address: &str, bytes: usize) -> Result<()> {
    // The size of a list of 100,000 movies, so that the buffer does not stay in the CPU cache.
    let buffer = vec![7; 8 * 1024 * 1024];
    let mut stream = TcpStream::connect(address)?;
    let mut sent = 0;
    while sent < bytes {
        for piece in buffer.chunks(64 * 1024) {
            stream.write_all(piece)?;
        }
        sent += buffer.len();
    }
    drop(stream);
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

async fn stall(address: &str, connections: usize) -> Result<()> {
    let mut stalled = Vec::new();
    for _ in 0..connections {
        let mut stub = connect(address).await?;
        let list = stub.get_list_movies(Empty {}).await?.into_inner();
        stalled.push((stub, list));
    }
    println!("stalled");
    // The runtime continues, so that HTTP/2 pings and settings are acknowledged.
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
    Ok(())
}
