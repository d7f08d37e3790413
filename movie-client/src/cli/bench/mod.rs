//! Measures what the service can bear. In reading order:
//!
//! * [`args`] — what can be said on the command line;
//! * `calls` — what is asked, and whether an answer is right;
//! * `load` — makes calls, in a closed or an open loop;
//! * `statistics` — counts them;
//! * `progress` and `report` — what people see meanwhile, and in the end.

pub mod args;
mod calls;
mod load;
mod progress;
mod report;
mod statistics;
#[cfg(test)]
mod tests;

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{bail, ensure};

use self::args::Bench;
use self::calls::Questions;
use self::load::Load;
use self::report::Report;
use super::failure::Exit;
use super::output::Form;
use crate::{Client, Config};

/// Loads the service, and prints how it bore that. Interrupted, it prints what it has measured until then.
///
/// # Errors
///
/// [`crate::Error`] if the service cannot be reached or no call was answered. An error after the report if answers were
/// wrong.
pub async fn bench(
    config: &Config,
    args: &Bench,
    form: &Form,
    out: &mut impl io::Write,
) -> anyhow::Result<Exit> {
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            pending::<()>().await;
        }
    };
    let questions = Questions::prepare(&Client::connect(config)?, args.call).await?;
    let load = Arc::new(Load::connect(config, args, questions).await?);
    let report = measure(load, args, interrupted).await?;
    report.write(form, out)?;
    out.flush()?;
    judge(&report)?;
    Ok(if report.was_interrupted { Exit::Interrupted } else { Exit::Done })
}

/// Makes the calls, until an interruption if there is one.
async fn measure(
    load: Arc<Load>,
    args: &Bench,
    interrupted: impl Future<Output = ()>,
) -> anyhow::Result<Report<'_>> {
    let was_interrupted = tokio::select! {
        done = load.run() => done.map(|()| false)?,
        () = interrupted => true,
        never = progress::show(&load) => match never {},
    };
    let time = Instant::now().saturating_duration_since(load.counts_from);
    let (made, statistics) = (load.made(), load.statistics());
    let unfinished = made.saturating_sub(statistics.ended());
    Ok(Report { args, time, statistics, unfinished, was_interrupted })
}

/// Returns an error if what was measured is not what was to be.
fn judge(report: &Report<'_>) -> anyhow::Result<()> {
    let statistics = &report.statistics;
    let (answered, failed, wrong) = (statistics.answered, statistics.failed(), statistics.wrong);
    let worst = statistics.failures.values().max_by_key(|failures| failures.count);
    match worst {
        Some(worst) if answered == 0 => {
            return Err(anyhow::Error::new(worst.first.clone()).context(format!("all {failed} calls failed")));
        }
        None if answered == 0 => {
            bail!("no call was answered while they counted; measure for longer");
        }
        _ => {}
    }
    ensure!(wrong == 0, "{wrong} of {answered} answers were wrong: not the movies that were asked for");
    Ok(())
}
