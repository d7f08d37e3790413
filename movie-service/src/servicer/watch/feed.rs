//! The feed of a thread: what its watches share.
//!
//! One task waits for changes and wakes all watches of the thread, so that a connection sends a change to all its
//! watches at once. Each change is encoded once for all of them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Waker};

use bytes::Bytes;
use slab::Slab;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::message;
use crate::catalogue::{Catalogue, ChangesError, HistoryPoint};

/// Maximum number of changes in a batch.
const MAX_BATCH_CHANGES: usize = 64;

/// Size in bytes from which a batch takes no further change.
const FULL_BATCH_BYTES: usize = 32 * 1024;

/// Number of batches that are kept for other watches.
const KEPT_BATCHES: usize = 8;

/// The feed of a thread.
pub(super) struct Feed {
    catalogue: Arc<Catalogue>,
    /// The sender is dropped when the service stops.
    stopping: watch::Receiver<bool>,
    shared: Mutex<Shared>,
    /// The task that waits for changes.
    waiting: AbortHandle,
}

#[derive(Default)]
struct Shared {
    /// The waker of each watch, once it has one.
    wakers: Slab<Option<Waker>>,
    /// The batches that were encoded last.
    batches: VecDeque<Batch>,
}

/// Consecutive changes, encoded.
#[derive(Clone)]
pub(super) struct Batch {
    from: HistoryPoint,
    /// The point after the last change.
    pub(super) to: HistoryPoint,
    /// A gRPC frame for each change.
    pub(super) frames: Bytes,
}

thread_local! {
    static CURRENT: RefCell<Weak<Feed>> = const { RefCell::new(Weak::new()) };
}

impl Feed {
    /// Returns the feed of this thread. It ends with its last subscription.
    fn of_this_thread(catalogue: &Arc<Catalogue>, stopping: &watch::Receiver<bool>) -> Arc<Self> {
        CURRENT.with_borrow_mut(|current| match current.upgrade() {
            Some(feed) if Arc::ptr_eq(&feed.catalogue, catalogue) => feed,
            _ => {
                let feed = Self::start(catalogue.clone(), stopping.clone());
                *current = Arc::downgrade(&feed);
                feed
            }
        })
    }

    fn start(catalogue: Arc<Catalogue>, stopping: watch::Receiver<bool>) -> Arc<Self> {
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
                        feed.wake_all();
                    }
                }
            });
            Self { catalogue, stopping, shared: Mutex::default(), waiting: waiting.abort_handle() }
        })
    }

    fn wake_all(&self) {
        self.shared().wakers.iter().filter_map(|(_, waker)| waker.as_ref()).for_each(Waker::wake_by_ref);
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
    pub(super) fn new(catalogue: &Arc<Catalogue>, stopping: &watch::Receiver<bool>) -> Self {
        let feed = Feed::of_this_thread(catalogue, stopping);
        let slot = feed.shared().wakers.insert(None);
        Self { feed, slot }
    }

    pub(super) fn catalogue(&self) -> &Arc<Catalogue> {
        &self.feed.catalogue
    }

    /// Returns whether the service is stopping.
    pub(super) fn is_stopping(&self) -> bool {
        self.feed.stopping.has_changed().is_err()
    }

    /// Has the task woken at each change from now on, and when the service stops.
    pub(super) fn register(&self, cx: &Context<'_>) {
        if let Some(waker) = self.feed.shared().wakers.get_mut(self.slot) {
            match waker {
                Some(waker) => waker.clone_from(cx.waker()),
                None => *waker = Some(cx.waker().clone()),
            }
        }
    }

    /// Returns the changes after a point, at most `max`; `None` if there are none.
    pub(super) fn changes_after(&self, point: HistoryPoint, max: u64) -> Result<Option<Batch>, ChangesError> {
        let Feed { catalogue, .. } = &*self.feed;
        let fits = |batch: &&Batch| {
            batch.from == point && batch.to.revision.since(point.revision).is_some_and(|count| count <= max)
        };
        let known = self.feed.shared().batches.iter().rev().find(fits).cloned();
        // The history of the catalogue may have changed since the batch was encoded.
        if let Some(known) = known.filter(|known| catalogue.has_point(known.to)) {
            return Ok(Some(known));
        }
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        let (mut to, mut frames) = (point, Vec::new());
        for change in catalogue.changes(point, max.min(MAX_BATCH_CHANGES))? {
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
        let batches = &mut self.feed.shared().batches;
        if batches.len() == KEPT_BATCHES {
            batches.pop_front();
        }
        batches.push_back(batch.clone());
        Ok(Some(batch))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.feed.shared().wakers.try_remove(self.slot);
    }
}
