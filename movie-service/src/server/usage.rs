//! Calls and lists in flight, of the whole service and of one address.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Calls and lists in flight.
pub(super) struct Usage {
    pub(super) calls: PerWorker,
    /// Those of them that need no credentials.
    pub(super) open_calls: PerWorker,
    pub(super) lists: AtomicUsize,
}

impl Usage {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            calls: PerWorker::new(workers),
            open_calls: PerWorker::new(workers),
            lists: AtomicUsize::default(),
        }
    }
}

/// A counter for each worker: one that all share would travel between cores with each call.
pub(super) struct PerWorker(Vec<AtomicUsize>);

impl PerWorker {
    pub(super) fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| AtomicUsize::default()).collect())
    }

    /// Returns the counter of a worker, which only that worker changes.
    pub(super) fn of(&self, worker: usize) -> &AtomicUsize {
        &self.0[worker]
    }

    /// Returns whether all counters together exceed `limit`, when one of them was `here` before it was incremented.
    /// A worker may always have its share of the limit.
    pub(super) fn exceeds(&self, here: usize, limit: usize) -> bool {
        // Most of the time, a worker that has no more than its share need not look at the others.
        here >= limit / self.0.len()
            && self.0.iter().map(|counter| counter.load(Ordering::Relaxed)).sum::<usize>() > limit
    }
}
