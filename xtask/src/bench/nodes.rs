//! `cargo xtask bench nodes`: durable writes of two nodes on one PostgreSQL, beside those of one node.
//!
//! Rates are of wall-clock time, because the nodes wait for one another. Both sides take turns, so that what else the machine does
//! hits both.

use std::path::Path;
use std::thread;

use anyhow::{Result, ensure};

use super::load;
use super::peers::{POSTGRES, Postgres};
use super::server::{Kind, Server};
use super::table::{Bar, median};
use super::{Bench, Rounds};

/// Connections with writers to each node, and writers of each connection.
const WRITERS: (u64, u64) = (4, 64);

/// Seconds of writes that do not count.
const WARM_UP_SECONDS: u64 = 2;
/// Seconds of writes that count.
const MEASURED_SECONDS: u64 = 10;

/// Runs the part, and prints a table.
pub(super) fn run(root: &Path, rounds: Rounds) -> Result<()> {
    POSTGRES.require()?;
    let mut bench = Bench::new(root, rounds)?;
    bench.nodes(&Postgres::start()?)?;
    bench.table.print(["two nodes", "peer"]);
    Ok(())
}

/// What nodes that run at the same time did.
struct Outcome {
    /// Durable writes a second of each node.
    rates: Vec<f64>,
    commits: f64,
    retries: f64,
}

impl Outcome {
    fn total(&self) -> f64 {
        self.rates.iter().sum()
    }

    /// Returns the rates of the slowest node and of the fastest.
    fn extremes(&self) -> [f64; 2] {
        let rates = || self.rates.iter().copied();
        [rates().fold(f64::INFINITY, f64::min), rates().fold(0.0, f64::max)]
    }

    /// Returns the transactions that were tried again, of a hundred that were committed.
    fn retried(&self) -> f64 {
        self.retries * 100.0 / self.commits
    }
}

impl Bench {
    fn nodes(&mut self, postgres: &Postgres) -> Result<()> {
        let url = postgres.create("nodes")?;
        let (mut rates, mut fairness) = (Vec::new(), Vec::new());
        let (mut retried, mut changes) = (Vec::new(), Vec::new());
        for round in 0..self.rounds {
            let mut outcomes = Vec::new();
            for nodes in if round % 2 == 0 { [1, 2] } else { [2, 1] } {
                outcomes.push((nodes, self.write(postgres, &url, nodes)?));
            }
            outcomes.sort_by_key(|(nodes, _)| *nodes);
            let [(_, one), (_, two)] = outcomes.as_slice() else { anyhow::bail!("expected two outcomes") };
            rates.push([two.total(), one.total()]);
            fairness.push(two.extremes());
            retried.push(two.retried());
            changes.push([two, one].map(|outcome| {
                let seconds = f64::from(u32::try_from(MEASURED_SECONDS).unwrap_or(u32::MAX));
                outcome.total() * seconds / outcome.commits
            }));
        }
        let table = &mut self.table;
        let figure = "durable writes a second, two nodes with 256 writers each";
        table.row(figure, "/s", &rates, Bar::MinRatio(1.0), "one node: ");
        table.row("of these, by the slower node", "/s", &fairness, Bar::None, "the faster node: ");
        table.row("writes in a transaction", "", &changes, Bar::None, "one node: ");
        let figure = "transactions that two nodes tried again, of 100";
        table.single(figure, "", median(retried), Bar::None);
        Ok(())
    }

    /// Starts nodes, writes to all of them at the same time, and checks that each acknowledged write is in the database.
    fn write(&self, postgres: &Postgres, url: &str, count: usize) -> Result<Outcome> {
        let nodes = (0..count).map(|_| Server::start(&self.target, Kind::Metered, url));
        let nodes = nodes.collect::<Result<Vec<_>>>()?;
        each(&nodes, |node| load::creates_for(node.address, WARM_UP_SECONDS, WRITERS))?;
        let movies = || postgres.number("nodes", "SELECT count(*) FROM movies");
        let (rows, before) = (movies()?, Metrics::of(&nodes)?);
        let written = each(&nodes, |node| load::creates_for(node.address, MEASURED_SECONDS, WRITERS))?;
        let after = Metrics::of(&nodes)?;
        let (rows, acknowledged) = (movies()? - rows, written.iter().sum::<f64>());
        ensure!(rows >= acknowledged, "{acknowledged} writes were acknowledged, {rows} are stored");
        let seconds = f64::from(u32::try_from(MEASURED_SECONDS)?);
        Ok(Outcome {
            rates: written.iter().map(|written| written / seconds).collect(),
            commits: after.commits - before.commits,
            retries: after.retries - before.retries,
        })
    }
}

/// Does something with all nodes at the same time.
fn each<T: Send>(nodes: &[Server], work: impl Fn(&Server) -> Result<T> + Sync) -> Result<Vec<T>> {
    thread::scope(|scope| {
        let threads: Vec<_> = nodes.iter().map(|node| scope.spawn(|| work(node))).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, Result<T>>| {
            thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a thread of the load panicked")))
        };
        threads.into_iter().map(join).collect()
    })
}

/// Sums of the counters of nodes.
struct Metrics {
    commits: f64,
    retries: f64,
}

impl Metrics {
    fn of(nodes: &[Server]) -> Result<Self> {
        let mut sums = Self { commits: 0.0, retries: 0.0 };
        for node in nodes {
            let page = node.metrics()?;
            sums.commits += value(&page, "movie_service_store_commit_changes_count");
            sums.retries += value(&page, "movie_service_store_retries_total");
        }
        Ok(sums)
    }
}

/// Returns the value of a metric without labels; 0 if the page does not have it.
fn value(page: &str, name: &str) -> f64 {
    let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_read_by_its_whole_name() {
        let page = "# TYPE retries_total counter\nretries_total_of_others 3\nretries_total 17\n";
        assert!((value(page, "retries_total") - 17.0).abs() < f64::EPSILON);
        assert!(value(page, "commits").abs() < f64::EPSILON);
    }

    #[test]
    fn retries_are_a_share_of_the_committed_transactions() {
        let outcome = Outcome { rates: vec![30.0, 10.0], commits: 200.0, retries: 5.0 };
        assert!((outcome.retried() - 2.5).abs() < f64::EPSILON);
        assert_eq!(outcome.extremes().map(|rate| rate.to_string()), ["10", "30"]);
    }
}
