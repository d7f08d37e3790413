//! Calls and lists in flight, of the whole service and of one address.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Calls and lists in flight.
pub(crate) struct Usage {
    pub(crate) calls: PerWorker,
    /// Calls that need no credentials; also counted in `calls`.
    pub(crate) anonymous_calls: PerWorker,
    pub(crate) lists: AtomicUsize,
}

impl Usage {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            calls: PerWorker::new(workers),
            anonymous_calls: PerWorker::new(workers),
            lists: AtomicUsize::default(),
        }
    }
}

/// One counter per worker: with a single shared counter, each call would move its cache line between cores.
pub(crate) struct PerWorker(Vec<LocalCounter>);

impl PerWorker {
    fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| LocalCounter::default()).collect())
    }

    /// Increments the counter of a worker, on its thread. Returns whether the sum of all counters now exceeds `limit`,
    /// and this worker its share of the limit.
    pub(crate) fn increment(&self, worker: usize, limit: usize) -> bool {
        // A worker within its share, which is the usual case, does not read the counters of the others.
        self.0[worker].add(1) >= limit / self.0.len()
            && self.0.iter().map(LocalCounter::get).sum::<usize>() > limit
    }

    /// Decrements the counter of a worker, on its thread.
    pub(crate) fn decrement(&self, worker: usize) {
        self.0[worker].subtract(1);
    }
}

/// A counter that only one thread writes, and any may read. A plain load and store suffices, which saves about six
/// atomic read-modify-writes for each call.
#[derive(Default)]
pub(crate) struct LocalCounter(AtomicUsize);

impl LocalCounter {
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, value: usize) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Adds to the counter, wrapping around, and returns its previous value.
    pub(crate) fn add(&self, number: usize) -> usize {
        let before = self.get();
        self.set(before.wrapping_add(number));
        before
    }

    pub(crate) fn subtract(&self, number: usize) {
        self.set(self.get().wrapping_sub(number));
    }
}
