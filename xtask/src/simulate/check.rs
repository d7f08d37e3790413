//! `cargo xtask simulate --check`: the model beside real nodes.

use std::ops::RangeInclusive;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;

use super::nodes::Nodes;
use super::system::System;
use super::{costs, number};
use crate::bench::load::{self, Lookup};
use crate::bench::server::Server;
use crate::bench::table::{median, percentile};
use crate::bench::{data, process};
use crate::http::Watch;

/// Seconds of each load.
const SECONDS: u32 = 10;

/// Time after a load until PostgreSQL has counted all transactions: a session reports at most one time a second, at the end of a
/// transaction, and the writer of a node makes one every five seconds.
const SETTLE: Duration = Duration::from_secs(6);

/// Movies of the store, and watchers.
const MOVIES: u32 = 100_000;
const WATCHERS: u32 = 20;

/// Loads: writes and calls a second, far from what the machine can do, and near it.
const LOADS: [(&str, f64, u32); 2] = [("light", 20.0, 500), ("heavy", 100.0, 60_000)];

/// The flags of a system, whose defaults are those of the command.
#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    system: System,
}

/// Starts nodes, gives them loads, and prints what was predicted beside what is measured.
pub(super) fn run(target: &Path) -> Result<()> {
    let movies = data::database(&target.join("bench"), MOVIES.into())?;
    let cores = f64::from(u32::try_from(thread::available_parallelism()?.get())?);
    let mut outside = Vec::new();
    println!("| nodes, load | figure | predicted | measured | ratio | within |\n|---|---|---|---|---|---|");
    for count in [2, 4] {
        let nodes = Nodes::start(target, &movies, count, SETTLE)?;
        let system = calibrated(&nodes, cores)?;
        for (name, writes, calls) in LOADS {
            let system = System { writes, calls: calls.into(), ..system.clone() };
            for row in compare(&nodes, &system)? {
                println!("| {count}, {name} | {}", row.line());
                if !row.is_within() {
                    outside.push(format!("{count} nodes, {name} load: {}", row.figure));
                }
            }
        }
    }
    ensure!(outside.is_empty(), "the model is wrong: {}", outside.join("; "));
    Ok(())
}

/// Returns a system with the speed of this machine and the commits of its disk, as they are now.
fn calibrated(nodes: &Nodes, cores: f64) -> Result<System> {
    const CALLS: u32 = 100_000;
    const WRITES: u32 = 300;
    let [first, ..] = nodes.servers.as_slice() else { anyhow::bail!("expected nodes") };
    let (mut calls, mut commits) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let before = first.cpu()?;
        load::calls(first.address, Lookup::Course, 0, CALLS.into(), (10, 100))?;
        calls.push((first.cpu()? - before) / f64::from(CALLS));
        let began = std::time::Instant::now();
        load::creates(first.address, WRITES.into(), (1, 1))?;
        commits.push(began.elapsed().as_secs_f64() / f64::from(WRITES));
    }
    let (speed, commit) = (costs::CALL.value / median(calls), median(commits) * 1e3);
    eprintln!("speed of a core: {}; a transaction of one write: {} ms", number(speed), number(commit));
    Ok(System {
        movies: MOVIES.into(),
        nodes: f64::from(u32::try_from(nodes.servers.len())?),
        cores,
        pages: 0.0,
        searches: 0.0,
        batches: 0.0,
        watchers: WATCHERS.into(),
        commit,
        store_cores: cores,
        machine_cores: cores,
        speed,
        ..Flags::parse_from(["simulate"]).system
    })
}

/// A predicted figure beside the measured one, and the ratios that are accepted.
struct Row {
    figure: &'static str,
    unit: &'static str,
    predicted: f64,
    measured: f64,
    band: Option<RangeInclusive<f64>>,
}

impl Row {
    fn ratio(&self) -> f64 {
        self.measured / self.predicted
    }

    fn is_within(&self) -> bool {
        self.band.as_ref().is_none_or(|band| band.contains(&self.ratio()))
    }

    fn line(&self) -> String {
        let Self { figure, unit, predicted, measured, band } = self;
        let band = band.as_ref().map_or(String::new(), |band| format!("{} to {}", band.start(), band.end()));
        let verdict = if self.is_within() { "" } else { ": NO" };
        let [predicted, measured, ratio] = [*predicted, *measured, self.ratio()].map(number);
        format!("{figure} | {predicted} {unit} | {measured} {unit} | {ratio} | {band}{verdict} |")
    }
}

/// Gives nodes the load of a system, and compares.
fn compare(nodes: &Nodes, system: &System) -> Result<[Row; 6]> {
    const CPU: RangeInclusive<f64> = 0.5..=2.0;
    let watches = nodes.servers.iter().cycle().take(WATCHERS as usize).map(|node| Watch::open(node.address));
    let watches = watches.collect::<Result<Vec<_>>>()?;
    // The first writes of a node open files and build columns.
    nodes.write(20.0, 2)?;
    let (before, ()) = nodes.measure(|_| {
        thread::sleep(Duration::from_secs(2));
        Ok(())
    })?;
    // Where other programs make the nodes wait for a core, times say nothing about the model.
    let is_quiet = before.others < system.machine_cores / 4.0;
    if !is_quiet {
        eprintln!(
            "other programs took {} cores before the load: times are not judged",
            number(before.others)
        );
    }
    let timed = |band| is_quiet.then_some(band);
    let rate = count(system.calls / system.nodes);
    // h2load sends at most 100 times a second on a connection.
    let burst = (system.calls / system.nodes / f64::from(load::RATE_CONNECTIONS) / 100.0).max(1.0);
    let (counted, (writes, delays, calls)) = nodes.measure(|nodes| {
        thread::scope(|scope| {
            let call = |node: &Server| {
                let address = node.address;
                scope.spawn(move || load::calls_at_rate(address, 0, rate, SECONDS.into()))
            };
            let calls: Vec<_> = nodes.servers.iter().map(call).collect();
            let (writes, delays) = nodes.write(system.writes, SECONDS)?;
            let calls = calls.into_iter().map(|calls| calls.join().ok().context("a load panicked")?);
            Ok((writes, delays, calls.sum::<Result<f64>>()?))
        })
    })?;
    drop(watches);
    eprintln!(
        "{} nodes: {} calls and {} writes a second; other programs, the load among them, took {} cores",
        nodes.servers.len(),
        number(calls / counted.seconds),
        number(writes / counted.seconds),
        number(counted.others)
    );
    // The generator may have been slower than the rate: the model gets what was made.
    let system = System {
        calls: calls / counted.seconds,
        writes: writes / counted.seconds,
        other_cores: counted.others,
        burst,
        ..system.clone()
    };
    let predicted = system.delays();
    let delay = |hundredths| percentile(delays.iter().copied(), hundredths) * 1e3;
    let memory = nodes.servers.iter().map(|node| process::memory(node.id(), "VmRSS:"));
    let memory = median(memory.collect::<Result<Vec<_>>>()?);
    let row = |figure, unit, predicted, measured, band| Row { figure, unit, predicted, measured, band };
    let cpu = median(counted.nodes.iter().copied()) / counted.seconds;
    let store = counted.store / counted.seconds;
    Ok([
        row("CPU of a node", "cores", system.node_cpu(), cpu, Some(CPU)),
        row("CPU of PostgreSQL", "cores", system.store_cpu(), store, Some(CPU)),
        row(
            "transactions of PostgreSQL",
            "/s",
            system.commits(),
            counted.transactions / counted.seconds,
            timed(0.9..=1.1),
        ),
        row(
            "delay of a change at another node, p50",
            "ms",
            predicted.delays[0] * 1e3,
            delay(50),
            timed(0.5..=2.0),
        ),
        row("the same, p99", "ms", predicted.delays[1] * 1e3, delay(99), None),
        row("memory of a node", "MB", system.memory_idle() / 1e6, memory, Some(0.5..=2.0)),
    ])
}

/// Converts a rate.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "is a rate of this file")]
fn count(rate: f64) -> u64 {
    rate as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_outside_its_band_is_marked() {
        let row =
            |measured| Row { figure: "CPU", unit: "cores", predicted: 1.0, measured, band: Some(0.5..=2.0) };
        assert_eq!(row(1.5).line(), "CPU | 1.00 cores | 1.50 cores | 1.50 | 0.5 to 2 |");
        assert_eq!(row(3.0).line(), "CPU | 1.00 cores | 3.00 cores | 3.00 | 0.5 to 2: NO |");
    }
}
