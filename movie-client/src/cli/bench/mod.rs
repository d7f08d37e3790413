//! Benchmark of the service. The modules, in reading order:
//!
//! * [`args`]: command-line arguments.
//! * `calls`: the calls and the checks of their responses.
//! * `connections`: one connection per client, distributed over the addresses.
//! * `schedule`: times at which the calls of an open loop are due.
//! * `load`: the load generator.
//! * `statistics` and `latency`: counts and latencies.
//! * `progress` and `report`: output during and after the measurement.

pub mod args;
mod calls;
mod connections;
mod latency;
mod load;
mod progress;
mod report;
mod schedule;
mod statistics;
#[cfg(test)]
mod tests;

use std::future::pending;
use std::io;
use std::pin::pin;
use std::sync::Arc;

use anyhow::{bail, ensure};
use tracing::warn;

use self::args::Bench;
use self::calls::Workload;
use self::load::Load;
use self::report::Report;
use super::failure::Exit;
use super::output::OutputOptions;
use crate::{Client, Config};

/// Measures the service and prints a report. An interruption ends the measurement, and the report covers the time
/// before.
///
/// # Errors
///
/// [`crate::Error`] if the service is unreachable. After the report: the most frequent error if calls failed, or an
/// error if responses were wrong or missing.
pub async fn bench(
    config: &Config,
    args: &Bench,
    options: &OutputOptions,
    out: &mut impl io::Write,
) -> anyhow::Result<Exit> {
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            pending::<()>().await;
        }
    };
    bench_until(interrupted, config, args, options, out).await
}

async fn bench_until(
    interrupted: impl Future<Output = ()>,
    config: &Config,
    args: &Bench,
    options: &OutputOptions,
    out: &mut impl io::Write,
) -> anyhow::Result<Exit> {
    let mut interrupted = pin!(interrupted);
    // The interruption is polled first, which installs its signal handler.
    let load = tokio::select! {
        biased;
        () = &mut interrupted => None,
        load = prepare(config, args) => Some(load?),
    };
    let report = match load {
        Some(load) => Some(measure(Arc::new(load), args, interrupted).await?),
        None => None,
    };
    let Some(report) = report.filter(|report| !report.was_interrupted || !report.time.is_zero()) else {
        warn!("interrupted before the measurement");
        return Ok(Exit::Interrupted);
    };
    report.write(options, out)?;
    out.flush()?;
    if let Some(shortfall) = report.shortfall() {
        warn!("{shortfall}");
    }
    if report.was_interrupted {
        return Ok(Exit::Interrupted);
    }
    check_results(&report)?;
    Ok(Exit::Done)
}

async fn prepare(config: &Config, args: &Bench) -> anyhow::Result<Load> {
    let workload = Workload::prepare(&Client::connect(config)?, args.call).await?;
    Ok(Load::connect(config, args, workload).await?)
}

/// Sends the calls, until the end or an interruption.
async fn measure(
    load: Arc<Load>,
    args: &Bench,
    interrupted: impl Future<Output = ()>,
) -> anyhow::Result<Report<'_>> {
    let run = tokio::select! {
        biased;
        never = progress::show(&load) => match never {},
        run = load.run(interrupted) => run?,
    };
    let time = load.measured(run.ended);
    let drain = run.ended.saturating_duration_since(load.measure_from).saturating_sub(time);
    Ok(Report {
        args,
        addresses: load.addresses,
        time,
        drain,
        sent_per_second: report::per_second(load.sent(), load.measured(run.sent_until)),
        statistics: load.statistics(),
        was_interrupted: run.was_interrupted,
    })
}

/// Returns an error if calls failed, or responses were wrong or missing.
fn check_results(report: &Report<'_>) -> anyhow::Result<()> {
    let statistics = &report.statistics;
    let (answered, failed, wrong) = (statistics.answered, statistics.failed(), statistics.wrong);
    ensure!(wrong == 0, "{wrong} of {answered} responses were wrong: they did not have the requested movies");
    if let Some(commonest) = statistics.failures.values().max_by_key(|failures| failures.count) {
        let all = statistics.ended();
        return Err(
            anyhow::Error::new(commonest.first.clone()).context(format!("{failed} of {all} calls failed"))
        );
    }
    let unfinished = statistics.unfinished;
    ensure!(unfinished == 0, "{unfinished} calls did not end within their deadline");
    if answered == 0 {
        bail!("no call was answered during the measurement; measure for longer");
    }
    Ok(())
}
