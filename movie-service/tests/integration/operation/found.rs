//! The line `Movie found!` on standard output.

use std::io::{self, Read, Write};
use std::process::Command;

use movie_proto::movie_client::MovieClient;
use movie_proto::{Empty, MovieId};
use tonic::transport::Channel;

use crate::support::databases::database;
use crate::support::process::{Service, command};

const ID: &str = "267eedb8-0f5d-42d5-8f43-72426b9fb3e6";

async fn hit(stub: &mut MovieClient<Channel>) {
    let movie = stub.get_movie_by_id(MovieId { id: ID.into() }).await.unwrap().into_inner();
    assert_eq!(movie.title, "Creed");
}

fn service() -> Command {
    command(&database("movies.json"))
}

/// Makes calls that find movies, calls that find none and a list; returns what the service printed.
async fn printed(command: &mut Command, hits: usize) -> String {
    let mut service = Service::run(command);
    let mut stub = service.stub().await;
    for _ in 0..hits {
        hit(&mut stub).await;
        stub.get_movie_by_id(MovieId { id: "nope".into() }).await.unwrap();
    }
    let mut list = stub.get_list_movies(Empty {}).await.unwrap().into_inner();
    while list.message().await.unwrap().is_some() {}
    let mut stdout = service.stdout();
    service.signal("TERM");
    assert!(service.wait().await.success());
    let mut printed = String::new();
    stdout.read_to_string(&mut printed).unwrap();
    printed
}

#[tokio::test]
async fn each_found_movie_prints_the_line_and_nothing_else_is_printed() {
    assert_eq!(printed(&mut service(), 50).await, "Movie found!\n".repeat(50));
}

#[tokio::test]
async fn the_line_is_flushed_after_the_call() {
    let mut service = Service::start("movies.json");
    hit(&mut service.stub().await).await;
    let mut line = [0; 13];
    service.stdout().read_exact(&mut line).unwrap();
    assert_eq!(&line, b"Movie found!\n");
}

#[tokio::test]
async fn quiet_prints_nothing() {
    assert_eq!(printed(service().arg("--quiet"), 5).await, "");
    assert_eq!(printed(service().env("MOVIE_QUIET", "true"), 5).await, "");
}

#[tokio::test]
async fn a_stalled_reader_of_standard_output_delays_no_call() {
    // A pipe of 64 KiB with room for about 40 lines, which is never read.
    let (_reader, mut writer) = io::pipe().unwrap();
    writer.write_all(&b"\n".repeat(65_000)).unwrap();
    let mut service = Service::run(service().stdout(writer));
    let mut stub = service.stub().await;
    for _ in 0..200 {
        hit(&mut stub).await;
    }
    service.signal("TERM");
    assert!(service.wait().await.success());
}

#[tokio::test]
async fn the_service_runs_on_if_standard_output_is_closed() {
    let mut service = Service::start("movies.json");
    drop(service.stdout());
    let mut stub = service.stub().await;
    for _ in 0..100 {
        hit(&mut stub).await;
    }
    assert!(service.is_running());
    service.signal("TERM");
    assert!(service.wait().await.success());
}
