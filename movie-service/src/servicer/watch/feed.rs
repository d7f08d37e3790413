//! The feed of a thread: what its watches share.
//!
//! One task waits for changes and passes them to all watches of the thread, so that a connection sends a change to all
//! its watches at once. Each change is encoded once for all of them. A watch that can take the changes at once is not
//! woken: to wake and poll its task would cost more than to send them ([`BatchSink`]).

use std::cell::RefCell;
use std::collections::VecDeque;
use std::mem;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Waker};

use bytes::Bytes;
use slab::Slab;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::message;
use crate::catalogue::{Catalogue, ChangesError, HistoryPoint};
use crate::telemetry::watch_metrics::WatchMetrics;

/// Maximum number of changes in a batch.
const MAX_BATCH_CHANGES: usize = 64;

/// Size in bytes from which a batch takes no further change.
const FULL_BATCH_BYTES: usize = 32 * 1024;

/// Number of batches that are kept for other watches.
const KEPT_BATCHES: usize = 8;

/// The stream of a watch, as far as a feed uses it.
pub(crate) trait BatchSink: Send + Sync {
    /// Sends a batch, if it continues what was sent before and nothing has to wait. Otherwise, returns false; the feed
    /// then wakes the task of the watch. Called on the thread of the watch.
    fn try_send(&self, batch: &Batch) -> bool;
}

/// The feed of a thread.
pub(super) struct Feed {
    catalogue: Arc<Catalogue>,
    /// The sender is dropped when the service stops.
    stopping: watch::Receiver<bool>,
    metrics: WatchMetrics,
    shared: Mutex<Shared>,
    /// The task that waits for changes.
    waiting: AbortHandle,
}

struct Shared {
    slots: Slab<Slot>,
    /// The newest point when changes were last sent.
    last_sent: HistoryPoint,
    /// The batches that were encoded last.
    batches: VecDeque<Batch>,
}

/// What a feed knows of a watch, once it has it.
#[derive(Default)]
struct Slot {
    waker: Option<Waker>,
    sink: Option<Weak<dyn BatchSink>>,
}

/// Consecutive changes, encoded.
#[derive(Clone)]
pub(crate) struct Batch {
    pub(super) from: HistoryPoint,
    /// The point after the last change.
    pub(super) to: HistoryPoint,
    /// A gRPC frame for each change.
    pub(super) frames: Bytes,
}

impl Batch {
    /// Returns the number of changes.
    fn count(&self) -> u64 {
        self.to.revision.since(self.from.revision).unwrap_or_default()
    }
}

thread_local! {
    static CURRENT: RefCell<Weak<Feed>> = const { RefCell::new(Weak::new()) };
}

impl Feed {
    /// Returns the feed of this thread. It ends with its last subscription.
    fn of_this_thread(
        catalogue: &Arc<Catalogue>,
        stopping: &watch::Receiver<bool>,
        metrics: &WatchMetrics,
    ) -> Arc<Self> {
        CURRENT.with_borrow_mut(|current| match current.upgrade() {
            Some(feed) if Arc::ptr_eq(&feed.catalogue, catalogue) => feed,
            _ => {
                let feed = Self::start(catalogue.clone(), stopping.clone(), metrics.clone());
                *current = Arc::downgrade(&feed);
                feed
            }
        })
    }

    fn start(catalogue: Arc<Catalogue>, stopping: watch::Receiver<bool>, metrics: WatchMetrics) -> Arc<Self> {
        Arc::new_cyclic(|feed: &Weak<Self>| {
            let (feed, mut newest, mut service) = (feed.clone(), catalogue.newest(), stopping.clone());
            let waiting = tokio::spawn(async move {
                let mut is_running = true;
                while is_running {
                    is_running = tokio::select! {
                        changed = newest.changed() => changed.is_ok(),
                        changed = service.changed() => changed.is_ok(),
                    };
                    if let Some(feed) = feed.upgrade() {
                        feed.broadcast();
                    }
                }
            });
            let last_sent = catalogue.newest_point();
            let shared = Mutex::new(Shared { slots: Slab::new(), last_sent, batches: VecDeque::new() });
            Self { catalogue, stopping, metrics, shared, waiting: waiting.abort_handle() }
        })
    }

    /// Sends the latest changes to each watch that can take them at once, and wakes the others.
    fn broadcast(&self) {
        let newest = self.catalogue.newest_point();
        let last_sent = mem::replace(&mut self.shared().last_sent, newest);
        // The notification of a change that was sent with the one before it.
        if newest == last_sent && !self.is_stopping() {
            return;
        }
        let batch = self.batch_between(last_sent, newest);
        let mut sent_to = 0;
        // A sink and its drop must not use this feed, whose lock is held. The task of a watch is on this thread, and owns the sink.
        for (_, Slot { waker, sink }) in &self.shared().slots {
            let is_sent =
                batch.as_ref().zip(sink.as_ref().and_then(Weak::upgrade)).is_some_and(|(batch, sink)| {
                    // A panic must end no other watch. The task that is woken meets its cause again.
                    panic::catch_unwind(AssertUnwindSafe(|| sink.try_send(batch))).unwrap_or(false)
                });
            if is_sent {
                sent_to += 1;
            } else if let Some(waker) = waker {
                waker.wake_by_ref();
            }
        }
        // Once for all watches: each addition moves the counter between cores.
        if let Some(batch) = batch.filter(|_| sent_to > 0) {
            self.metrics.changes_sent(batch.count() * sent_to);
        }
    }

    /// Returns all changes between two points, if one batch holds them and the service is not stopping.
    fn batch_between(&self, last_sent: HistoryPoint, newest: HistoryPoint) -> Option<Batch> {
        if self.is_stopping() {
            return None;
        }
        let count = newest.revision.since(last_sent.revision)?;
        // On an error, each watch that is woken meets the error itself.
        let batch = self.changes_after(last_sent, count).ok().flatten()?;
        (batch.to == newest).then_some(batch)
    }

    /// Returns whether the service is stopping.
    fn is_stopping(&self) -> bool {
        self.stopping.has_changed().is_err()
    }

    /// Returns the changes after a point, at most `max`; `None` if there are none.
    fn changes_after(&self, point: HistoryPoint, max: u64) -> Result<Option<Batch>, ChangesError> {
        let fits = |batch: &&Batch| {
            batch.from == point && batch.to.revision.since(point.revision).is_some_and(|count| count <= max)
        };
        let known = self.shared().batches.iter().rev().find(fits).cloned();
        // The history of the catalogue may have changed since the batch was encoded.
        if let Some(known) = known.filter(|known| self.catalogue.has_point(known.to)) {
            return Ok(Some(known));
        }
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        let (mut to, mut frames) = (point, Vec::new());
        for change in self.catalogue.changes(point, max.min(MAX_BATCH_CHANGES))? {
            to = change.point;
            message::put_change(&change, &mut frames);
            if frames.len() >= FULL_BATCH_BYTES {
                break;
            }
        }
        if frames.is_empty() {
            return Ok(None);
        }
        // Exactly as large as needed: watches that wait for their peers keep it.
        let batch = Batch { from: point, to, frames: frames.into_boxed_slice().into() };
        let batches = &mut self.shared().batches;
        if batches.len() == KEPT_BATCHES {
            batches.pop_front();
        }
        batches.push_back(batch.clone());
        Ok(Some(batch))
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        // Never contended: the watches and the task of a feed are on one thread.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.waiting.abort();
    }
}

/// The part of a watch in the feed of its thread.
pub(super) struct Subscription {
    feed: Arc<Feed>,
    slot: usize,
}

impl Subscription {
    pub(super) fn new(
        catalogue: &Arc<Catalogue>,
        stopping: &watch::Receiver<bool>,
        metrics: &WatchMetrics,
    ) -> Self {
        let feed = Feed::of_this_thread(catalogue, stopping, metrics);
        let slot = feed.shared().slots.insert(Slot::default());
        Self { feed, slot }
    }

    pub(super) fn catalogue(&self) -> &Arc<Catalogue> {
        &self.feed.catalogue
    }

    /// Returns whether the service is stopping.
    pub(super) fn is_stopping(&self) -> bool {
        self.feed.is_stopping()
    }

    /// Has the task woken at each change from now on, and when the service stops.
    pub(super) fn register(&self, cx: &Context<'_>) {
        if let Some(Slot { waker, .. }) = self.feed.shared().slots.get_mut(self.slot) {
            match waker {
                Some(waker) => waker.clone_from(cx.waker()),
                None => *waker = Some(cx.waker().clone()),
            }
        }
    }

    /// Has batches of changes offered to `sink` from now on.
    pub(super) fn attach(&self, sink: Weak<dyn BatchSink>) {
        if let Some(slot) = self.feed.shared().slots.get_mut(self.slot) {
            slot.sink = Some(sink);
        }
    }

    /// Returns the changes after a point, at most `max`, and counts them as sent; `None` if there are none.
    pub(super) fn changes_after(&self, point: HistoryPoint, max: u64) -> Result<Option<Batch>, ChangesError> {
        let changes = self.feed.changes_after(point, max)?;
        if let Some(batch) = &changes {
            self.feed.metrics.changes_sent(batch.count());
        }
        Ok(changes)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.feed.shared().slots.try_remove(self.slot);
    }
}
