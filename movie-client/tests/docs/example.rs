//! The example programs of the tutorial, which run as processes.

use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// What the service prints before its address.
const SERVING: &str = "serving movies on ";

/// The folder of the built examples. They are built like the tests, so that `cargo test --workspace` has them already.
static FOLDER: LazyLock<Result<PathBuf, String>> = LazyLock::new(|| {
    let mut build = xtask::cargo(&xtask::root());
    build.args([
        "build",
        "--quiet",
        "--workspace",
        "--example",
        "first_service",
        "--example",
        "first_client",
    ]);
    let status = build.status().map_err(|error| error.to_string())?;
    let test = std::env::current_exe().map_err(|error| error.to_string())?;
    // A test is in `deps/`, which is beside `examples/`.
    let folder = test.parent().and_then(|deps| deps.parent()).map(|profile| profile.join("examples"));
    folder.filter(|_| status.success()).ok_or_else(|| "the examples do not build".to_owned())
});

/// A running `first_service`. Dropping it kills it.
pub(crate) struct FirstService {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl FirstService {
    /// Starts the service on a free port, and waits until it listens.
    pub(crate) fn start() -> Result<Self, String> {
        let process = command("first_service")?.arg("127.0.0.1:0").stderr(Stdio::piped()).spawn();
        let mut process = process.map_err(|error| error.to_string())?;
        let mut line = String::new();
        if let Some(output) = process.stderr.take() {
            BufReader::new(output).read_line(&mut line).map_err(|error| error.to_string())?;
        }
        let address = line.trim_end().strip_prefix(SERVING).and_then(|address| address.parse().ok());
        let address = address.ok_or_else(|| format!("first_service printed `{line}`"));
        if address.is_err() {
            stop(&mut process).map_err(|error| error.to_string())?;
        }
        Ok(Self { process, address: address? })
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<(), String> {
        let id = i32::try_from(self.process.id()).map_err(|error| error.to_string())?;
        kill(Pid::from_raw(id), signal).map_err(|error| error.to_string())
    }
}

impl Drop for FirstService {
    fn drop(&mut self) {
        let _ = stop(&mut self.process);
    }
}

fn stop(process: &mut Child) -> io::Result<()> {
    process.kill()?;
    process.wait().map(drop)
}

/// Returns the command of an example, from the root of the workspace.
pub(crate) fn command(name: &str) -> Result<Command, String> {
    let mut command = Command::new(FOLDER.as_ref().map_err(Clone::clone)?.join(name));
    command.current_dir(xtask::root());
    Ok(command)
}
