//! A running service.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use crate::program::Program;

/// Time for the service to start.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// Time for the service to end: the longest `--pause` of the tests, the grace that it gives to calls by default, and some seconds for
/// a busy machine.
const STOP_TIMEOUT: Duration = Duration::from_secs(2 + 20 + 8);

/// A running service. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Service {
    program: Program,
    /// Where it listens for calls, as its log says.
    pub(crate) address: SocketAddr,
}

impl Service {
    /// Starts a service, and waits until it serves.
    ///
    /// # Errors
    ///
    /// If it ends, or does not serve within a minute; with its log.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let program = Program::start(command.stdin(Stdio::null()))?;
        let line = program.wait_for("serving ", START_TIMEOUT)?;
        let (_, address) = line.rsplit_once(" on ").with_context(|| format!("no address in {line:?}"))?;
        // In the JSON log, the message ends with a quotation mark.
        let address = address.split('"').next().unwrap_or(address).trim_end();
        let address = address.parse().with_context(|| format!("the service listens on {address}"))?;
        Ok(Self { program, address })
    }

    /// Returns the number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.program.id()
    }

    /// Sends a signal to the service.
    ///
    /// # Errors
    ///
    /// If it has ended.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        self.program.signal(signal)
    }

    /// Asks the service to stop, waits until it has ended, and returns the rest of its log.
    ///
    /// # Errors
    ///
    /// If it does not end in time, fails or has panicked.
    pub(crate) fn stop(self) -> Result<String> {
        let output = self.program.stop(STOP_TIMEOUT)?;
        let (status, log) = (output.status, output.stderr);
        ensure!(status.success(), "the service ended with {status}\n{log}");
        ensure!(!log.contains("panicked"), "the service panicked\n{log}");
        Ok(log)
    }
}
