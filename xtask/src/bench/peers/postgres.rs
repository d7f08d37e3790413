//! A PostgreSQL server under measurement, with data of its own.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::bench::process;
use crate::program;

/// Time limit of a command.
const TIMEOUT: Duration = Duration::from_mins(1);

/// The user `nobody`: PostgreSQL refuses to run as root.
const NOBODY: u32 = 65_534;

/// A server. It is stopped when it is dropped.
pub(crate) struct Postgres {
    programs: PathBuf,
    child: Child,
    dir: TempDir,
    port: u16,
}

impl Postgres {
    /// Starts a server with new data and the default configuration.
    pub(crate) fn start() -> Result<Self> {
        let programs = super::postgres_programs()?;
        let dir = tempfile::tempdir()?;
        let is_root = fs::metadata("/proc/self").is_ok_and(|process| {
            use std::os::unix::fs::MetadataExt;
            process.uid() == 0
        });
        if is_root {
            std::os::unix::fs::chown(dir.path(), Some(NOBODY), Some(NOBODY))?;
        }
        let command = |name: &str| {
            let mut command = Command::new(programs.join(name));
            command.current_dir(dir.path());
            if is_root {
                command.uid(NOBODY).gid(NOBODY);
            }
            command
        };
        let mut initdb = command("initdb");
        initdb.args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--username=bench", "data"]);
        program::run(&mut initdb, TIMEOUT)?;
        let [address] = process::free_addresses()?;
        let port = address.port();
        let mut postgres = command("postgres");
        postgres.args(["-D", "data", "-h", "127.0.0.1", "-k", "", "-p", &port.to_string()]);
        let child = postgres.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let server = Self { programs, child, dir, port };
        let began = Instant::now();
        while program::run(&mut server.psql("postgres", "SELECT 1"), TIMEOUT).is_err() {
            ensure!(began.elapsed() < TIMEOUT, "PostgreSQL does not accept connections");
            thread::sleep(Duration::from_millis(100));
        }
        Ok(server)
    }

    /// Creates a database, and returns its URL.
    pub(crate) fn create(&self, database: &str) -> Result<String> {
        program::run(&mut self.psql("postgres", &format!("CREATE DATABASE {database}")), TIMEOUT)?;
        Ok(format!("postgres://bench@127.0.0.1:{}/{database}", self.port))
    }

    /// Returns a command that executes one command of psql.
    pub(crate) fn psql(&self, database: &str, command: &str) -> Command {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "bench"]);
        psql.args(["-p", &self.port.to_string(), "-d", database, "-c", command]);
        psql
    }

    /// Executes a script of SQL again and again for some seconds, over 8 connections or at a rate, and returns how often a second.
    pub(crate) fn repeat(&self, database: &str, query: &str, seconds: u32, rate: Option<u32>) -> Result<f64> {
        let script = tempfile::NamedTempFile::new()?;
        fs::write(script.path(), query)?;
        let mut pgbench = Command::new(self.programs.join("pgbench"));
        pgbench.args(["-n", "-h", "127.0.0.1", "-U", "bench", "-p", &self.port.to_string()]);
        match rate {
            Some(rate) => pgbench.args(["-R", &rate.to_string()]),
            None => pgbench.args(["-c", "8"]),
        };
        pgbench.args(["-T", &seconds.to_string(), "-f"]);
        let printed = program::run(pgbench.arg(script.path()).arg(database), TIMEOUT)?;
        let rate = printed.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next());
        Ok(rate.with_context(|| format!("pgbench printed no rate:\n{printed}"))?.parse()?)
    }

    /// Returns the number that a query of a database results in.
    pub(crate) fn number(&self, database: &str, query: &str) -> Result<f64> {
        let printed = program::run(self.psql(database, query).arg("-At"), TIMEOUT)?;
        Ok(printed.trim().parse()?)
    }

    /// Returns the CPU time of the server, with its processes that run, in seconds.
    pub(crate) fn cpu_now(&self) -> Result<f64> {
        process::cpu_of_tree(self.child.id())
    }

    /// Returns the CPU time of the server's main process and of its child processes that have ended, in seconds.
    pub(crate) fn cpu(&self) -> Result<f64> {
        // A process of the server ends after its client.
        thread::sleep(Duration::from_millis(500));
        process::cpu_of_family(self.child.id())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Immediate shutdown; the standard library can only kill, which leaves shared memory behind.
        let _ = Command::new("kill").args(["-QUIT", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
        let _ = &self.dir;
    }
}
