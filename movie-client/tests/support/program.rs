//! The client program, and services that several of its tests share.

use std::collections::BTreeMap;
use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tokio::process::Command;

use crate::support::in_time;
use crate::support::service::Service;

/// Address without a listener. The operating system never assigns this port.
pub(crate) const UNREACHABLE_ADDRESS: &str = "127.0.0.1:1";

/// Returns the address of a service over a database of the workspace, which all tests share.
pub(crate) fn over(name: &'static str) -> SocketAddr {
    static SERVICES: Mutex<BTreeMap<&str, Service>> = Mutex::new(BTreeMap::new());
    SERVICES.lock().unwrap().entry(name).or_insert_with(|| Service::read_only(name)).socket_address()
}

/// Returns the path of a file of the workspace.
pub(crate) fn workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Returns the command that runs the client, without environment variables of the test run.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_movie-client"));
    let names = env::vars_os().map(|(name, _)| name);
    for name in names.filter(|name| name == "NO_COLOR" || name.to_string_lossy().starts_with("MOVIE_")) {
        command.env_remove(name);
    }
    command.kill_on_drop(true);
    command
}

/// Returns the command that runs the client against an address.
pub(crate) fn client(address: &impl ToString) -> Command {
    let mut command = program();
    command.args(["--address", &address.to_string()]);
    command
}

/// Output and exit code of a command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a command to its end.
pub(crate) async fn outcome(command: &mut Command) -> Outcome {
    let output = in_time(command.output()).await.unwrap();
    Outcome {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
