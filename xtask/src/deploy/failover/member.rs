//! A PostgreSQL server that Patroni runs.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::program::Program;

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
        signal("KILL", &processes)?;
        self.wait_until_gone(postmaster)
    }

    /// Suspends the processes that send to standbys.
    pub(super) fn hold_replication(&self) -> Result<()> {
        let postmaster =
            self.postmaster().with_context(|| format!("{} does not run PostgreSQL", self.name))?;
        let is_sender = |process: &u32| {
            fs::read_to_string(format!("/proc/{process}/cmdline"))
                .is_ok_and(|line| line.contains("walsender"))
        };
        let senders: Vec<_> = children(postmaster).into_iter().filter(is_sender).collect();
        ensure!(!senders.is_empty(), "{} has no standbys", self.name);
        signal("STOP", &senders)
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
        let began = Instant::now();
        while self.postmaster() == Some(process) {
            ensure!(began.elapsed() < TIMEOUT, "PostgreSQL of {} does not end", self.name);
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        drop(self.patroni.take());
        if let Some(postmaster) = self.postmaster() {
            // Immediate shutdown: it ends its processes, and removes its shared memory.
            let _ = signal("QUIT", &[postmaster]);
            let _ = self.wait_until_gone(postmaster);
        }
    }
}

/// Sends a signal to processes, some of which may have ended.
fn signal(name: &str, processes: &[u32]) -> Result<()> {
    let mut kill = Command::new("sh");
    kill.args(["-c", &format!("kill -{name} \"$@\""), "sh"]).args(processes.iter().map(u32::to_string));
    kill.stderr(Stdio::null()).status().with_context(|| format!("start {kill:?}"))?;
    Ok(())
}

/// Returns the processes that a process has started.
fn children(process: u32) -> Vec<u32> {
    let folders = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = folders.filter_map(|folder| folder.file_name().to_str()?.parse().ok());
    // After the name, which is in parentheses: the state, then the parent.
    let parent = |child: u32| {
        let stat = fs::read_to_string(format!("/proc/{child}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse::<u32>().ok()
    };
    processes.filter(|child| parent(*child) == Some(process)).collect()
}
