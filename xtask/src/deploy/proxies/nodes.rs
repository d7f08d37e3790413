//! Two nodes of the service on one PostgreSQL database.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::TIMEOUT;
use super::proxy::Addresses;
use crate::bench::peers::Postgres;
use crate::build::Build;
use crate::program::{self, Program};
use crate::service::Service;

/// What a node needs to be known as running by all proxies again: two checks, or a second after a failed connection.
pub(super) const NOTICE_TIME: Duration = Duration::from_millis(1_500);

const DATABASE: &str = "films";

/// Two nodes, and their database.
pub(super) struct Nodes {
    running: [Option<Service>; 2],
    service: PathBuf,
    pub(super) addresses: Addresses,
    pub(super) store: Store,
}

/// The database of the nodes.
pub(super) struct Store {
    server: Option<Postgres>,
    url: String,
    service: PathBuf,
}

impl Nodes {
    /// Starts a database server with the films, and both nodes.
    pub(super) fn start(build: &Build, addresses: Addresses) -> Result<Self> {
        let server = Postgres::start()?;
        let url = server.create(DATABASE)?;
        let films = build.root.join("databases/films.json");
        let service = build.service();
        let mut import = Command::new(&service);
        program::run(import.arg("import").arg(&films).args(["--database", &url]), TIMEOUT)?;
        let store = Store { server: Some(server), url, service: service.clone() };
        let mut nodes = Self { running: [None, None], service, addresses, store };
        for index in [0, 1] {
            nodes.start_one(index)?;
        }
        Ok(nodes)
    }

    fn start_one(&mut self, index: usize) -> Result<()> {
        let Addresses { proxies, nodes, metrics, .. } = &self.addresses;
        let mut command = Command::new(&self.service);
        command.args(["--listen", &nodes[index].to_string(), "--metrics", &metrics[index].to_string()]);
        command.args(["--database", &self.store.url, "--allow-anonymous-writes", "--pause", "2s", "--quiet"]);
        for proxy in proxies {
            command.args(["--web-origin", &origin(*proxy)]);
        }
        command.args(["--log-format", "text"]);
        self.running[index] = Some(Service::start(&mut command)?);
        Ok(())
    }

    /// Stops and starts one node, then the other.
    pub(super) fn restart_each(&mut self) -> Result<()> {
        for index in [0, 1] {
            self.running[index].take().context("the node does not run")?.stop()?;
            self.start_one(index)?;
            thread::sleep(NOTICE_TIME);
        }
        Ok(())
    }

    /// Kills a node, waits, and starts it.
    pub(super) fn kill_one(&mut self) -> Result<()> {
        // A service that is dropped is killed.
        drop(self.running[0].take());
        thread::sleep(NOTICE_TIME);
        self.start_one(0)?;
        thread::sleep(NOTICE_TIME);
        Ok(())
    }

    /// Stops the database server.
    pub(super) fn stop_store(&mut self) {
        drop(self.store.server.take());
    }
}

impl Store {
    /// Lets all writes wait for some seconds. Reads, and the nodes' looks at the database, go on.
    pub(super) fn hold_writes(&self) -> Result<Program> {
        let server = self.server.as_ref().context("the database server does not run")?;
        // Each write changes this row. Both commands are one transaction.
        let hold = "SELECT revision FROM head FOR UPDATE; SELECT pg_sleep(4)";
        let hold = Program::start(&mut server.psql(DATABASE, hold))?;
        thread::sleep(Duration::from_millis(300));
        Ok(hold)
    }

    /// Returns the revision of the store: the number of changes since it was created.
    pub(super) fn revision(&self) -> Result<u64> {
        let server = self.server.as_ref().context("the database server does not run")?;
        let revision = program::run(server.psql(DATABASE, "SELECT revision FROM head").arg("-At"), TIMEOUT)?;
        Ok(revision.trim().parse()?)
    }

    /// Returns the titles of all movies that begin with `prefix`.
    pub(super) fn titles(&self, prefix: &str) -> Result<Vec<String>> {
        let mut export = Command::new(&self.service);
        let exported = program::run(export.args(["export", "--database", &self.url]), TIMEOUT)?;
        let database: Value = serde_json::from_str(&exported).context("read an exported database")?;
        let movies = database["movies"].as_array().context("the exported database has no movies")?;
        let titles = movies.iter().filter_map(|movie| movie["title"].as_str());
        Ok(titles.filter(|title| title.starts_with(prefix)).map(str::to_owned).collect())
    }
}

/// Returns the origin of the page behind a proxy.
pub(super) fn origin(proxy: SocketAddr) -> String {
    format!("https://localhost:{}", proxy.port())
}
