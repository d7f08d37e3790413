//! The client and the service, over a real connection.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use movie_proto::movie_client::MovieClient;
use movie_proto::{Empty, MovieId};
use tokio::process::Command;
use tokio::time::timeout;
use tonic::Code;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint};

/// The movies in the database.
const SAMPLES: usize = 3;
const DATABASE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../databases/movies.json");
/// Longest time that a test waits for the other side.
const LIMIT: Duration = Duration::from_secs(30);

/// Starts the service on a free port, and returns its address.
fn start() -> String {
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = format!("http://{}", incoming.local_addr().unwrap());
    tokio::spawn(async { movie_service::serve(DATABASE, incoming).await.unwrap() });
    address
}

async fn connect() -> MovieClient<Channel> {
    let endpoint = Endpoint::from_shared(start()).unwrap().timeout(LIMIT);
    MovieClient::new(endpoint.connect().await.unwrap())
}

#[tokio::test]
async fn what_is_listed_is_found_by_its_id() {
    let mut stub = connect().await;
    let mut movies = stub.get_list_movies(Empty {}).await.unwrap().into_inner();
    let mut count = 0;
    while let Some(movie) = movies.message().await.unwrap() {
        let request = MovieId { id: movie.id.clone() };
        assert_eq!(stub.get_movie_by_id(request).await.unwrap().into_inner(), movie);
        count += 1;
    }
    assert_eq!(count, SAMPLES);
}

#[tokio::test]
async fn an_unknown_id_is_not_found() {
    let request = MovieId { id: "unknown".to_owned() };
    let status = connect().await.get_movie_by_id(request).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::NotFound, "no movie has the id `unknown`"));
}

#[tokio::test]
async fn the_client_prints_one_and_then_all() {
    let mut client = Command::new(env!("CARGO_BIN_EXE_movie-client"));
    client.arg(start()).kill_on_drop(true);
    let output = timeout(LIMIT, client.output()).await.unwrap().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    let (one, all) = stdout.split_once("----- GetListMovies -----\n").unwrap();
    assert!(one.starts_with("----- GetMovieByID -----") && one.contains("\"movie-1\""), "{one}");
    assert_eq!(all.lines().count(), SAMPLES, "{all}");
}
