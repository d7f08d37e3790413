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

use self::model::{RESOURCES, Resource};
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

    /// Compare the model with two and four nodes on one PostgreSQL on this machine; fails if it is wrong; 90 seconds.
    #[arg(long, conflicts_with = "costs")]
    check: bool,
}

/// Prints what a system asks of each resource, or one of the options' results.
///
/// # Errors
///
/// If a program cannot be built or run, or the model differs from real nodes.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    if options.costs {
        println!("| cost | value | measured by |\n|---|---|---|");
        for cost in costs::ALL {
            println!("{}", cost.line());
        }
        return Ok(());
    }
    if !options.measure && !options.check {
        print(&options.system);
        return Ok(());
    }
    H2LOAD.require()?;
    POSTGRES.require()?;
    bench::build_programs(root)?;
    let target = crate::target(root);
    fs::create_dir_all(target.join("bench"))?;
    if options.measure { measure::run(&target) } else { check::run(&target) }
}

/// Prints a table of the resources, what is exhausted first, and latencies.
fn print(system: &System) {
    println!("| resource | demand | capacity | used | exhausted at × traffic | × movies | × nodes |");
    println!("|---|---|---|---|---|---|---|");
    let shown = |resource: &&Resource| (resource.of)(system)[1].is_finite();
    for resource in RESOURCES.iter().filter(shown) {
        let [demand, capacity] = (resource.of)(system);
        let Resource { name, unit, .. } = resource;
        let limits = AXES.map(|axis| factor(system.limit(resource, axis))).join(" | ");
        let (demanded, there) = (number(demand), number(capacity));
        println!(
            "| {name} | {demanded} {unit} | {there} {unit} | {:.1} % | {limits} |",
            demand / capacity * 100.0
        );
    }
    for axis in AXES {
        let limits =
            RESOURCES.iter().filter(shown).map(|resource| (system.limit(resource, axis), resource.name));
        let first = limits.min_by(|(one, _), (other, _)| one.total_cmp(other));
        if let Some((limit, name)) = first.filter(|(limit, _)| limit.is_finite()) {
            let axis = format!("{axis:?}").to_lowercase();
            println!(
                "\nWith more {axis}, the first to be exhausted is {name}, at {} of today's.",
                factor(limit)
            );
        }
    }
    let ms = |seconds: f64| {
        if seconds.is_finite() { format!("{} ms", number(seconds * 1e3)) } else { "no limit".into() }
    };
    let [p50, p99] = system.latency().map(ms);
    println!("\nLatency of a call: p50 {p50}, p99 {p99} (an idle service's, and the wait for its worker).");
    for (what, queue) in [("search", system.search_queue()), ("page", system.page_queue())] {
        println!(
            "Wait of a {what} for its thread: mean {}, p99 {}.",
            ms(queue.mean_wait()),
            ms(queue.wait_percentile(0.99))
        );
    }
    let [transactions, time] = system.transactions();
    println!("Transactions of the store: {} a second, of {} each.", number(transactions), ms(time));
    if system.nodes > 1.0 {
        let model::Outcome { polls, delays: [p50, p99] } = system.delays();
        println!("Polls that the store serves: {} a second (simulated).", number(polls));
        println!("Delay of a change at another node: p50 {}, p99 {} (simulated).", ms(p50), ms(p99));
    }
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
    if factor.is_finite() { format!("{} ×", number(factor)) } else { "never".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        assert_eq!([1234.5, 12.34, 1.234, 0.1234].map(number), ["1234", "12.3", "1.23", "0.123"]);
        assert_eq!([f64::INFINITY, 3.0].map(factor), ["never", "3.00 ×"]);
    }
}
