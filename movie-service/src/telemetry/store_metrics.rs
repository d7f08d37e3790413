//! Metrics of a store.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Unit};
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

const AVAILABLE: &str = "movie_service_store_available";
const WRITABLE: &str = "movie_service_store_writable";
const LAG: &str = "movie_service_store_lag_revisions";
const COMMIT_DURATION: &str = "movie_service_store_commit_duration_seconds";
pub(super) const COMMIT_CHANGES: &str = "movie_service_store_commit_changes";
const RETRIES: &str = "movie_service_store_retries_total";
const RELOADS: &str = "movie_service_store_reloads_total";

/// Bucket bounds of [`COMMIT_CHANGES`].
pub(super) const COMMIT_CHANGES_BUCKETS: [f64; 8] = [1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0, 20_000.0];

/// Reason for reloading all movies from a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreReload {
    /// The store has another history.
    HistoryChanged,
    /// The store no longer keeps the missing changes.
    Compacted,
}

/// The metrics of a store. Records nothing if metrics are off. Clones share the metrics.
#[derive(Clone, Debug, Default)]
pub struct StoreMetrics(Option<Registered>);

#[derive(Clone, Debug)]
struct Registered {
    available: Gauge,
    writable: Gauge,
    lag: Gauge,
    commit_duration: Histogram,
    commit_changes: Histogram,
    retries: Counter,
    reloads: [Counter; 2],
}

impl StoreMetrics {
    /// Registers the metrics with the recorder of this thread.
    pub(super) fn registered() -> Self {
        describe();
        Self(Some(Registered {
            available: gauge!(AVAILABLE),
            writable: gauge!(WRITABLE),
            lag: gauge!(LAG),
            commit_duration: histogram!(COMMIT_DURATION),
            commit_changes: histogram!(COMMIT_CHANGES),
            retries: counter!(RETRIES),
            reloads: ["history_changed", "compacted"].map(|reason| counter!(RELOADS, "reason" => reason)),
        }))
    }

    /// Sets whether the store can be read, and whether it accepts writes.
    pub fn set_status(&self, is_available: bool, is_writable: bool) {
        self.record(|to| {
            to.available.set(f64::from(u8::from(is_available)));
            to.writable.set(f64::from(u8::from(is_writable)));
        });
    }

    /// Sets by how many revisions the store was ahead of the catalogue at the last poll.
    #[expect(clippy::cast_precision_loss, reason = "Prometheus's values are floating-point numbers")]
    pub fn set_lag(&self, revisions: u64) {
        self.record(|to| to.lag.set(revisions as f64));
    }

    /// Counts a committed transaction with its number of changes and the time to write and commit it.
    #[expect(clippy::cast_precision_loss, reason = "Prometheus's values are floating-point numbers")]
    pub fn committed(&self, duration: Duration, changes: usize) {
        self.record(|to| {
            to.commit_duration.record(duration);
            to.commit_changes.record(changes as f64);
        });
    }

    /// Counts a transaction that is tried again.
    pub fn retried(&self) {
        self.record(|to| to.retries.increment(1));
    }

    /// Counts a reload of all movies.
    pub fn reloaded(&self, reason: StoreReload) {
        self.record(|to| to.reloads[reason as usize].increment(1));
    }

    fn record(&self, record: impl FnOnce(&Registered)) {
        if let Some(registered) = &self.0 {
            record(registered);
        }
    }
}

/// Registers the help texts of the page.
fn describe() {
    describe_gauge!(AVAILABLE, "1 if the store can be read and followed, else 0");
    describe_gauge!(WRITABLE, "1 if the store accepts writes, else 0");
    describe_gauge!(LAG, "Revisions by which the store was ahead of this service at the last poll");
    describe_histogram!(COMMIT_DURATION, Unit::Seconds, "Time to write and commit a transaction");
    describe_histogram!(COMMIT_CHANGES, "Changes in one committed transaction");
    describe_counter!(RETRIES, "Transactions that were tried again");
    describe_counter!(RELOADS, "Reloads of all movies from the store, by reason");
}
