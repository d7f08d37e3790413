//! Summary of latencies.

use hdrhistogram::Histogram;

use super::statistics::Statistics;

/// Reported percentiles: the label, the key in JSON, and the quantile.
pub(super) const PERCENTILES: [(&str, &str, f64); 4] = [
    ("p50", "latency_p50_us", 0.5),
    ("p90", "latency_p90_us", 0.9),
    ("p99", "latency_p99_us", 0.99),
    ("p99.9", "latency_p99_9_us", 0.999),
];

/// Number of bars in the histogram.
const HISTOGRAM_BARS: i32 = 10;

/// Summary of latencies, in microseconds.
pub(super) struct LatencySummary {
    pub(super) min: u64,
    pub(super) mean: f64,
    /// Label, key in JSON, and value of each percentile.
    pub(super) percentiles: [(&'static str, &'static str, u64); 4],
    pub(super) max: u64,
}

impl LatencySummary {
    /// Returns the summary, or `None` without responses. Slow failures make it worse; fast failures never make it
    /// better.
    pub(super) fn of(statistics: &Statistics) -> Option<Self> {
        let (responses, all) = (&statistics.latency, statistics.all_latencies());
        let at = |quantile| responses.value_at_quantile(quantile).max(all.value_at_quantile(quantile));
        (!responses.is_empty()).then(|| Self {
            min: responses.min(),
            mean: responses.mean().max(all.mean()),
            percentiles: PERCENTILES.map(|(name, long_name, quantile)| (name, long_name, at(quantile))),
            max: all.max(),
        })
    }
}

/// Returns upper limits, in microseconds, with the number of latencies in each bucket. The limits grow by a constant
/// factor.
pub(super) fn buckets(latency: &Histogram<u64>) -> Vec<(f64, u64)> {
    let (min, max) = (float(latency.min().max(1)), float(latency.max().max(1)));
    // Latencies within the resolution of the histogram need a single bar.
    let bars = if latency.equivalent(latency.min(), latency.max()) { 1 } else { HISTOGRAM_BARS };
    let limit = |bar| min * (max / min).powf(f64::from(bar) / f64::from(bars));
    let mut buckets: Vec<_> = (1..=bars).map(|bar| (limit(bar), 0)).collect();
    for value in latency.iter_recorded() {
        let micros = float(value.value_iterated_to());
        let index = buckets.partition_point(|(limit, _)| *limit < micros).min(buckets.len() - 1);
        buckets[index].1 += value.count_at_value();
    }
    buckets
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts to 2^53 calls")]
pub(super) fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Error;
    use crate::cli::bench::calls::CallResult;

    #[test]
    fn slow_failures_make_latencies_worse_and_fast_ones_not_better() {
        let unavailable = || Error::Unavailable { address: "a:1".into(), message: "lost".into() };
        let percentiles = |failures: u64, millis| {
            let mut statistics = Statistics::new();
            for millis in 1..=100 {
                let right = CallResult { movies: 1, is_correct: true };
                statistics.record(Ok(right), Duration::from_millis(millis));
            }
            for _ in 0..failures {
                statistics.record(Err(unavailable()), Duration::from_millis(millis));
            }
            LatencySummary::of(&statistics).unwrap().percentiles.map(|(_, _, value)| value / 1000)
        };
        assert_eq!(percentiles(0, 0), [50, 90, 99, 100]);
        assert_eq!(percentiles(1000, 0), [50, 90, 99, 100]);
        assert_eq!(percentiles(1000, 70), [70, 90, 99, 100]);
        assert_eq!(percentiles(20, 2000), [60, 2000, 2000, 2000]);
    }
}
