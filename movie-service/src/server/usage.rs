//! Calls and lists in flight, of the whole service and of one address.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Calls and lists in flight.
pub(crate) struct Usage {
    pub(crate) calls: PerWorker,
    /// Those of them that need no credentials.
    pub(crate) open_calls: PerWorker,
    pub(crate) lists: AtomicUsize,
}

impl Usage {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            calls: PerWorker::new(workers),
            open_calls: PerWorker::new(workers),
            lists: AtomicUsize::default(),
        }
    }
}

/// A counter for each worker: one that all share would travel between cores with each call.
pub(crate) struct PerWorker(Vec<AtomicUsize>);

impl PerWorker {
    pub(crate) fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| AtomicUsize::default()).collect())
    }

    /// Returns the counter of a worker, which only that worker changes.
    pub(crate) fn of(&self, worker: usize) -> &AtomicUsize {
        &self.0[worker]
    }

    /// Returns whether all counters together exceed `limit`, when one of them was `here` before it was incremented.
    /// A worker may always have its share of the limit.
    pub(crate) fn exceeds(&self, here: usize, limit: usize) -> bool {
        // Most of the time, a worker that has no more than its share need not look at the others.
        here >= limit / self.0.len()
            && self.0.iter().map(|counter| counter.load(Ordering::Relaxed)).sum::<usize>() > limit
    }
}

/// Adds to a counter that only this thread changes, and returns what it was; others may look at it. That takes no
/// atomic read-modify-write, of which there would be half a dozen for each call.
pub(crate) fn add(counter: &AtomicUsize, number: isize) -> usize {
    let before = counter.load(Ordering::Relaxed);
    counter.store(before.wrapping_add_signed(number), Ordering::Relaxed);
    before
}
