//! A PostgreSQL server whose files the drill copies.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::history::run;
use crate::bench::process;

/// Time for a server to start or stop.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The user `nobody`: PostgreSQL refuses to run as root.
const NOBODY: u32 = 65_534;

/// A folder of servers and of what they archive.
pub(super) struct Place {
    programs: PathBuf,
    dir: TempDir,
    is_root: bool,
}

/// A running server. It is stopped when it is dropped.
pub(super) struct Cluster<'a> {
    place: &'a Place,
    child: Child,
    port: String,
}

impl Place {
    pub(super) fn new(programs: &Path) -> Result<Self> {
        let (dir, is_root) = (tempfile::tempdir()?, fs::metadata("/proc/self")?.uid() == 0);
        let place = Self { programs: programs.to_owned(), dir, is_root };
        fs::create_dir(place.path("archive"))?;
        if is_root {
            for path in [place.dir.path(), &place.path("archive")] {
                chown(path, Some(NOBODY), Some(NOBODY))?;
            }
        }
        Ok(place)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Returns a command of PostgreSQL that runs in this folder, as the user of its files.
    pub(super) fn command(&self, program: &str) -> Command {
        self.as_user(Command::new(self.programs.join(program)))
    }

    /// Runs a command in this folder as the user of its files.
    pub(super) fn as_user(&self, mut command: Command) -> Command {
        command.current_dir(self.dir.path());
        if self.is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// Starts a server on the data in a folder, and waits until it accepts writes.
    pub(super) fn start(&self, data: &str, settings: &[&str]) -> Result<Cluster<'_>> {
        let [address] = process::free_addresses()?;
        let port = address.port().to_string();
        let mut postgres = self.command("postgres");
        postgres.args(["-D", data, "-h", "127.0.0.1", "-k", "", "-p", &port]);
        for setting in settings {
            postgres.args(["-c", setting]);
        }
        let log = fs::File::create(self.path(&format!("{data}.log")))?;
        let child = postgres.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        let cluster = Cluster { place: self, child: child.context("start PostgreSQL")?, port };
        let began = Instant::now();
        // A server that recovers accepts reads before.
        while !cluster.query("postgres", "SELECT NOT pg_is_in_recovery()").is_ok_and(|writes| writes == "t") {
            let log = || fs::read_to_string(self.path(&format!("{data}.log"))).unwrap_or_default();
            ensure!(began.elapsed() < TIMEOUT, "PostgreSQL does not accept writes\n{}", log());
            thread::sleep(Duration::from_millis(100));
        }
        Ok(cluster)
    }
}

impl Cluster<'_> {
    /// Returns the URL of a database.
    pub(super) fn url(&self, database: &str) -> String {
        format!("postgres://films@127.0.0.1:{}/{database}", self.port)
    }

    /// Returns a command of PostgreSQL with the address of this server.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = self.place.command(program);
        command.args(["-h", "127.0.0.1", "-U", "films", "-p", &self.port]);
        command
    }

    /// Returns what a query prints.
    pub(super) fn query(&self, database: &str, query: &str) -> Result<String> {
        let mut psql = self.command("psql");
        psql.args(["-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", query]);
        Ok(run(&mut psql)?.trim().to_owned())
    }
}

impl Drop for Cluster<'_> {
    fn drop(&mut self) {
        // Immediate shutdown: what is not archived is lost, as with the machine.
        let _ = Command::new("kill").args(["-QUIT", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}
