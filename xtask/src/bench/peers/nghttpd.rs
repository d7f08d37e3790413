//! nghttpd, the server of the HTTP/2 library nghttp2, which serves files.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::NGHTTPD;
use crate::bench::process;

/// Time limit for listening.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// A server with one thread, without TLS. It is killed when it is dropped.
pub(in crate::bench) struct Nghttpd {
    child: Child,
    pub(in crate::bench) address: SocketAddr,
    _files: TempDir,
}

impl Nghttpd {
    /// Starts a server with one file, `/movie`, of this many bytes.
    pub(in crate::bench) fn start(bytes: usize) -> Result<Self> {
        let files = tempfile::tempdir()?;
        fs::write(files.path().join("movie"), vec![b'm'; bytes])?;
        let [address] = process::free_addresses()?;
        let mut command = NGHTTPD.command();
        command.args(["--no-tls", "--address", "127.0.0.1", "--htdocs"]).arg(files.path());
        command.arg(address.port().to_string());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let server = Self { child: child.context("start nghttpd")?, address, _files: files };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            ensure!(began.elapsed() < START_TIMEOUT, "nghttpd does not listen");
            thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    /// Returns the CPU time, in seconds.
    pub(in crate::bench) fn cpu(&self) -> Result<f64> {
        process::cpu(self.child.id())
    }
}

impl Drop for Nghttpd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
