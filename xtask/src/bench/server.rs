//! A server under measurement.

use std::ffi::OsStr;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::{load, process};
use crate::http;

/// Time limit for loading the movies.
const START_TIMEOUT: Duration = Duration::from_mins(2);

/// Time in which an idle server is observed.
const IDLE_TIME: Duration = Duration::from_millis(1500);

/// Kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The service without search.
    Ours,
    /// The service with search.
    Searching,
    /// The service with metrics, without search.
    Metered,
    /// `movie-service/examples/naive.rs`.
    Naive,
}

/// A running server. It is killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    /// Address of the metrics of [`Kind::Metered`].
    metrics: SocketAddr,
    /// Time from the start of the process to the first accepted connection.
    pub(crate) listening: Duration,
    /// Time from the start of the process to the response to the first call.
    pub(crate) start: Duration,
}

impl Server {
    /// Starts a server, and waits for the response to a first call.
    pub(crate) fn start(target: &Path, kind: Kind, database: impl AsRef<OsStr>) -> Result<Self> {
        Self::start_with(target, kind, database, &[])
    }

    /// Starts a server with further options of the service.
    pub(crate) fn start_with(
        target: &Path,
        kind: Kind,
        database: impl AsRef<OsStr>,
        options: &[&str],
    ) -> Result<Self> {
        let [address, metrics] = process::free_addresses()?;
        // A thousand connections need more open files than the usual limit.
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n 4096; exec \"$@\"", "sh"]);
        match kind {
            Kind::Ours | Kind::Searching | Kind::Metered => {
                command.arg(target.join("release/movie-service"));
                command.args(["--search", if kind == Kind::Searching { "on" } else { "off" }]);
                if kind == Kind::Metered {
                    command.args(["--metrics", &metrics.to_string()]);
                }
                command.args(options);
                command.args(["--allow-anonymous-writes", "--listen", &address.to_string(), "--database"])
            }
            Kind::Naive => command.arg(target.join("plain/examples/naive")).arg(address.to_string()),
        };
        command.arg(database.as_ref()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let began = Instant::now();
        let child = command.spawn().context("start a server")?;
        let mut server =
            Self { child, kind, address, metrics, listening: Duration::ZERO, start: Duration::ZERO };
        while TcpStream::connect(address).is_err() {
            ensure!(server.child.try_wait()?.is_none(), "the server {kind:?} ended before it listened");
            ensure!(
                began.elapsed() < START_TIMEOUT,
                "the server {kind:?} did not listen within {START_TIMEOUT:?}"
            );
            thread::sleep(Duration::from_millis(1));
        }
        server.listening = began.elapsed();
        load::one_call(address)?;
        server.start = began.elapsed();
        Ok(server)
    }

    /// Returns the number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the CPU time, in seconds.
    pub(crate) fn cpu(&self) -> Result<f64> {
        process::cpu(self.child.id())
    }

    /// Returns the page of metrics of [`Kind::Metered`].
    pub(crate) fn metrics(&self) -> Result<String> {
        http::get(self.metrics, "/metrics")
    }

    /// Waits until the server is idle: after the start, it builds columns, and its index.
    pub(crate) fn wait_until_idle(&self) -> Result<()> {
        /// CPU time of an idle server in [`IDLE_TIME`], at most: timers, and the wait of the measurement.
        const IDLE_CPU: f64 = 0.01;
        let (mut before, began) = (self.cpu()?, Instant::now());
        while began.elapsed() < START_TIMEOUT {
            thread::sleep(IDLE_TIME);
            let now = self.cpu()?;
            if now - before < IDLE_CPU {
                return Ok(());
            }
            before = now;
        }
        bail!("the server {:?} is still busy after {START_TIMEOUT:?}", self.kind)
    }

    /// Returns the resident memory, in megabytes.
    pub(crate) fn memory(&self) -> Result<f64> {
        process::memory(self.child.id(), "VmRSS:")
    }

    /// Returns the peak resident memory, in megabytes.
    pub(crate) fn peak_memory(&self) -> Result<f64> {
        process::memory(self.child.id(), "VmHWM:")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
