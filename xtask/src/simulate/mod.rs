//! `cargo xtask simulate`: what breaks first as the service grows, computed from measured costs.
//!
//! `--check` compares the model with real nodes, and `--measure` measures the costs of nodes and PostgreSQL.

mod check;
mod costs;
mod events;
mod measure;
mod model;
mod nodes;
mod queue;
mod system;

use std::fs;
use std::path::Path;

use anyhow::Result;
use clap::Args;

use self::model::{NO_GROWTH, RESOURCES, Resource};
use self::system::{AXES, System};
use crate::bench;
use crate::bench::peers::{H2LOAD, POSTGRES};

/// What to simulate.
#[derive(Args, Clone, Debug)]
pub struct Options {
    #[command(flatten)]
    system: System,

    /// Print the measured costs that the model uses.
    #[arg(long)]
    costs: bool,

    /// Measure the costs of nodes and PostgreSQL on this machine; 90 seconds.
    #[arg(long, conflicts_with_all = ["costs", "check"])]
    measure: bool,

    /// Compare the model with two and four nodes on one PostgreSQL on this machine; fails if it is wrong; three minutes.
    #[arg(long, conflicts_with = "costs")]
    check: bool,
}

/// Prints what a system asks of each resource, or one of the options' results.
///
/// # Errors
///
/// If a program cannot be built or run, or the model differs from real nodes.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    if let Some(report) = report(options) {
        print!("{report}");
        return Ok(());
    }
    H2LOAD.require()?;
    POSTGRES.require()?;
    bench::build_programs(root)?;
    let target = crate::target(root);
    fs::create_dir_all(target.join("bench"))?;
    if options.measure { measure::run(&target) } else { check::run(&target) }
}

/// Returns what the command prints, unless it measures. It is the same on every machine.
#[must_use]
pub fn report(options: &Options) -> Option<String> {
    if options.measure || options.check {
        return None;
    }
    let lines = if options.costs {
        let head = ["| cost | value | measured by |", "|---|---|---|"].map(str::to_owned);
        head.into_iter().chain(costs::ALL.iter().map(costs::Cost::line)).collect()
    } else {
        [resources(&options.system), delays(&options.system)].concat()
    };
    Some(lines.join("\n") + "\n")
}

/// Returns a table of the resources, and what is exhausted first.
fn resources(system: &System) -> Vec<String> {
    let mut lines = vec![
        "| resource | demand | capacity | used | traffic | movies | nodes |".to_owned(),
        "|---|---|---|---|---|---|---|".to_owned(),
    ];
    let shown = |resource: &&Resource| (resource.demand_and_capacity)(system)[1].is_finite();
    for resource in RESOURCES.iter().filter(shown) {
        let [demand, capacity] = (resource.demand_and_capacity)(system);
        let limits = AXES.map(|axis| factor(system.limit(resource, axis))).join(" | ");
        let used = number(demand / capacity * 100.0);
        let [demand, capacity] =
            [demand, capacity].map(|value| format!("{} {}", number(value), resource.unit));
        let cells = [resource.name, demand.trim(), capacity.trim(), &format!("{used} %"), &limits];
        lines.push(format!("| {} |", cells.join(" | ")));
    }
    for axis in AXES {
        let limits =
            RESOURCES.iter().filter(shown).map(|resource| (system.limit(resource, axis), resource.name));
        let first = limits.min_by(|(one, _), (other, _)| one.total_cmp(other));
        if let Some((limit, name)) = first.filter(|(limit, _)| limit.is_finite() && *limit > NO_GROWTH) {
            let axis = format!("{axis:?}").to_lowercase();
            lines.push(format!("{axis} × {}: {name} is the first to be exhausted", number(limit)));
        }
    }
    lines
}

/// Returns latencies, and the delay of a change.
fn delays(system: &System) -> Vec<String> {
    let ms = |seconds: f64| {
        if seconds.is_finite() { format!("{} ms", number(seconds * 1e3)) } else { "endless".into() }
    };
    let [p50, p99] = system.latency().map(ms);
    let mut lines = vec![format!("latency of a call: p50 {p50}, p99 {p99}")];
    for (what, queue) in [("search", system.search_queue()), ("page", system.page_queue())] {
        let [mean, p99] = [queue.mean_wait(), queue.wait_percentile(0.99)].map(ms);
        lines.push(format!("wait of a {what} for a thread: mean {mean}, p99 {p99}"));
    }
    let [transactions, time] = system.transactions();
    lines.push(format!("transactions of the store: {} a second, of {}", number(transactions), ms(time)));
    if system.nodes > 1.0 {
        let model::Outcome { polls, delays: [p50, p99] } = system.delays();
        lines.push(format!("polls that the store serves, simulated: {} a second", number(polls)));
        let [p50, p99] = [p50, p99].map(ms);
        lines.push(format!("delay of a change at another node, simulated: p50 {p50}, p99 {p99}"));
    }
    lines
}

/// Formats a number with three digits or more.
fn number(value: f64) -> String {
    let places = match value {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    format!("{value:.places$}")
}

/// Formats a factor of growth.
fn factor(factor: f64) -> String {
    match factor {
        // This axis does not help: the resource is exhausted without it.
        ..NO_GROWTH => "full".to_owned(),
        _ if factor.is_finite() => format!("× {}", number(factor)),
        _ => "–".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_names_what_is_exhausted_first() {
        let flags = ["simulate", "--nodes", "4", "--machine-cores", "2"];
        let matches = Options::augment_args(clap::Command::new("simulate")).get_matches_from(flags);
        let report = report(&<Options as clap::FromArgMatches>::from_arg_matches(&matches).unwrap()).unwrap();
        assert!(
            report.contains("\nnodes × 12.1: store: connections is the first to be exhausted\n"),
            "{report}"
        );
        assert!(report.contains("| machine: CPU of all programs |"), "{report}");
    }

    #[test]
    fn numbers_have_three_digits() {
        assert_eq!([1234.5, 12.34, 1.234, 0.1234].map(number), ["1234", "12.3", "1.23", "0.123"]);
        assert_eq!([f64::INFINITY, 3.0, 1e-6].map(factor), ["–", "× 3.00", "full"]);
    }
}
