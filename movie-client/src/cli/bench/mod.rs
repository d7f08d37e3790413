//! Measures what the service can bear. In reading order:
//!
//! * [`args`] — what can be said on the command line;
//! * `calls` — what is asked, and whether an answer is right;
//! * `connections` — to each address in turns;
//! * `schedule` — when the calls of an open loop are due;
//! * `load` — makes calls, in a closed or an open loop;
//! * `statistics` and `latency` — counts them, and sums up how long they took;
//! * `progress` and `report` — what people see meanwhile, and in the end.

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
use self::calls::Questions;
use self::load::Load;
use self::report::Report;
use super::failure::Exit;
use super::output::OutputOptions;
use crate::{Client, Config};

/// Loads the service, and prints how it bore that. Interrupted, it prints what it has measured until then.
///
/// # Errors
///
/// [`crate::Error`] if the service cannot be reached. After the report, the commonest one if calls failed, and another error
/// if answers were wrong or there were none.
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
    // Polled first, so that from now on an interruption kills nobody.
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
        warn!("interrupted before anything was measured");
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
    judge(&report)?;
    Ok(Exit::Done)
}

async fn prepare(config: &Config, args: &Bench) -> anyhow::Result<Load> {
    let questions = Questions::prepare(&Client::connect(config)?, args.call).await?;
    Ok(Load::connect(config, args, questions).await?)
}

/// Makes the calls, until an interruption if there is one.
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
    let drain = run.ended.saturating_duration_since(load.counts_from).saturating_sub(time);
    Ok(Report {
        args,
        addresses: load.addresses,
        time,
        drain,
        made_per_second: report::per_second(load.made(), load.measured(run.made_until)),
        statistics: load.statistics(),
        was_interrupted: run.was_interrupted,
    })
}

/// Returns an error if what was measured is not what was to be.
fn judge(report: &Report<'_>) -> anyhow::Result<()> {
    let statistics = &report.statistics;
    let (answered, failed, wrong) = (statistics.answered, statistics.failed(), statistics.wrong);
    ensure!(wrong == 0, "{wrong} of {answered} answers were wrong: not the movies that were asked for");
    if let Some(commonest) = statistics.failures.values().max_by_key(|failures| failures.count) {
        let all = statistics.ended();
        return Err(
            anyhow::Error::new(commonest.first.clone()).context(format!("{failed} of {all} calls failed"))
        );
    }
    let unfinished = statistics.unfinished;
    ensure!(unfinished == 0, "{unfinished} calls had no end when the last answers had been waited for");
    if answered == 0 {
        bail!("no call was answered while they counted; measure for longer");
    }
    Ok(())
}
