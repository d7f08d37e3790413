//! Metrics of watches.

use std::sync::Arc;

use metrics::{Counter, Gauge};
use metrics::{counter, describe_counter, describe_gauge, gauge};

const OPEN: &str = "movie_service_watches_open";
const ENDED: &str = "movie_service_watches_ended_total";
const CHANGES_SENT: &str = "movie_service_watch_changes_sent_total";

/// Why a watch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchEnd {
    /// The caller or its connection went away, or the deadline passed.
    Closed,
    /// The caller read the changes too slowly.
    TooSlow,
    /// The store has another history.
    HistoryChanged,
    /// The changes to send next are no longer kept.
    Compacted,
    /// The service is stopping.
    Stopping,
    /// The watch could not start, because its revision or token is unknown.
    Refused,
}

/// The metrics of watches. Records nothing if metrics are off. Clones share the metrics.
#[derive(Clone, Debug, Default)]
pub struct WatchMetrics(Option<Arc<Registered>>);

#[derive(Debug)]
struct Registered {
    open: Gauge,
    /// For each [`WatchEnd`].
    ended: [Counter; 6],
    changes_sent: Counter,
}

/// Counts a watch as open until it is dropped, then by the reason of its end.
#[derive(Debug)]
pub(crate) struct OpenWatch {
    metrics: WatchMetrics,
    end: WatchEnd,
}

impl WatchMetrics {
    /// Registers the metrics with the recorder of this thread.
    pub(super) fn registered() -> Self {
        describe_gauge!(OPEN, "Watches of movies that are open");
        describe_counter!(ENDED, "Watches of movies that ended, by reason");
        describe_counter!(CHANGES_SENT, "Changes sent to watchers, counted once for each watcher");
        let reasons = ["closed", "too_slow", "history_changed", "compacted", "stopping", "refused"];
        Self(Some(Arc::new(Registered {
            open: gauge!(OPEN),
            ended: reasons.map(|reason| counter!(ENDED, "reason" => reason)),
            changes_sent: counter!(CHANGES_SENT),
        })))
    }

    /// Counts a watch as open.
    pub(crate) fn opened(&self) -> OpenWatch {
        if let Some(registered) = &self.0 {
            registered.open.increment(1.0);
        }
        OpenWatch { metrics: self.clone(), end: WatchEnd::Closed }
    }

    /// Counts changes that were sent to watchers.
    pub(crate) fn changes_sent(&self, count: u64) {
        if let Some(registered) = &self.0 {
            registered.changes_sent.increment(count);
        }
    }
}

impl OpenWatch {
    /// Sets why the watch ends.
    pub(crate) fn set_end(&mut self, end: WatchEnd) {
        self.end = end;
    }
}

impl Drop for OpenWatch {
    fn drop(&mut self) {
        if let Some(registered) = &self.metrics.0 {
            registered.open.decrement(1.0);
            registered.ended[self.end as usize].increment(1);
        }
    }
}
