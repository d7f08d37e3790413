//! `cargo xtask simulate --measure`: what nodes and PostgreSQL cost each other, on this machine.

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::nodes::{Counters, Nodes};
use crate::bench::data;
use crate::bench::load::{self, Lookup};
use crate::bench::table::percentile;

/// Seconds of each load.
const SECONDS: u32 = 6;

/// Connections with writers, and writers of each.
const WRITERS: (u64, u64) = (4, 64);

/// Calls a second, so few that each wakes a core.
const FEW_CALLS: u64 = 400;

/// Polls a second of a node.
const POLLS: f64 = 20.0;

/// The query of a poll.
const POLL: &str = "SELECT revision, chain, current_setting('transaction_read_only') = 'on' FROM head;";

/// The transactions that read the latest change, and then find no further one.
const READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL statement_timeout = '20s'; \
    SET LOCAL idle_in_transaction_session_timeout = '10s';
SELECT revision, chain FROM head;
SELECT revision, id, movie, chain FROM changes WHERE revision > (SELECT revision - 1 FROM head) ORDER BY revision;
COMMIT;
BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL statement_timeout = '20s'; \
    SET LOCAL idle_in_transaction_session_timeout = '10s';
SELECT revision, chain FROM head;
COMMIT;";

/// Measures the costs, and prints a line for each.
pub(super) fn run(target: &Path) -> Result<()> {
    let movies = data::database(&target.join("bench"), 100_000)?;
    println!("| cost | measured |\n|---|---|");
    let one = Nodes::start(target, &movies, 1, Duration::ZERO)?;
    alone(&one)?;
    drop(one);
    followed(&Nodes::start(target, &movies, 2, Duration::ZERO)?)
}

fn print(what: &str, value: f64, unit: &str) {
    println!("| {what} | {value:.1} {unit} |");
}

fn idle(nodes: &Nodes) -> Result<Counters> {
    // The first writes build columns, and open files.
    nodes.write(50.0, 2)?;
    thread::sleep(Duration::from_secs(2));
    let (idle, ()) = nodes.measure(|_| {
        thread::sleep(Duration::from_secs(SECONDS.into()));
        Ok(())
    })?;
    Ok(idle)
}

/// One node: calls, polls, single writes and writes that share transactions.
fn alone(nodes: &Nodes) -> Result<()> {
    let server = &nodes.servers[0];
    for (what, streams, calls) in
        [("1,000 at a time", (10, 100), 200_000_u32), ("one after the other", (1, 1), 20_000)]
    {
        let before = server.cpu()?;
        load::calls(server.address, Lookup::Course, 0, calls.into(), streams)?;
        let cpu = (server.cpu()? - before) / f64::from(calls);
        print(&format!("CPU of a GetMovieByID, {what}"), cpu * 1e6, "µs");
    }
    let before = server.cpu()?;
    let calls = load::calls_at_rate(server.address, 0, FEW_CALLS, SECONDS.into())?;
    print("CPU of a GetMovieByID, 400 a second", (server.cpu()? - before) / calls * 1e6, "µs");
    let idle = idle(nodes)?;
    let [node, store] = [idle.nodes[0], idle.store].map(|cpu| cpu / idle.seconds);
    print("CPU of a poll, node", node / POLLS * 1e6, "µs");
    let mut poll = f64::NAN;
    for (what, script) in [("poll", POLL), ("read of new changes", READ)] {
        for (how, rate) in [("20 a second", Some(20)), ("8 at a time", None)] {
            let (load, done) = nodes.measure(|nodes| nodes.repeat(script, SECONDS, rate))?;
            let cpu = (load.store - store * load.seconds) / (done * f64::from(SECONDS));
            print(&format!("CPU of a {what}, PostgreSQL, {how}"), cpu * 1e6, "µs");
            if poll.is_nan() {
                poll = cpu;
            }
            if rate.is_none() {
                print(&format!("rate of a {what}, {how}"), done, "/s");
            }
        }
    }
    print("CPU of an idle PostgreSQL, without the polls, a second", (store - POLLS * poll) * 1e3, "ms");
    for (what, writers) in [("256 writers", WRITERS), ("one at a time", (1, 1))] {
        let (load, writes) = nodes.measure(|_| load::creates_for(server.address, SECONDS.into(), writers))?;
        let of_node = (load.nodes[0] - node * load.seconds) / writes;
        let write = (load.store - store * load.seconds) / writes;
        print(&format!("writes a second, {what}"), writes / f64::from(SECONDS), "/s");
        print(&format!("writes in a transaction, {what}"), writes / load.writing, "");
        print(&format!("time of a transaction, {what}"), f64::from(SECONDS) / load.writing * 1e3, "ms");
        print(&format!("CPU of a write, node, {what}"), of_node * 1e6, "µs");
        print(&format!("CPU of a write, PostgreSQL, {what}"), write * 1e6, "µs");
    }
    Ok(())
}

/// Two nodes: what each pays for the writes of the other.
fn followed(nodes: &Nodes) -> Result<()> {
    /// Writes a second, so that nearly each poll finds some.
    const RATE: f64 = 200.0;
    let idle = idle(nodes)?;
    let first = &nodes.servers[0];
    // The second node reads at each poll: many changes, and very many.
    let mut followers = Vec::new();
    for writers in [(1, 1), WRITERS] {
        let (load, writes) = nodes.measure(|_| load::creates_for(first.address, SECONDS.into(), writers))?;
        let cpu = load.nodes[1] - idle.nodes[1] / idle.seconds * load.seconds;
        let reads = POLLS * load.seconds;
        followers.push([cpu / reads, writes / reads]);
    }
    let [[few, changes], [many, more_changes]] = followers[..] else { anyhow::bail!("expected two loads") };
    let change = (many - few) / (more_changes - changes);
    print("CPU of a read of new changes, node", (few - change * changes) * 1e6, "µs");
    print("CPU of a change of another node, node", change * 1e6, "µs");
    let (_, (_, delays)) = nodes.measure(|nodes| nodes.write(RATE, SECONDS))?;
    for hundredths in [50, 99] {
        let delay = percentile(delays.iter().copied(), hundredths) * 1e3;
        print(
            &format!("delay of a change at another node, {RATE} writes a second, p{hundredths}"),
            delay,
            "ms",
        );
    }
    Ok(())
}
