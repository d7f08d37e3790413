//! Calls and lists in flight, of the whole service and of one address.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Calls and lists in flight.
pub(crate) struct Usage {
    pub(crate) calls: PerWorker,
    /// Calls that need no credentials; also counted in `calls`.
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

/// One counter per worker: with a single shared counter, each call would move its cache line between cores.
pub(crate) struct PerWorker(Vec<AtomicUsize>);

impl PerWorker {
    pub(crate) fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| AtomicUsize::default()).collect())
    }

    /// Returns the counter of a worker, which only that worker changes.
    pub(crate) fn of(&self, worker: usize) -> &AtomicUsize {
        &self.0[worker]
    }

    /// Returns whether the sum of all counters exceeds `limit`. `here` is the value of this worker's counter before
    /// it was incremented. A worker may always have its share of the limit.
    pub(crate) fn exceeds(&self, here: usize, limit: usize) -> bool {
        // Most of the time, a worker that has no more than its share need not look at the others.
        here >= limit / self.0.len()
            && self.0.iter().map(|counter| counter.load(Ordering::Relaxed)).sum::<usize>() > limit
    }
}

/// Adds to a counter that only this thread writes, and returns its previous value. A plain load and store suffices,
/// which saves about six atomic read-modify-writes for each call.
pub(crate) fn add(counter: &AtomicUsize, number: isize) -> usize {
    let before = counter.load(Ordering::Relaxed);
    counter.store(before.wrapping_add_signed(number), Ordering::Relaxed);
    before
}
