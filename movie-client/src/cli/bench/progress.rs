//! What people see meanwhile.

use std::convert::Infallible;
use std::fmt::Write;
use std::future::pending;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use tokio::time::interval;

use super::load::Load;
use super::report::{millis, per_second};
use super::statistics::Statistics;

/// How often it is drawn. Each time all that was measured is added up.
const INTERVAL: Duration = Duration::from_millis(500);

/// Shows how far the measurement is, on standard error if that is a terminal, until it is dropped.
pub(super) async fn show(load: &Load) -> Infallible {
    let bar = ProgressBar::new(1000).with_finish(ProgressFinish::AndClear);
    if bar.is_hidden() {
        return pending().await;
    }
    if let Ok(style) = ProgressStyle::with_template("{bar:20} {msg}") {
        bar.set_style(style);
    }
    let mut ticks = interval(INTERVAL);
    loop {
        ticks.tick().await;
        let now = Instant::now();
        bar.set_position(thousandths(load, now));
        bar.set_message(line(load, now));
    }
}

/// Returns how far it is, by time or by calls, whichever is farther.
fn thousandths(load: &Load, now: Instant) -> u64 {
    let by_time = load.ends.map(|ends| {
        let (passed, all) = (now.saturating_duration_since(load.counts_from), ends - load.counts_from);
        passed.as_millis() * 1000 / all.as_millis().max(1)
    });
    let by_calls = load.most_calls.map(|most| u128::from(load.made()) * 1000 / u128::from(most.max(1)));
    by_time.max(by_calls).and_then(|share| u64::try_from(share).ok()).unwrap_or_default()
}

fn line(load: &Load, now: Instant) -> String {
    if now < load.counts_from {
        return format!("warming up, {}", seconds_left(load.counts_from, now));
    }
    if load.ends.is_some_and(|ends| now >= ends) {
        let statistics = load.statistics();
        let rest = load.made().saturating_sub(statistics.ended());
        return format!("waiting for {rest} answers, {}", so_far(&statistics, load.measured(now)));
    }
    let left = match (load.ends, load.most_calls) {
        (Some(ends), _) => seconds_left(ends, now),
        (None, Some(most)) => format!("{} calls left", most.saturating_sub(load.made())),
        (None, None) => String::new(),
    };
    format!("{left}, {}", so_far(&load.statistics(), load.measured(now)))
}

fn seconds_left(until: Instant, now: Instant) -> String {
    format!("{:.0} s left", until.saturating_duration_since(now).as_secs_f64().ceil())
}

fn so_far(statistics: &Statistics, time: Duration) -> String {
    let rate = per_second(statistics.rate.answers, time);
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
    use crate::cli::bench::calls::Answer;

    #[test]
    fn what_went_wrong_is_seen_at_once_and_only_if_something_did() {
        let mut statistics = Statistics::new();
        for _ in 0..30 {
            let answer = Answer { movies: 1, is_right: true };
            statistics.record(Ok(answer), Duration::from_micros(1500));
            statistics.rate.add(answer);
        }
        assert_eq!(so_far(&statistics, Duration::from_secs(2)), "15 calls/s, p99 1.500 ms");
        statistics.record(Err(Error::WatcherTooSlow), Duration::ZERO);
        statistics.record(Ok(Answer { movies: 0, is_right: false }), Duration::ZERO);
        assert_eq!(
            so_far(&statistics, Duration::from_secs(1)),
            "30 calls/s, p99 1.500 ms, 1 failed, 1 wrong"
        );
    }
}
