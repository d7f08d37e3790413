//! The movies in memory, encoded as they travel. Knows nothing of JSON, tonic or tokio.
//!
//! * [`frame`] — one movie as bytes ready to send;
//! * `segment` — some hundred of them in one buffer;
//! * `index` — where the movie with an id is, and `table`, what that is made of;
//! * `cow_vec` — what makes a changed copy of all that cheap;
//! * `snapshot` — the catalogue at one revision, made of the above; it never changes;
//! * `block` — many segments in one piece of memory;
//! * `change` — what can be changed, and what no catalogue may hold;
//! * [`Catalogue`] — the snapshot that is current, and how it is followed by the next.

mod block;
mod change;
mod cow_vec;
pub mod frame;
mod index;
mod segment;
mod snapshot;
mod table;

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

pub use self::change::{Change, ChangeError, Quoted};
pub use self::frame::Movie;
pub use self::segment::Draft;
pub use self::snapshot::{Builder, NotAdded, Snapshot};

/// The movies of the service.
///
/// Readers take a [`Snapshot`] and are never blocked; changes are made one batch after the other.
#[derive(Debug, Default)]
pub struct Catalogue {
    current: ArcSwap<Snapshot>,
    /// Held while the next snapshot is being made.
    changing: Mutex<()>,
}

impl Catalogue {
    /// Makes a catalogue that starts with these movies.
    #[must_use]
    pub fn new(snapshot: Snapshot) -> Self {
        Self { current: ArcSwap::from_pointee(snapshot), changing: Mutex::default() }
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

    /// Makes all `changes` or, on an error, none of them. Returns the revision after them.
    ///
    /// # Errors
    ///
    /// [`ChangeError`] if a change does not fit the movies there are; changes before it in the same
    /// batch count as made.
    pub fn apply<'a>(&self, changes: impl IntoIterator<Item = Change<'a>>) -> Result<u64, ChangeError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let next = self.current.load().with(changes)?;
        let revision = next.revision();
        self.current.store(Arc::new(next));
        Ok(revision)
    }

    /// Replaces all movies by those of `snapshot`. Returns the revision after that.
    pub fn replace(&self, snapshot: Snapshot) -> u64 {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let next = snapshot.at_revision(self.current.load().revision() + 1);
        let revision = next.revision();
        self.current.store(Arc::new(next));
        revision
    }
}

#[cfg(test)]
mod tests;
