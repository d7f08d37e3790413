//! Two nodes of the service on one PostgreSQL database.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use super::TIMEOUT;
use super::proxy::Addresses;
use crate::bench::peers::Postgres;
use crate::build::Build;
use crate::deploy::films;
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
        films::import(build, &url)?;
        let service = build.service();
        let store = Store { server: Some(server), url, service: service.clone() };
        let mut nodes = Self { running: [None, None], service, addresses, store };
        for index in [0, 1] {
            nodes.start_one(index)?;
        }
        Ok(nodes)
    }

    fn start_one(&mut self, index: usize) -> Result<()> {
        let Addresses { proxies, nodes, metrics, .. } = &self.addresses;
        let mut command = films::node(&self.service, &self.store.url, nodes[index], metrics[index]);
        command.args(["--pause", "2s"]);
        for proxy in proxies {
            command.args(["--web-origin", &origin(*proxy)]);
        }
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
        self.kill_one_during(|| {
            thread::sleep(NOTICE_TIME);
            Ok(())
        })
    }

    /// Kills the node that [`Self::suspend_one`] suspends, does something, and starts it.
    pub(super) fn kill_one_during(&mut self, meanwhile: impl FnOnce() -> Result<()>) -> Result<()> {
        // A service that is dropped is killed.
        drop(self.running[0].take());
        let done = meanwhile();
        self.start_one(0)?;
        thread::sleep(NOTICE_TIME);
        done
    }

    /// Suspends a node: the system still takes connections and requests for it.
    pub(super) fn suspend_one(&self) -> Result<()> {
        let node = self.running[0].as_ref().context("the node does not run")?;
        node.signal(Signal::SIGSTOP)
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
        let titles = films::fields(&exported, "title")?.into_iter();
        Ok(titles.filter(|title| title.starts_with(prefix)).collect())
    }
}

/// Returns the origin of the page behind a proxy.
pub(super) fn origin(proxy: SocketAddr) -> String {
    format!("https://localhost:{}", proxy.port())
}
