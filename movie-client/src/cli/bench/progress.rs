//! Progress bar of a measurement.

use std::convert::Infallible;
use std::fmt::Write;
use std::future::pending;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use tokio::time::interval;

use super::load::Load;
use super::report::{millis, per_second};
use super::statistics::Statistics;

/// Interval at which the bar is drawn. Each time, the statistics of all connections are added up.
const REDRAW_INTERVAL: Duration = Duration::from_millis(500);

/// Draws the progress on standard error, if it is a terminal, until the future is dropped.
pub(super) async fn show(load: &Load) -> Infallible {
    let bar = ProgressBar::new(1000).with_finish(ProgressFinish::AndClear);
    if bar.is_hidden() {
        return pending().await;
    }
    if let Ok(style) = ProgressStyle::with_template("{bar:20} {msg}") {
        bar.set_style(style);
    }
    let mut ticks = interval(REDRAW_INTERVAL);
    loop {
        ticks.tick().await;
        let now = Instant::now();
        bar.set_position(position_per_mille(load, now));
        bar.set_message(line(load, now));
    }
}

/// Returns the progress by time or by calls, whichever is greater, in thousandths.
fn position_per_mille(load: &Load, now: Instant) -> u64 {
    let by_time = load.end_time.map(|end_time| {
        let (passed, all) = (now.saturating_duration_since(load.measure_from), end_time - load.measure_from);
        passed.as_millis() * 1000 / all.as_millis().max(1)
    });
    let by_calls = load.max_calls.map(|max| u128::from(load.sent()) * 1000 / u128::from(max.max(1)));
    by_time.max(by_calls).and_then(|share| u64::try_from(share).ok()).unwrap_or_default()
}

fn line(load: &Load, now: Instant) -> String {
    if now < load.measure_from {
        return format!("warming up, {}", seconds_left(load.measure_from, now));
    }
    if load.end_time.is_some_and(|end_time| now >= end_time) {
        let statistics = load.statistics();
        let rest = load.sent().saturating_sub(statistics.ended());
        return format!("waiting for {rest} responses, {}", summary(&statistics, load.measured(now)));
    }
    let left = match (load.end_time, load.max_calls) {
        (Some(end_time), _) => seconds_left(end_time, now),
        (None, Some(max)) => format!("{} calls left", max.saturating_sub(load.sent())),
        (None, None) => String::new(),
    };
    format!("{left}, {}", summary(&load.statistics(), load.measured(now)))
}

fn seconds_left(until: Instant, now: Instant) -> String {
    format!("{:.0} s left", until.saturating_duration_since(now).as_secs_f64().ceil())
}

fn summary(statistics: &Statistics, time: Duration) -> String {
    let rate = per_second(statistics.rate.responses, time);
    let p99 = millis(statistics.latency.value_at_quantile(0.99));
    let mut line = format!("{rate:.0} calls/s, p99 {p99} ms");
    for (count, what) in [(statistics.failed(), "failed"), (statistics.wrong, "wrong")] {
        if count > 0 {
            // Writing to a string cannot fail.
            let _ = write!(line, ", {count} {what}");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::cli::bench::calls::CallResult;

    #[test]
    fn failures_are_part_of_the_progress_only_if_there_are_any() {
        let mut statistics = Statistics::new();
        for _ in 0..30 {
            let result = CallResult { movies: 1, is_correct: true };
            statistics.record(Ok(result), Duration::from_micros(1500));
            statistics.rate.add(result);
        }
        assert_eq!(summary(&statistics, Duration::from_secs(2)), "15 calls/s, p99 1.500 ms");
        statistics.record(Err(Error::WatcherTooSlow), Duration::ZERO);
        statistics.record(Ok(CallResult { movies: 0, is_correct: false }), Duration::ZERO);
        assert_eq!(
            summary(&statistics, Duration::from_secs(1)),
            "30 calls/s, p99 1.500 ms, 1 failed, 1 wrong"
        );
    }
}
