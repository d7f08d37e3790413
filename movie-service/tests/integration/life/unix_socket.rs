//! A Unix socket instead of an address and a port.

use std::io::Write;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;

use movie_proto::MovieId;
use movie_proto::movie_client::MovieClient;
use tonic::transport::Endpoint;

use crate::peer::frames::{Frame, HEADER_TABLE_SIZE};
use crate::peer::hpack::encode;
use crate::peer::{GET, PREFACE, fields};
use crate::process::{Service, bare_command, database, outcome};

/// Returns the command that runs the service on a Unix socket.
fn command(socket: &Path) -> Command {
    let mut command = bare_command();
    command.arg("--listen").arg(format!("unix:{}", socket.display()));
    command.arg("--database").arg(database("movies.json"));
    command
}

/// Makes a call through a socket.
async fn call(socket: &Path) {
    let endpoint = Endpoint::from_shared(format!("unix:{}", socket.display())).unwrap();
    let mut stub = MovieClient::new(endpoint.connect().await.unwrap());
    stub.get_movie_by_id(MovieId::default()).await.unwrap();
}

#[tokio::test]
async fn calls_are_answered_and_the_socket_is_gone_when_the_service_is() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("movies.sock");
    let mut service = Service::run(&mut command(&socket));
    assert!(service.start_line.trim().ends_with(&format!(" on unix:{}", socket.display())));
    call(&socket).await;
    service.signal("TERM");
    assert_eq!(service.wait().await.code(), Some(0));
    assert!(!socket.exists());
}

#[tokio::test]
async fn a_socket_that_a_killed_service_left_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("movies.sock");
    drop(UnixListener::bind(&socket).unwrap());
    let _service = Service::run(&mut command(&socket));
    call(&socket).await;
}

#[tokio::test]
async fn a_path_for_an_authority_is_refused_and_the_log_says_so_once_a_connection() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("movies.sock");
    let mut service = Service::run(&mut command(&socket));
    let mut peers = Vec::new();
    for _ in 0..2 {
        let mut peer = UnixStream::connect(&socket).unwrap();
        peer.write_all(&[PREFACE, &Frame::settings(&[(HEADER_TABLE_SIZE, 0)]).encode()].concat()).unwrap();
        // As grpcio and grpc-go send it, and as others do.
        for (stream, authority) in [(1, "tmp%2Fmovies.sock"), (3, "/tmp/movies.sock"), (5, "")] {
            let mut fields = fields(GET);
            fields.iter_mut().filter(|field| field.0 == ":authority").for_each(|field| field.1 = authority);
            peer.write_all(&Frame::headers(stream, encode(&fields)).encode()).unwrap();
        }
        peers.push(peer);
        service.log_line_with(":authority is the path of the socket");
    }
    assert!(!service.end().await.concat().contains(":authority"), "more than once a connection");
}

#[test]
fn what_is_in_use_or_no_socket_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (used, file) = (dir.path().join("used.sock"), dir.path().join("file"));
    let _listener = UnixListener::bind(&used).unwrap();
    std::fs::write(&file, "precious").unwrap();
    let missing = dir.path().join("missing").join("movies.sock");
    for socket in [&used, &file, &missing] {
        let (status, _, stderr) = outcome(&mut command(socket));
        assert_eq!(status.code(), Some(1), "{stderr}");
        assert!(stderr.starts_with("error: ") && stderr.contains(&socket.display().to_string()), "{stderr}");
        assert!(stderr.contains("--listen") && stderr.trim_end().lines().count() == 1, "{stderr}");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
    assert!(used.exists());
}
