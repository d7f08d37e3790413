//! The thread that builds the search index of a catalogue, and merges its segments when there are many.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};

use tokio::sync::watch;

use crate::catalogue::Catalogue;
use crate::catalogue::search::index::{Merge, Merged, SearchIndex};
use crate::catalogue::snapshot::Snapshot;

/// Maximum number of changed movies that the index is brought up to date with while other changes wait.
const MAX_MISSED_CHANGES: usize = 2_000;

/// State of the thread.
#[derive(Debug, Default)]
pub(super) struct Indexer {
    is_started: AtomicBool,
    /// The thread, once it is started.
    thread: OnceLock<Thread>,
    /// Whether the index is built: all snapshots from then on have one.
    is_built: watch::Sender<bool>,
}

impl Indexer {
    /// Wakes the thread if the index of the next snapshot should be merged.
    pub(super) fn wake_if_merge_due(&self, next: &Snapshot) {
        if let Some(thread) = self.thread.get()
            && next.search_index().is_some_and(|index| index.merge_due().is_some())
        {
            thread.unpark();
        }
    }
}

/// Ends the thread.
impl Drop for Indexer {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

impl Catalogue {
    /// Starts to build the search index, on a thread of its own. Does nothing if that was called before.
    ///
    /// # Errors
    ///
    /// If the thread cannot be started.
    pub fn start_indexing(self: &Arc<Self>) -> io::Result<()> {
        if self.indexer.is_started.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let (weak, catalogue) = (Arc::downgrade(self), self.clone());
        let thread = thread::Builder::new().name("search-index".into()).spawn(move || {
            catalogue.build_index();
            drop(catalogue);
            while let Some(catalogue) = weak.upgrade() {
                while catalogue.merge_index() {}
                drop(catalogue);
                thread::park();
            }
        })?;
        // It is empty: only one caller comes here.
        let _ = self.indexer.thread.set(thread.thread().clone());
        Ok(())
    }

    /// Returns a receiver of whether the search index is built.
    #[must_use]
    pub fn index_built(&self) -> watch::Receiver<bool> {
        self.indexer.is_built.subscribe()
    }

    fn build_index(&self) {
        let mut built = Snapshot::clone(&self.snapshot()).indexed();
        while !self.publish_index_of(&built) {
            built = self.with_index_of(&built);
        }
    }

    /// Returns the current snapshot with the index of an earlier one, brought up to date while others make changes. That
    /// takes less time than the index took, so fewer changes are missed.
    pub(super) fn with_index_of(&self, built: &Snapshot) -> Snapshot {
        let current = Snapshot::clone(&self.snapshot());
        match current.index_from(built, current.len() / 2) {
            Some(index) => current.with_index(index),
            None => current.indexed(),
        }
    }

    /// Gives the current snapshot the index of an earlier one, brought up to date. Returns whether it did: not if so much has
    /// changed since that changes would wait long.
    pub(super) fn publish_index_of(&self, built: &Snapshot) -> bool {
        let _changing = self.changing();
        let current = self.snapshot();
        let Some(index) = current.index_from(built, MAX_MISSED_CHANGES) else { return false };
        self.current.store(Arc::new(Snapshot::clone(&current).with_index(index)));
        self.indexer.is_built.send_replace(true);
        true
    }

    /// Merges segments of the index, if there are many. Returns whether to look for another merge.
    fn merge_index(&self) -> bool {
        let Some(merge) = self.snapshot().search_index().and_then(SearchIndex::merge_due) else {
            return false;
        };
        // If the index has changed too much meanwhile, the next merge is another one.
        self.publish_merge(&merge, merge.run())
    }

    /// Replaces segments of the current index by their merge. Returns whether there is an index.
    pub(super) fn publish_merge(&self, merge: &Merge, merged: Merged) -> bool {
        let _changing = self.changing();
        let current = self.snapshot();
        let Some(mut index) = current.search_index().cloned() else { return false };
        if index.install(merge, merged) {
            self.current.store(Arc::new(Snapshot::clone(&current).with_index(index)));
        }
        // If a write has merged these segments meanwhile, nothing is installed; look again.
        true
    }
}
