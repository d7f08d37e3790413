//! Services to call: the real one, and some that misbehave.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use movie_service::catalogue::Catalogue;
use movie_service::database;
use movie_service::found::Found;
use movie_service::server::Server;
use movie_service::server::listen::{Address, Listener};
use tokio::process::Command;

/// Starts the real service over a database of the workspace, for as long as the test's runtime lives.
pub(crate) fn start(name: &str) -> SocketAddr {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../databases").join(name);
    let movies = database::load(&path).unwrap();
    let listener = Listener::bind(&Address::Tcp(([127, 0, 0, 1], 0).into())).unwrap();
    let Address::Tcp(address) = listener.address().unwrap() else { panic!("not TCP") };
    let catalogue = Arc::new(Catalogue::new(movies));
    tokio::spawn(Server::new(catalogue, Found::quiet()).serve(listener, std::future::pending()));
    address
}

/// Returns the command that runs the client against an address.
pub(crate) fn client(address: &impl ToString) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_movie-client"));
    command.env_remove("MOVIE_ADDRESS").args(["--address", &address.to_string()]).kill_on_drop(true);
    command
}

/// What a command printed, and its exit code.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a command to its end.
pub(crate) async fn outcome(command: &mut Command) -> Outcome {
    // Not a measure of speed: the machine may be busy.
    let output = tokio::time::timeout(Duration::from_secs(30), command.output()).await;
    let output = output.expect("the client did not end").unwrap();
    Outcome {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
