//! The movies in memory, encoded as they travel. Knows nothing of JSON or tonic, and of tokio only a channel.
//!
//! * [`frame`] — one movie as bytes ready to send; `details` — what is known beyond that; `record` — both;
//! * `segment` — some hundred of them in one buffer;
//! * `index` — where the movie with an id is, and `table`, what that is made of;
//! * `cow_vec` — what makes a changed copy of all that cheap;
//! * `snapshot` — the catalogue at one revision, made of the above; it never changes;
//! * `block` — many segments in one piece of memory;
//! * `change` — what can be changed, and what no catalogue may hold; `log` — the latest changes;
//! * `columns` — what movies are searched by; [`query`] — which movies, in which order; [`page`] — a part of those, at a
//!   revision of late; `undo` — what that takes;
//! * [`Catalogue`] — the snapshot that is current, and how it is followed by the next.

mod block;
mod change;
mod columns;
mod cow_vec;
mod details;
pub mod frame;
mod index;
mod log;
pub mod page;
pub mod query;
mod record;
mod segment;
mod snapshot;
mod table;
mod undo;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use arc_swap::ArcSwap;
use tokio::sync::watch;

pub use self::change::{Change, ChangeError, Quoted};
pub use self::details::{Details, Facts};
pub use self::frame::Movie;
use self::log::Log;
pub use self::log::{Compacted, Event};
pub use self::record::Record;
pub use self::segment::Draft;
pub use self::snapshot::{Builder, NotAdded, Snapshot};

/// How many changes a catalogue keeps for those who follow them, unless told otherwise.
pub const KEPT_CHANGES: usize = 100_000;

/// The movies of the service.
///
/// Readers take a [`Snapshot`] and are never blocked; changes are made one batch after the other.
#[derive(Debug)]
pub struct Catalogue {
    current: ArcSwap<Snapshot>,
    /// The latest changes. It is ahead of `current` for a moment, and never behind.
    log: RwLock<Log>,
    newest: watch::Sender<u64>,
    /// Held while the next snapshot is being made.
    changing: Mutex<()>,
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
        Self::keeping(KEPT_CHANGES, snapshot)
    }

    /// Makes a catalogue that keeps so many changes, and starts with these movies.
    #[must_use]
    pub fn keeping(changes: usize, snapshot: Snapshot) -> Self {
        Self {
            log: RwLock::new(Log::new(snapshot.revision(), changes)),
            newest: watch::Sender::new(snapshot.revision()),
            current: ArcSwap::from_pointee(snapshot),
            changing: Mutex::default(),
        }
    }

    /// Makes a catalogue that keeps so many changes, and starts with these movies and the changes that led to them: their
    /// ids, and the movies since or `None`, in order.
    #[must_use]
    pub fn resumed(changes: usize, snapshot: Snapshot, latest: Vec<(Box<str>, Option<Record>)>) -> Self {
        let oldest = snapshot.revision().saturating_sub(latest.len() as u64);
        let events = latest.into_iter().zip(oldest + 1..).map(|((id, after), revision)| {
            // Pages do not go back this far, see `Snapshot::ordered_since`.
            Event { revision, id, before: None, after, previous: None }
        });
        let mut log = Log::new(oldest, changes);
        log.extend(events);
        Self { log: RwLock::new(log), ..Self::keeping(changes, snapshot) }
    }

    /// Returns the movies as they are now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Reads from the movies as they are now; for reads that end at once, as it does without counting
    /// one more owner of the snapshot.
    pub fn read<R>(&self, read: impl FnOnce(&Snapshot) -> R) -> R {
        read(&self.current.load())
    }

    /// Returns up to `most` changes after a revision, in order; none if there was none since.
    ///
    /// # Errors
    ///
    /// [`Compacted`] if some of them are no longer kept.
    pub fn changes(&self, after: u64, most: usize) -> Result<Vec<Arc<Event>>, Compacted> {
        self.log.read().unwrap_or_else(PoisonError::into_inner).after(after, most)
    }

    /// Returns what is told the newest revision.
    #[must_use]
    pub fn newest(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Makes all `changes` or, on an error, none of them. Returns the revision after them: each is one.
    ///
    /// # Errors
    ///
    /// [`ChangeError`] if a change does not fit the movies there are; changes before it in the same
    /// batch count as made.
    pub fn apply<'a>(&self, changes: impl IntoIterator<Item = Change<'a>>) -> Result<u64, ChangeError> {
        let _changing = self.changing();
        let (next, events) = self.current.load().follow(changes)?;
        Ok(self.publish(next, |log, _| log.extend(events)))
    }

    /// Replaces all movies by those of `snapshot`, and tells each difference as a change. Returns the revision after that.
    pub fn replace(&self, snapshot: Snapshot) -> u64 {
        let _changing = self.changing();
        let current = self.current.load_full();
        let most = self.log.read().unwrap_or_else(PoisonError::into_inner).most();
        if let Some(events) = difference(&current, &snapshot, most) {
            let revision = current.revision() + events.len() as u64;
            self.publish(snapshot.at_revision(revision), |log, _| log.extend(events))
        } else {
            // More than are kept: nobody can follow them.
            let revision = current.revision() + (current.len() + snapshot.len()) as u64;
            self.publish(snapshot.at_revision(revision), Log::skip_to)
        }
    }

    /// Replaces all movies by those of `snapshot`, which says its revision. Nobody can follow the changes up to that.
    pub fn reset(&self, snapshot: Snapshot) {
        let _changing = self.changing();
        self.publish(snapshot, Log::skip_to);
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes `next` the current snapshot, once the log has what leads to its revision.
    fn publish(&self, next: Snapshot, log: impl FnOnce(&mut Log, u64)) -> u64 {
        let revision = next.revision();
        log(&mut self.log.write().unwrap_or_else(PoisonError::into_inner), revision);
        self.current.store(Arc::new(next));
        self.newest.send_replace(revision);
        revision
    }
}

/// Returns the changes that lead from one snapshot to another; `None` if there are more than `most`, or if changes do not
/// tell.
fn difference(from: &Snapshot, to: &Snapshot, most: usize) -> Option<Vec<Event>> {
    let mut events = Vec::new();
    let mut push = |id: &str, before: Option<Movie<'_>>, after: Option<Movie<'_>>| {
        let revision = from.revision() + 1 + events.len() as u64;
        let [before, after] = [before, after].map(|movie| movie.as_ref().map(Record::new));
        // Nobody goes back to the order of before, see `Snapshot::ordered_since`.
        events.push(Event { revision, id: id.into(), before, after, previous: None });
        (events.len() <= most).then_some(())
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
    if events.is_empty() && !from.movies().map(|movie| movie.id).eq(to.movies().map(|movie| movie.id)) {
        // Another order is no change to a movie, and yet the revision cannot be the same.
        return None;
    }
    Some(events)
}

#[cfg(test)]
mod tests;
