//! Two services through failovers of Patroni; only on request, because it takes some minutes.
//!
//! Three members run with the example `deploy/postgres/patroni.yaml`, on one etcd. Both services name all three in their URL. Reads,
//! writes and watches go on while the primary is switched, killed, and comes back: with synchronous replication, of which nothing
//! may be lost, and without.

mod cluster;
mod load;
mod member;
mod nodes;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use self::cluster::Cluster;
use self::load::Load;
use self::nodes::Nodes;
use super::Outcome;
use super::venv;
use crate::bench::peers::POSTGRES;
use crate::build::{self, Build};
use crate::postgres;

/// Load before and after a failover.
const MARGIN: Duration = Duration::from_secs(2);

/// Time for writes to be acknowledged again, and for members to follow.
const TIMEOUT: Duration = Duration::from_secs(90);

/// Tests this part.
///
/// # Errors
///
/// If a program does not start, a read fails, or more is lost than may be.
pub(super) fn test(build: &Build) -> Result<Outcome> {
    if let Err(missing) = build::programs([("etcd", "etcd-server")]).and_then(|_| POSTGRES.require()) {
        return Ok(Outcome::Skipped(missing.to_string()));
    }
    if let Some(missing) = venv::missing() {
        return Ok(Outcome::Skipped(missing));
    }
    let mut cluster = Cluster::start(build, &postgres::programs()?)?;
    let nodes = Nodes::start(build, &cluster.url()?)?;

    let planned = observe(&nodes, || cluster.switch_over())?;
    println!("failover, synchronous: switchover: {planned}");
    cluster.wait_until_synchronous()?;
    let mut killed = 0;
    let crash = observe(&nodes, || cluster.kill_primary().map(|index| killed = index))?;
    println!("failover, synchronous: primary killed: {crash}");
    let back = observe(&nodes, || cluster.bring_back(killed))?;
    println!("failover, synchronous: former primary back as a standby: {back}");
    // A reload is possible also here: while there is no primary, a node may follow the asynchronous standby, which may lack commits.
    // Once it has lacked them for some seconds, they count as lost, until the new primary is there.
    for report in [&planned, &crash, &back] {
        ensure!(report.lost == 0, "acknowledged writes were lost with synchronous replication");
    }

    cluster.make_asynchronous()?;
    let crash = observe(&nodes, || {
        cluster.hold_replication()?;
        // Acknowledged, and on no standby.
        std::thread::sleep(MARGIN);
        cluster.kill_primary().map(|index| killed = index)
    })?;
    println!("failover, asynchronous: primary killed, with two seconds of writes on no standby: {crash}");
    ensure!(crash.lost > 0, "nothing was lost, so nothing is shown");
    ensure!(crash.reloads >= 2, "not both nodes saw the other history");
    let back = observe(&nodes, || cluster.bring_back(killed))?;
    println!("failover, asynchronous: former primary back as a standby: {back}");
    ensure!(back.lost == 0, "a standby that comes back loses writes");
    nodes.stop()?;
    Ok(Outcome::Passed)
}

/// What reads and writes through both nodes saw of a failover.
struct Report {
    load: load::Summary,
    /// Acknowledged writes that are not in the store.
    lost: usize,
    /// Reloads of all movies of both nodes, because the history is another one.
    reloads: u64,
    /// How the watches ended, if they did.
    watches: String,
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { load, lost, reloads, watches } = self;
        write!(f, "{load}; {lost} acknowledged writes lost; {reloads} reloads; watches {watches}")
    }
}

/// Reads and writes while `event` happens, and until writes are acknowledged again. Then compares both nodes.
fn observe(nodes: &Nodes, event: impl FnOnce() -> Result<()>) -> Result<Report> {
    let reloads = nodes.reloads()?;
    let watches = nodes.watch()?;
    let load = Load::start(nodes);
    std::thread::sleep(MARGIN);
    let began = Instant::now();
    let done = event();
    let resumed = done.and_then(|()| load.wait_for_writes(TIMEOUT));
    std::thread::sleep(MARGIN);
    let stopped = load.stop(began);
    resumed?;
    let (summary, acknowledged) = stopped?;
    ensure!(summary.failed_reads == 0, "{} reads failed", summary.failed_reads);
    let stored = nodes.agree(TIMEOUT)?;
    let lost = acknowledged.iter().filter(|id| !stored.contains(*id)).count();
    Ok(Report { load: summary, lost, reloads: nodes.reloads()? - reloads, watches: watches.end()? })
}
