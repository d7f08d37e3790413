//! A server under measurement.

use std::ffi::OsStr;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{load, process};

/// How long a server may take to load its movies.
const START_TIMEOUT: Duration = Duration::from_mins(2);

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The service, as it is shipped.
    Ours,
    /// The same, with metrics on.
    Metered,
    /// `movie-service/examples/naive.rs`.
    Naive,
}

/// A running server; killed when it is dropped.
pub(super) struct Server {
    child: Child,
    pub(super) address: SocketAddr,
    /// From the start of the process to the answer to a first call.
    pub(super) start: Duration,
}

impl Server {
    /// Starts a server and waits for its first answer.
    pub(super) fn start(target: &Path, kind: Kind, database: impl AsRef<OsStr>) -> Result<Self> {
        // Free now; nobody else on this machine is expected to take it in the meantime.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        // More open files than the usual limit, for a thousand connections.
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n 4096; exec \"$@\"", "sh"]);
        match kind {
            Kind::Ours | Kind::Metered => {
                command.arg(target.join("release/movie-service"));
                if kind == Kind::Metered {
                    command.args(["--metrics", "127.0.0.1:0"]);
                }
                command.args(["--allow-anonymous-writes", "--listen", &address.to_string(), "--database"])
            }
            Kind::Naive => command.arg(target.join("plain/examples/naive")).arg(address.to_string()),
        };
        command.arg(database.as_ref()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let began = Instant::now();
        let child = command.spawn().context("start a server")?;
        let mut server = Self { child, address, start: Duration::ZERO };
        while TcpStream::connect(address).is_err() {
            ensure!(server.child.try_wait()?.is_none(), "{kind:?} ended instead of listening");
            ensure!(began.elapsed() < START_TIMEOUT, "{kind:?} did not listen within {START_TIMEOUT:?}");
            thread::sleep(Duration::from_millis(1));
        }
        load::one_call(address)?;
        server.start = began.elapsed();
        Ok(server)
    }

    /// Returns the processor time it has used, in seconds.
    pub(super) fn cpu(&self) -> Result<f64> {
        process::cpu(self.child.id())
    }

    /// Returns the memory it holds, in megabytes.
    pub(super) fn memory(&self) -> Result<f64> {
        process::memory(self.child.id(), "VmRSS:")
    }

    /// Returns the most memory it has held, in megabytes.
    pub(super) fn peak_memory(&self) -> Result<f64> {
        process::memory(self.child.id(), "VmHWM:")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
