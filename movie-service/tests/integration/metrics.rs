//! The pages for those who operate the service.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use movie_proto::{Empty, MovieId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::peer;
use crate::peer::frames::{self, Frame};
use crate::process::{Service, bare_command, command, database, outcome};
use crate::raw::{Call, Peer};

/// Returns the command that runs the service with metrics on a free port.
pub(crate) fn with_metrics(database: &Path) -> Command {
    let mut command = command(database);
    command.args(["--metrics", "127.0.0.1:0"]);
    command
}

/// Runs a command and returns where the metrics are, too.
pub(crate) fn run(command: &mut Command) -> (Service, SocketAddr) {
    const PART: &str = "metrics on http://";
    let mut service = Service::run(command);
    let mut early = service.early_lines.iter();
    let line = match early.find(|line| line.contains(PART)) {
        Some(line) => line.clone(),
        None => service.log_until(PART).pop().unwrap(),
    };
    let (_, address) = line.trim_end().split_once(PART).unwrap();
    let address = address.strip_suffix("/metrics").unwrap().parse().unwrap();
    (service, address)
}

/// Returns the status and the text of a page.
pub(crate) async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, text) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), text.to_owned())
}

/// Waits until the page has all of these lines: a caller can have its answer before that is counted.
pub(crate) async fn assert_shows(address: SocketAddr, lines: &[&str]) {
    let mut page = String::new();
    for _ in 0..3_000 {
        page = get(address, "/metrics").await.1;
        if lines.iter().all(|line| page.lines().any(|found| found == *line)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not all of {lines:#?} in:\n{page}");
}

#[tokio::test]
async fn calls_connections_and_movies_are_counted() {
    let (service, address) = run(&mut with_metrics(&database("movies.json")));
    let mut stub = service.stub().await;
    stub.get_movie_by_id(MovieId { id: "1".into() }).await.unwrap();
    stub.get_movie_by_id(MovieId { id: "no such".into() }).await.unwrap();
    let mut list = stub.get_list_movies(Empty {}).await.unwrap().into_inner();
    while list.message().await.unwrap().is_some() {}
    Peer::connect(service.address).await.call(&Call::new("/no.Such/Call", b"")).await.unwrap();
    assert_shows(
        address,
        &[
            r#"movie_service_calls_total{method="Movie/GetMovieByID",code="OK"} 2"#,
            r#"movie_service_calls_total{method="Movie/GetListMovies",code="OK"} 1"#,
            r#"movie_service_calls_total{method="other",code="UNIMPLEMENTED"} 1"#,
            r#"movie_service_call_duration_seconds_count{method="Movie/GetMovieByID"} 2"#,
            "movie_service_streams_open 0",
            // The other was closed.
            "movie_service_connections_open 1",
            "movie_service_catalogue_movies 7",
            concat!(r#"movie_service_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""} 1"#),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_caller_that_goes_away_is_counted_and_leaves_nothing_open() {
    let (service, address) = run(&mut with_metrics(&database("films.json")));
    let mut peer = Peer::connect(service.address).await;
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
async fn a_connection_that_is_asked_to_end_is_counted_once_by_how_it_did() {
    let mut command = with_metrics(&database("films.json"));
    let (service, address) = run(command.env("MOVIE_LIMITS", "age=100ms,unread=1s,linger=100ms"));
    let idle = Peer::connect(service.address).await;
    let finished = r#"movie_service_drains_total{outcome="finished"} 1"#;
    let none = r#"movie_service_drains_total{outcome="forced"} 0"#;
    assert_shows(address, &[finished, none, "movie_service_connections_open 0"]).await;
    let mut peer = Peer::connect(service.address).await;
    let list = peer.stall().await;
    let forced = r#"movie_service_drains_total{outcome="forced"} 1"#;
    assert_shows(address, &[finished, forced, "movie_service_connections_open 0"]).await;
    drop((idle, list, peer));
}

#[tokio::test]
async fn all_that_went_to_and_came_from_a_peer_that_is_cut_off_is_counted() {
    let (service, address) = run(with_metrics(&database("movies.json")).args(["--limit", "unread=1s"]));
    // It opens no window for the answer, and the service waits for that in vain.
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
async fn reloads_are_counted_by_what_became_of_them() {
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
async fn the_probes_say_alive_and_ready() {
    let mut command = command(&database("movies.json"));
    command.env("MOVIE_METRICS", "127.0.0.1:0");
    let (_service, address) = run(&mut command);
    assert_eq!(get(address, "/livez").await.0, 200);
    assert_eq!(get(address, "/readyz").await.0, 200);
    assert_eq!(get(address, "/").await.0, 404);
}

#[test]
fn an_address_that_is_none_or_in_use_is_one_line_that_names_it_and_the_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    for address in ["here", &taken.local_addr().unwrap().to_string()] {
        let mut command = bare_command();
        command.args(["--listen", "127.0.0.1:0", "--metrics", address, "--database"]);
        let (status, _, stderr) = outcome(command.arg(database("movies.json")));
        assert!(!status.success() && stderr.starts_with("error: "), "{stderr}");
        assert!(stderr.contains(address) && stderr.contains("--metrics"), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}
