//! The numbers of a store.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Unit};
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

const AVAILABLE: &str = "movie_service_store_available";
const WRITABLE: &str = "movie_service_store_writable";
const LAG: &str = "movie_service_store_lag_revisions";
const COMMIT_DURATION: &str = "movie_service_store_commit_duration_seconds";
/// In the name of [`COMMIT_CHANGES`], for the bounds of its buckets.
pub(super) const COMMIT_CHANGES: &str = "movie_service_store_commit_changes";
const RETRIES: &str = "movie_service_store_retries_total";
const RELOADS: &str = "movie_service_store_reloads_total";

/// The bounds of the buckets of how many changes are committed together.
pub(super) const CHANGES: [f64; 8] = [1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0, 20_000.0];

/// Why all movies were loaded again from a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreReload {
    /// The store has another history.
    HistoryChanged,
    /// The store no longer keeps the changes that were missing.
    Compacted,
}

/// Counts what a store does, or with metrics off nothing. Clones count together.
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
    /// Registers with the recorder of this thread.
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

    /// Whether the store can be read, and whether it takes writes.
    pub fn status(&self, is_available: bool, is_writable: bool) {
        self.count(|to| {
            to.available.set(f64::from(u8::from(is_available)));
            to.writable.set(f64::from(u8::from(is_writable)));
        });
    }

    /// A look found the store this many revisions ahead.
    #[expect(clippy::cast_precision_loss, reason = "Prometheus's numbers are floating")]
    pub fn lag(&self, revisions: u64) {
        self.count(|to| to.lag.set(revisions as f64));
    }

    /// So many changes were committed together; it took so long to write and commit them.
    #[expect(clippy::cast_precision_loss, reason = "Prometheus's numbers are floating")]
    pub fn committed(&self, duration: Duration, changes: usize) {
        self.count(|to| {
            to.commit_duration.record(duration);
            to.commit_changes.record(changes as f64);
        });
    }

    /// A transaction is tried again.
    pub fn retried(&self) {
        self.count(|to| to.retries.increment(1));
    }

    /// All movies were loaded again.
    pub fn reloaded(&self, reason: StoreReload) {
        self.count(|to| to.reloads[reason as usize].increment(1));
    }

    fn count(&self, with: impl FnOnce(&Registered)) {
        if let Some(registered) = &self.0 {
            with(registered);
        }
    }
}

/// Says what each number is, for the page.
fn describe() {
    describe_gauge!(AVAILABLE, "1 if the store can be read and followed, else 0");
    describe_gauge!(WRITABLE, "1 if the store takes writes, else 0");
    describe_gauge!(LAG, "Revisions by which the store was ahead of this service at the last look");
    describe_histogram!(COMMIT_DURATION, Unit::Seconds, "Time to write and commit a transaction");
    describe_histogram!(COMMIT_CHANGES, "Changes that were committed together");
    describe_counter!(RETRIES, "Transactions that were tried again");
    describe_counter!(RELOADS, "Times that all movies were loaded again from the store, by reason");
}
