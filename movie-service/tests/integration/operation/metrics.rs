//! Metrics and probes.

use std::fs;
use std::net::TcpListener;

use movie_proto::{Empty, MovieId};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::databases::database;
use crate::support::h2_client::{Call, Client};
use crate::support::http1::{exchange, rest};
use crate::support::metrics::{assert_shows, get, run, with_metrics};
use crate::support::peer;
use crate::support::peer::frames::{self, Frame};
use crate::support::process::{bare_command, command, outcome};

#[tokio::test]
async fn calls_connections_and_movies_are_counted() {
    let (service, address) = run(&mut with_metrics(&database("movies.json")));
    let mut stub = service.stub().await;
    stub.get_movie_by_id(MovieId { id: "1".into() }).await.unwrap();
    stub.get_movie_by_id(MovieId { id: "no such".into() }).await.unwrap();
    let mut list = stub.get_list_movies(Empty {}).await.unwrap().into_inner();
    while list.message().await.unwrap().is_some() {}
    Client::connect(service.address).await.call(&Call::new("/no.Such/Call", b"")).await.unwrap();
    assert_shows(
        address,
        &[
            r#"movie_service_calls_total{method="Movie/GetMovieByID",code="OK"} 2"#,
            r#"movie_service_calls_total{method="Movie/GetListMovies",code="OK"} 1"#,
            r#"movie_service_calls_total{method="other",code="UNIMPLEMENTED"} 1"#,
            r#"movie_service_call_duration_seconds_count{method="Movie/GetMovieByID"} 2"#,
            "movie_service_streams_open 0",
            // The other connection is closed.
            "movie_service_connections_open 1",
            "movie_service_catalogue_movies 7",
            concat!(r#"movie_service_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""} 1"#),
        ],
    )
    .await;
}

#[tokio::test]
async fn requests_that_are_for_no_call_are_counted_by_their_status() {
    let mut command = with_metrics(&database("movies.json"));
    let (service, address) = run(&mut command);
    for head in [
        "GET /nothing HTTP/1.1",
        "GET /v1/catalog HTTP/1.1\r\nhost: localhost",
        "GET /v1/catalog HTTP/1.1\r\norigin: https://evil.example",
        "PUT /v1/catalog HTTP/1.1",
        "POST /v1/movies HTTP/1.1\r\ncontent-type: text/plain",
        "POST /Movie/GetMovieByID HTTP/1.1\r\ncontent-type: application/grpc-web+json",
        "POST /Movie/GetMovieByID HTTP/1.1\r\ncontent-type: application/grpc",
        "DELETE /v1/movies/7 HTTP/1.1\r\nif-match: W/\"3f\"",
        // These are counted as calls.
        "GET /v1/movies/unknown HTTP/1.1",
        "GET /v1/movies?x=y HTTP/1.1",
        // This is not refused.
        "GET /healthz HTTP/1.1",
    ] {
        exchange(service.address, head, b"").await;
    }
    let mut call = Call::new("/Movie/GetMovieByID", b"");
    call.method = http::Method::GET;
    Client::connect(service.address).await.call(&call).await.unwrap();
    let mut evil = TcpStream::connect(service.address).await.unwrap();
    evil.write_all(b"GET /healthz HTTP/1.1\r\nhost: evil\r\nconnection: close\r\n\r\n").await.unwrap();
    rest(&mut evil).await;
    let counts = [(400, 1), (403, 1), (404, 1), (405, 2), (412, 1), (415, 2), (421, 1), (505, 1)];
    let lines = counts
        .map(|(status, count)| format!("movie_service_http_refusals_total{{status=\"{status}\"}} {count}"));
    assert_shows(address, &lines.each_ref().map(String::as_str)).await;
    let not_found =
        r#"movie_service_calls_total{method="movie.catalog.v1.MovieCatalog/GetMovie",code="NOT_FOUND"} 1"#;
    assert_shows(address, &[not_found]).await;

    let (service, address) = run(command.args(["--http", "off"]));
    exchange(service.address, "GET / HTTP/1.1", b"").await;
    assert_shows(address, &[r#"movie_service_http_refusals_total{status="505"} 1"#]).await;
}

#[tokio::test]
async fn a_caller_that_disconnects_is_counted_as_cancelled() {
    let (service, address) = run(&mut with_metrics(&database("films.json")));
    let mut peer = Client::connect(service.address).await;
    let list = peer.stall().await;
    assert_shows(address, &["movie_service_streams_open 1", "movie_service_connections_open 1"]).await;
    drop((list, peer));
    assert_shows(
        address,
        &[
            r#"movie_service_calls_total{method="Movie/GetListMovies",code="CANCELLED"} 1"#,
            "movie_service_streams_open 0",
            "movie_service_connections_open 0",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_drained_connection_is_counted_once_by_its_outcome() {
    let mut command = with_metrics(&database("films.json"));
    let (service, address) = run(command.env("MOVIE_LIMITS", "age=100ms,unread=1s,linger=100ms"));
    let idle = Client::connect(service.address).await;
    let finished = r#"movie_service_drains_total{outcome="finished"} 1"#;
    let none = r#"movie_service_drains_total{outcome="forced"} 0"#;
    assert_shows(address, &[finished, none, "movie_service_connections_open 0"]).await;
    let mut peer = Client::connect(service.address).await;
    let list = peer.stall().await;
    let forced = r#"movie_service_drains_total{outcome="forced"} 1"#;
    assert_shows(address, &[finished, forced, "movie_service_connections_open 0"]).await;
    drop((idle, list, peer));
}

#[tokio::test]
async fn all_bytes_of_a_disconnected_peer_are_counted() {
    let (service, address) = run(with_metrics(&database("movies.json")).args(["--limit", "unread=1s"]));
    // The window for the response stays closed.
    let settings = Frame::settings(&[(frames::INITIAL_WINDOW_SIZE, 0)]).encode();
    let call = frames::encode(peer::call(1, peer::LIST, b""));
    let sent = [peer::PREFACE, &settings, &call].concat();
    let mut peer = peer::Peer::silent(service.address);
    peer.send(&sent);
    let received = peer.rest();
    assert_shows(
        address,
        &[
            "movie_service_connections_open 0",
            &format!("movie_service_received_bytes_total {}", sent.len()),
            &format!("movie_service_sent_bytes_total {}", received.len()),
        ],
    )
    .await;
}

#[tokio::test]
async fn reloads_are_counted_by_outcome() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("movies.json");
    fs::write(&path, r#"{"movies": []}"#).unwrap();
    let (_service, address) = run(&mut with_metrics(&path));
    assert_shows(address, &["movie_service_catalogue_movies 0"]).await;
    fs::write(&path, r#"{"movies": [{"id": "1", "title": "a"}]}"#).unwrap();
    let taken = r#"movie_service_reloads_total{what="database",outcome="taken"} 1"#;
    assert_shows(address, &["movie_service_catalogue_movies 1", taken]).await;
    fs::write(&path, "{").unwrap();
    let refused = r#"movie_service_reloads_total{what="database",outcome="refused"} 1"#;
    assert_shows(address, &["movie_service_catalogue_movies 1", taken, refused]).await;
}

#[tokio::test]
async fn the_liveness_and_readiness_probes_succeed() {
    let mut command = command(&database("movies.json"));
    command.env("MOVIE_METRICS", "127.0.0.1:0");
    let (_service, address) = run(&mut command);
    assert_eq!(get(address, "/livez").await.0, 200);
    assert_eq!(get(address, "/readyz").await.0, 200);
    assert_eq!(get(address, "/").await.0, 404);
}

#[test]
fn an_invalid_or_used_metrics_address_is_a_one_line_error() {
    let used = TcpListener::bind("127.0.0.1:0").unwrap();
    for address in ["here", &used.local_addr().unwrap().to_string()] {
        let mut command = bare_command();
        command.args(["--listen", "127.0.0.1:0", "--metrics", address, "--database"]);
        let (status, _, stderr) = outcome(command.arg(database("movies.json")));
        assert!(!status.success() && stderr.starts_with("error: "), "{stderr}");
        assert!(stderr.contains(address) && stderr.contains("--metrics"), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}
