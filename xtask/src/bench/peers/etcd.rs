//! etcd with one member.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::ETCD;
use crate::bench::{load, process};

/// Time limit for electing itself.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A server with an empty store. It is killed, and its store removed, when it is dropped.
pub(in crate::bench) struct Etcd {
    child: Child,
    pub(in crate::bench) address: SocketAddr,
    dir: PathBuf,
}

impl Etcd {
    /// Starts a server, and waits until it accepts writes.
    pub(in crate::bench) fn start(dir: &Path) -> Result<Self> {
        let _ = fs::remove_dir_all(dir);
        let [address, peer] = process::free_addresses()?;
        let [client_url, peer_url] = [address, peer].map(|address| format!("http://{address}"));
        let mut command = ETCD.command();
        command.arg("--data-dir").arg(dir);
        command.args(["--listen-client-urls", &client_url, "--advertise-client-urls", &client_url]);
        command.args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url]);
        command.args(["--initial-cluster", &format!("default={peer_url}")]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let etcd = Self { child: child.context("start etcd")?, address, dir: dir.to_owned() };
        let began = Instant::now();
        while load::puts(address, 1, (1, 1)).is_err() {
            ensure!(began.elapsed() < START_TIMEOUT, "etcd does not accept writes");
            thread::sleep(Duration::from_millis(100));
        }
        Ok(etcd)
    }

    /// Returns the number of the process.
    pub(in crate::bench) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the CPU time, in seconds.
    pub(in crate::bench) fn cpu(&self) -> Result<f64> {
        process::cpu(self.child.id())
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}
