//! Two nodes of the service on one PostgreSQL cluster.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::bench::process;
use crate::build::Build;
use crate::deploy::films;
use crate::program::{self, Program};
use crate::service::Service;
use crate::{http, wait};

/// Time for a command that makes no load.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Both nodes.
pub(super) struct Nodes {
    services: Vec<Service>,
    client: PathBuf,
    pub(super) addresses: [SocketAddr; 2],
    metrics: [SocketAddr; 2],
}

/// Watches of both nodes.
pub(super) struct Watches(Vec<Program>);

impl Nodes {
    /// Imports the films into a new database, and starts both nodes.
    pub(super) fn start(build: &Build, url: &str) -> Result<Self> {
        films::import(build, url)?;
        let [a, b, c, d] = process::free_addresses()?;
        let (addresses, metrics) = ([a, b], [c, d]);
        let mut services = Vec::new();
        for (address, metrics) in addresses.iter().zip(metrics) {
            let mut command = films::node(&build.service(), url, *address, metrics);
            services.push(Service::start(&mut command)?);
        }
        Ok(Self { services, client: build.client(), addresses, metrics })
    }

    /// Starts a watch of each node.
    pub(super) fn watch(&self) -> Result<Watches> {
        let watch = |address: &SocketAddr| {
            let watch = Program::start(self.client(*address).args(["--output", "ndjson", "watch"]))?;
            // The first line says that the watch has begun.
            watch.line(TIMEOUT)?.context("a watch does not begin")?;
            Ok(watch)
        };
        Ok(Watches(self.addresses.iter().map(watch).collect::<Result<_>>()?))
    }

    /// Waits until both nodes have the same revision and the store takes writes, compares all movies, and returns their ids.
    pub(super) fn agree(&self, limit: Duration) -> Result<BTreeSet<String>> {
        wait::until("both nodes have the same revision", limit, || {
            let [one, two] = self.addresses.map(|address| http::exchange(address, "GET /v1/catalog", ""));
            let ((_, one), (_, two)) = (one?, two?);
            ensure!(one == two, "the nodes differ:\n{one}\n{two}");
            Ok(())
        })?;
        let export = |address| program::run(self.client(address).arg("export"), TIMEOUT);
        let [one, two] = self.addresses.map(export);
        let (one, two) = (one?, two?);
        ensure!(one == two, "the nodes have the same revision and other movies");
        Ok(films::fields(&one, "id")?.into_iter().collect())
    }

    /// Returns how often the nodes have reloaded all movies because the store had another history.
    pub(super) fn reloads(&self) -> Result<u64> {
        let mut sum = 0;
        for metrics in self.metrics {
            let page = http::get(metrics, "/metrics")?;
            let name = "movie_service_store_reloads_total{reason=\"history_changed\"} ";
            let value = page.lines().find_map(|line| line.strip_prefix(name));
            sum += value.map_or(Ok(0), str::parse)?;
        }
        Ok(sum)
    }

    /// Stops both nodes, which must not have panicked.
    pub(super) fn stop(self) -> Result<()> {
        self.services.into_iter().try_for_each(|service| service.stop().map(drop))
    }

    fn client(&self, address: SocketAddr) -> Command {
        let mut client = Command::new(&self.client);
        client.args(["--address", &address.to_string()]);
        client
    }
}

impl Watches {
    /// Checks that each watch had each revision once, and says how they ended.
    pub(super) fn end(self) -> Result<String> {
        let mut ends = Vec::new();
        for watch in self.0 {
            let mut last = None;
            // What has come is there already.
            while let Ok(Some(line)) = watch.line(Duration::from_millis(500)) {
                let line: Value = serde_json::from_str(&line)?;
                let revision = line["revision"].as_u64().context("a change without a revision")?;
                ensure!(
                    last.is_none_or(|last| revision == last + 1),
                    "a watch has {revision} after {last:?}"
                );
                last = Some(revision);
            }
            ends.push(watch);
        }
        ends.iter().try_for_each(|watch| watch.signal(Signal::SIGINT))?;
        let mut words = Vec::new();
        for watch in ends {
            let output = watch.finish(TIMEOUT)?;
            words.push(match output.status.code() {
                // Interrupted by this test.
                Some(130) => "go on".to_owned(),
                _ => format!(
                    "end with {}: {}",
                    output.status,
                    output.stderr.lines().next().unwrap_or_default()
                ),
            });
        }
        words.dedup();
        Ok(words.join(", "))
    }
}
