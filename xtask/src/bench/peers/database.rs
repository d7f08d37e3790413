//! A PostgreSQL server under measurement, with data of its own.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::bench::process;
use crate::postgres::{Server, ServerFolder};
use crate::program;

/// Time limit of a command.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A server. It is stopped when it is dropped.
pub(crate) struct Postgres(Server);

impl Postgres {
    /// Starts a server with new data and the default configuration.
    pub(crate) fn start() -> Result<Self> {
        let folder = Arc::new(ServerFolder::new()?);
        folder.initialise("data")?;
        Ok(Self(Server::start(&folder, "data", &[])?))
    }

    /// Creates a database, and returns its URL.
    pub(crate) fn create(&self, database: &str) -> Result<String> {
        self.0.query("postgres", &format!("CREATE DATABASE {database}"))?;
        Ok(self.0.url(database))
    }

    /// Returns a command that executes one command of psql.
    pub(crate) fn psql(&self, database: &str, command: &str) -> Command {
        self.0.psql(database, command)
    }

    /// Executes a script of SQL again and again for some seconds, over 8 connections or at a rate, and returns how often a second.
    pub(crate) fn repeat(&self, database: &str, query: &str, seconds: u32, rate: Option<u32>) -> Result<f64> {
        let script = tempfile::NamedTempFile::new()?;
        fs::write(script.path(), query)?;
        let mut pgbench = self.0.client("pgbench");
        pgbench.arg("-n");
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
        Ok(self.0.query(database, query)?.parse()?)
    }

    /// Returns the CPU time of the server, with its processes that run, in seconds.
    pub(crate) fn cpu_now(&self) -> Result<f64> {
        process::cpu_of_tree(self.0.id())
    }

    /// Returns the CPU time of the server's main process and of its child processes that have ended, in seconds.
    pub(crate) fn cpu(&self) -> Result<f64> {
        // A process of the server ends after its client.
        thread::sleep(Duration::from_millis(500));
        process::cpu_of_family(self.0.id())
    }
}
