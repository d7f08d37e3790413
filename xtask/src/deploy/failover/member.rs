//! A PostgreSQL server that Patroni runs.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use crate::program::{Program, children, send_signal};
use crate::wait;

/// Time for a killed server to be gone.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A member of the cluster. Its programs are killed when it is dropped.
pub(super) struct Member {
    pub(super) name: &'static str,
    /// Folder of the configuration and of the data.
    pub(super) folder: PathBuf,
    pub(super) postgres: SocketAddr,
    /// Of Patroni.
    pub(super) rest: SocketAddr,
    /// The user that runs both, if not the one of this program.
    user: Option<u32>,
    patroni: Option<Program>,
}

impl Member {
    /// Returns a member that does not run yet.
    pub(super) fn new(
        name: &'static str,
        folder: PathBuf,
        postgres: SocketAddr,
        rest: SocketAddr,
        user: Option<u32>,
    ) -> Self {
        Self { name, folder, postgres, rest, user, patroni: None }
    }

    /// Starts Patroni, which starts PostgreSQL.
    pub(super) fn start(&mut self, patroni: &mut Command) -> Result<()> {
        if let Some(user) = self.user {
            patroni.uid(user).gid(user);
        }
        patroni.current_dir(&self.folder).env("HOME", &self.folder).arg(self.folder.join("patroni.yaml"));
        self.patroni = Some(Program::start(patroni.stdin(Stdio::null()))?);
        Ok(())
    }

    /// Returns whether Patroni was started and not killed.
    pub(super) fn is_running(&self) -> bool {
        self.patroni.is_some()
    }

    /// Kills Patroni and all processes of PostgreSQL.
    pub(super) fn kill(&mut self) -> Result<()> {
        // A program that is dropped is killed. It goes first: it would start PostgreSQL again.
        drop(self.patroni.take());
        let postmaster =
            self.postmaster().with_context(|| format!("{} does not run PostgreSQL", self.name))?;
        let mut processes = children(postmaster);
        processes.insert(0, postmaster);
        for process in processes {
            // One that has ended meanwhile need not be killed.
            let _ = send_signal(process, Signal::SIGKILL);
        }
        self.wait_until_gone(postmaster)
    }

    /// Suspends the WAL senders, the processes that send to standbys.
    pub(super) fn hold_replication(&self) -> Result<()> {
        let postmaster =
            self.postmaster().with_context(|| format!("{} does not run PostgreSQL", self.name))?;
        let is_sender = |process: &u32| {
            fs::read_to_string(format!("/proc/{process}/cmdline"))
                .is_ok_and(|line| line.contains("walsender"))
        };
        let senders: Vec<_> = children(postmaster).into_iter().filter(is_sender).collect();
        ensure!(!senders.is_empty(), "{} has no standbys", self.name);
        senders.into_iter().try_for_each(|sender| send_signal(sender, Signal::SIGSTOP))
    }

    /// Returns the main process of PostgreSQL, if it runs.
    fn postmaster(&self) -> Option<u32> {
        let file = fs::read_to_string(self.folder.join("data/postmaster.pid")).ok()?;
        let process = file.lines().next()?.trim().parse().ok()?;
        // The file may be left over.
        let command = fs::read_to_string(format!("/proc/{process}/cmdline")).ok()?;
        command.contains(self.folder.to_str()?).then_some(process)
    }

    fn wait_until_gone(&self, process: u32) -> Result<()> {
        wait::until(&format!("PostgreSQL of {} ends", self.name), TIMEOUT, || {
            ensure!(self.postmaster() != Some(process), "the process {process} runs");
            Ok(())
        })
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        drop(self.patroni.take());
        if let Some(postmaster) = self.postmaster() {
            // Immediate shutdown: it ends its processes, and removes its shared memory.
            let _ = send_signal(postmaster, Signal::SIGQUIT);
            let _ = self.wait_until_gone(postmaster);
        }
    }
}
