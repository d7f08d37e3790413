//! Listening on a Unix socket.

use std::io::Write;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;

use movie_proto::MovieId;
use movie_proto::movie_client::MovieClient;
use tonic::transport::Endpoint;

use crate::support::databases::database;
use crate::support::peer::frames::{Frame, HEADER_TABLE_SIZE};
use crate::support::peer::hpack::encode;
use crate::support::peer::{GET, PREFACE, fields};
use crate::support::process::{Service, bare_command, outcome};

/// Returns the command that runs the service on a Unix socket.
fn command(socket: &Path) -> Command {
    let mut command = bare_command();
    command.arg("--listen").arg(format!("unix:{}", socket.display()));
    command.arg("--database").arg(database("movies.json"));
    command
}

/// Makes a call through a socket.
pub(super) async fn call(socket: &Path) {
    let endpoint = Endpoint::from_shared(format!("unix:{}", socket.display())).unwrap();
    let mut stub = MovieClient::new(endpoint.connect().await.unwrap());
    stub.get_movie_by_id(MovieId::default()).await.unwrap();
}

#[tokio::test]
async fn calls_are_answered_and_the_socket_is_removed_at_shutdown() {
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
async fn a_socket_left_by_a_killed_service_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("movies.sock");
    drop(UnixListener::bind(&socket).unwrap());
    let _service = Service::run(&mut command(&socket));
    call(&socket).await;
}

#[tokio::test]
async fn a_path_as_authority_is_refused_and_logged_once_per_connection() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("movies.sock");
    let mut service = Service::run(&mut command(&socket));
    let mut peers = Vec::new();
    for _ in 0..2 {
        let mut peer = UnixStream::connect(&socket).unwrap();
        peer.write_all(&[PREFACE, &Frame::settings(&[(HEADER_TABLE_SIZE, 0)]).encode()].concat()).unwrap();
        // As grpcio and grpc-go send it, and other forms.
        for (stream, authority) in [(1, "tmp%2Fmovies.sock"), (3, "/tmp/movies.sock"), (5, "")] {
            let mut fields = fields(GET);
            fields.iter_mut().filter(|field| field.0 == ":authority").for_each(|field| field.1 = authority);
            peer.write_all(&Frame::headers(stream, encode(&fields)).encode()).unwrap();
        }
        peers.push(peer);
        service.log_line_with(":authority is the path of the socket");
    }
    assert!(!service.end().await.concat().contains(":authority"), "logged more than once per connection");
}

#[test]
fn a_socket_in_use_and_other_files_are_refused_and_kept() {
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
