//! All movies in memory, encoded as they are sent. Independent of JSON and tonic; of tokio, it uses only
//! `sync::watch`.
//!
//! * [`encoding`] — a movie as bytes: a frame that is ready to send, its details, a record;
//! * [`filter`] — selects the movies of a query; [`order`] — sorts them;
//! * [`fold`] — removes case and accents of texts; `collation` — compares titles as a dictionary does;
//! * [`layout`] — the memory layout: segments, the index, the columns that queries read;
//! * `search` — the search engine; `search_index` — its index of a snapshot; `indexer` — builds it in the background;
//! * `column_builder` — builds the columns in the background;
//! * `snapshot` — the catalogue at one revision; immutable; `builder` makes one of many movies, `successor` of changes;
//! * `change` — changes; `change_log` — the latest changes; `history` — revisions with a hash chain;
//! * [`query`] — pages of results, at a recent revision;
//! * [`Catalogue`] — the current snapshot, and its replacement by the next one.

mod builder;
mod change;
mod change_log;
mod collation;
mod column_builder;
pub mod encoding;
pub mod filter;
pub mod fold;
mod history;
mod indexer;
pub mod layout;
pub mod order;
pub mod query;
pub(crate) mod search;
mod search_index;
mod snapshot;
mod successor;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use tokio::sync::watch;

pub use self::builder::{Builder, NotAdded};
pub use self::change::{ApplyError, Change, ChangeError, CommittedChange};
use self::change_log::ChangeLog;
pub use self::change_log::{ChangesError, LogEntry};
use self::column_builder::ColumnBuilder;
pub use self::encoding::details::{Details, DetailsBuffer};
pub use self::encoding::frame::{InvalidMovie, MovieView};
pub use self::encoding::record::{Record, fingerprint};
pub use self::history::{ChainValue, HistoryPoint};
use self::indexer::Indexer;
pub use self::layout::segment::Draft;
pub use self::snapshot::Snapshot;
use crate::movie::Revision;

/// Default number of changes that a catalogue keeps for watchers and past pages.
pub const DEFAULT_KEPT_CHANGES: usize = 100_000;

/// The movies of the service.
///
/// Readers take a [`Snapshot`] and are never blocked. Changes are applied one batch after the other.
#[derive(Debug)]
pub struct Catalogue {
    current: ArcSwap<Snapshot>,
    /// The latest changes. While it is locked, it ends at the revision of `current`.
    log: RwLock<ChangeLog>,
    newest: watch::Sender<Revision>,
    /// Held while a change makes the next snapshot.
    changing: Mutex<()>,
    indexer: Indexer,
    column_builder: ColumnBuilder,
}

impl Default for Catalogue {
    fn default() -> Self {
        Self::new(Snapshot::default())
    }
}

impl Catalogue {
    /// Makes a catalogue that starts with these movies.
    #[must_use]
    pub fn new(snapshot: Snapshot) -> Self {
        Self::with_kept_changes(DEFAULT_KEPT_CHANGES, snapshot)
    }

    /// Makes a catalogue that keeps up to `changes` changes, and starts with these movies.
    #[must_use]
    pub fn with_kept_changes(changes: usize, snapshot: Snapshot) -> Self {
        Self {
            log: RwLock::new(ChangeLog::new(snapshot.point(), changes)),
            newest: watch::Sender::new(snapshot.revision()),
            current: ArcSwap::from_pointee(snapshot),
            changing: Mutex::default(),
            indexer: Indexer::default(),
            column_builder: ColumnBuilder::default(),
        }
    }

    /// Makes a catalogue that keeps up to `changes` changes, and starts with the content of a store.
    #[must_use]
    pub fn of_store(changes: usize, loaded: StoreContent) -> Self {
        let StoreContent { snapshot, latest: LoadedChanges(log) } = loaded;
        Self { log: RwLock::new(log.with_capacity(changes)), ..Self::with_kept_changes(changes, snapshot) }
    }

    /// Returns the movies as they are now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Reads from the movies as they are now. For short reads: does not increment the snapshot's reference count.
    pub fn read<R>(&self, read: impl FnOnce(&Snapshot) -> R) -> R {
        read(&self.current.load())
    }

    /// Returns up to `max` changes after a point, in order.
    ///
    /// # Errors
    ///
    /// [`ChangesError`] if the catalogue does not continue the history of that point, or no longer has all changes since.
    pub fn changes(&self, after: HistoryPoint, max: usize) -> Result<Vec<LogEntry>, ChangesError> {
        let log = self.log();
        log.after(after, max, &self.current.load())
    }

    /// Returns the point at a revision, for a caller that has no chain value. If this catalogue has never seen the
    /// caller's history, the point can be one of another history.
    ///
    /// # Errors
    ///
    /// [`ChangesError`] if the changes since are no longer kept, or if an abandoned history had the same revision.
    pub fn point_at(&self, revision: Revision) -> Result<HistoryPoint, ChangesError> {
        self.log().known_point_at(revision)
    }

    /// Returns the point of the newest change.
    pub(crate) fn newest_point(&self) -> HistoryPoint {
        self.log().newest()
    }

    /// Returns whether a point is in the history of this catalogue, and all changes since are kept.
    pub(crate) fn has_point(&self, point: HistoryPoint) -> bool {
        self.log().point_at(point.revision) == Ok(point)
    }

    /// Returns a receiver of the newest revision.
    #[must_use]
    pub fn newest(&self) -> watch::Receiver<Revision> {
        self.newest.subscribe()
    }

    /// Applies all `changes` or, on an error, none of them. Each is one revision; returns the last one.
    ///
    /// # Errors
    ///
    /// [`ChangeError`] of the first change that does not fit the movies, as the changes before it in the batch left
    /// them.
    pub fn apply<'a>(&self, changes: impl IntoIterator<Item = Change<'a>>) -> Result<Revision, ChangeError> {
        let _changing = self.changing();
        let (next, entries) = self.current.load().with_entries(changes)?;
        Ok(self.publish(next, |log, _| log.extend(entries)))
    }

    /// Applies the changes that a store committed: all or, on an error, none. Changes that the catalogue already has are
    /// skipped.
    ///
    /// # Errors
    ///
    /// [`ApplyError`] if they do not continue the history of the catalogue, or do not fit its movies.
    pub fn apply_committed(&self, changes: &[CommittedChange]) -> Result<(), ApplyError> {
        let _changing = self.changing();
        let current = self.current.load();
        let known = changes.partition_point(|change| change.point.revision <= current.revision());
        let (known, new) = changes.split_at(known);
        if let Some(last) = known.last()
            && self.log().point_at(last.point.revision).is_ok_and(|point| point != last.point)
        {
            return Err(ApplyError::HistoryChanged);
        }
        if !new.is_empty() {
            let (next, entries) = current.with_committed(new)?;
            self.publish(next, |log, _| log.extend(entries));
        }
        Ok(())
    }

    /// Replaces all movies by those of `snapshot`. Logs each difference as a change; if the log cannot hold them all,
    /// or if only the order differs, clears the log and skips revisions. Returns the new revision.
    pub fn replace(&self, snapshot: Snapshot) -> Revision {
        let snapshot = self.prepared(snapshot);
        let _changing = self.changing();
        let current = self.current.load_full();
        let capacity = self.log().capacity();
        if let Some(entries) = difference(&current, &snapshot, capacity) {
            let point = entries.last().map_or(current.point(), |entry| entry.point);
            self.publish(snapshot.at(point), |log, _| log.extend(entries))
        } else {
            // More changes than the log keeps, or only the order of the movies has changed.
            let revision = current.revision().plus((current.len() + snapshot.len()) as u64);
            let point = HistoryPoint { revision, chain: snapshot.digest() };
            self.publish(snapshot.at(point), ChangeLog::skip_to)
        }
    }

    /// Replaces everything by the content of a store, which may have another history. Returns the previous movies.
    pub fn reset(&self, loaded: StoreContent) -> Arc<Snapshot> {
        let StoreContent { snapshot, latest: LoadedChanges(latest) } = loaded;
        let snapshot = self.prepared(snapshot);
        let _changing = self.changing();
        let before = self.snapshot();
        self.publish(snapshot, |log, _| {
            let mut next = latest.with_capacity(log.capacity());
            next.supersede(log);
            *log = next;
        });
        before
    }

    fn log(&self) -> RwLockReadGuard<'_, ChangeLog> {
        self.log.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a replacement of all movies with columns and a search index, if the current movies have them. Slow for many
    /// movies, so call it before taking the lock.
    fn prepared(&self, snapshot: Snapshot) -> Snapshot {
        if self.read(Snapshot::has_columns) {
            snapshot.build_columns();
        }
        self.searchable(snapshot)
    }

    /// Returns a snapshot with a search index, if the current one has one. `publish` calls it again only in case the index was
    /// completed in between.
    fn searchable(&self, snapshot: Snapshot) -> Snapshot {
        let is_needed =
            snapshot.search_index().is_none() && self.read(|current| current.search_index().is_some());
        if is_needed { snapshot.indexed() } else { snapshot }
    }

    /// Updates the change log by `log`, then makes `next` the current snapshot.
    fn publish(&self, next: Snapshot, log: impl FnOnce(&mut ChangeLog, HistoryPoint)) -> Revision {
        // Only if the first index was completed since a replacement was prepared.
        let next = self.searchable(next);
        let point = next.point();
        let next = Arc::new(next);
        {
            let mut locked = self.log.write().unwrap_or_else(PoisonError::into_inner);
            log(&mut locked, point);
            self.current.store(next.clone());
        }
        self.indexer.wake_if_merge_due(&next);
        self.column_builder.wake_if_missing(&next);
        self.newest.send_replace(point.revision);
        point.revision
    }
}

/// The content of a store.
#[derive(Debug)]
pub struct StoreContent {
    /// All movies.
    pub snapshot: Snapshot,
    /// The latest changes, in order, up to the point of the snapshot.
    pub latest: LoadedChanges,
}

/// The latest changes of a store, as the change log keeps them, which takes less memory than [`CommittedChange`]s.
#[derive(Debug, Default)]
pub struct LoadedChanges(ChangeLog);

impl LoadedChanges {
    /// Keeps these changes, which come directly after a point.
    #[must_use]
    pub fn after(oldest: HistoryPoint, changes: &[CommittedChange]) -> Self {
        let mut log = ChangeLog::new(oldest, changes.len());
        let mut movies = HashMap::with_capacity_and_hasher(changes.len(), RandomState::default());
        log.extend(changes.iter().map(|CommittedChange { point, id, record }| {
            // `None` for the first change of a movie, too. Pages do not go back this far, see `Snapshot::ordered_since`.
            let before = movies.insert(&**id, record).and_then(Clone::clone);
            LogEntry { point: *point, id: id.clone(), before, after: record.clone(), previous: None }
        }));
        Self(log)
    }
}

/// Returns the changes that lead from one snapshot to another; `None` if there are more than `max`, or if the snapshots
/// differ only in their order.
fn difference(from: &Snapshot, to: &Snapshot, max: usize) -> Option<Vec<LogEntry>> {
    let mut entries = Vec::new();
    let mut point = from.point();
    let mut push = |id: &str, before: Option<MovieView<'_>>, after: Option<MovieView<'_>>| {
        let [before, after] = [before, after].map(|movie| movie.as_ref().map(Record::new));
        let change = CommittedChange::after(point, id, after);
        point = change.point;
        // Page tokens from before are refused, see `Snapshot::ordered_since`.
        entries.push(LogEntry { point, id: change.id, before, after: change.record, previous: None });
        (entries.len() <= max).then_some(())
    };
    for movie in from.movies().filter(|movie| to.get(movie.id).is_none()) {
        push(movie.id, Some(movie), None)?;
    }
    for movie in to.movies() {
        let before = from.get(movie.id);
        if before != Some(movie) {
            push(movie.id, before, Some(movie))?;
        }
    }
    if entries.is_empty() && !from.movies().map(|movie| movie.id).eq(to.movies().map(|movie| movie.id)) {
        // No movie has changed, but the order has, so the revision cannot be the same.
        return None;
    }
    Some(entries)
}

#[cfg(test)]
mod tests;
