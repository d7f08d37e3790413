//! Movies that a watch has delivered, so that another copy is reduced to its differences.

use std::collections::HashMap;
use std::mem;

use super::{Change, Event};

/// Etags of the delivered movies, by id.
type EtagsById = HashMap<Box<str>, Box<str>>;

/// Movies that a watch with a copy has delivered.
#[derive(Debug, Default)]
pub(super) struct CopyTracker {
    /// Movies of the current copy, with the changes since.
    current: EtagsById,
    /// Movies from before the current copy that have not come in it so far.
    previous: EtagsById,
    /// Revision of the copy, once its first movie has arrived.
    revision: Option<u64>,
    /// Whether movies of the copy may still arrive.
    is_incomplete: bool,
}

impl CopyTracker {
    pub(super) fn new() -> Self {
        Self { is_incomplete: true, ..Self::default() }
    }

    /// Begins another copy.
    pub(super) fn restart(&mut self) {
        let current = mem::take(&mut self.current);
        self.previous.extend(current);
        self.revision = None;
        self.is_incomplete = true;
    }

    /// Processes a change. Emits it unless the watch has delivered it before. The end of a copy also emits the
    /// deletion of each movie that was not in the copy.
    pub(super) fn take(&mut self, change: Change, mut emit: impl FnMut(Change)) {
        if self.is_incomplete && !self.is_part_of_copy(&change) {
            self.is_incomplete = false;
            let revision = self.revision.unwrap_or(change.revision);
            for id in mem::take(&mut self.previous).into_keys() {
                emit(Change { revision, event: Event::Deleted(id.into()), resume_token: String::new() });
            }
        }
        let is_new = match &change.event {
            Event::Upserted(movie) => {
                let previous = self.previous.remove(movie.id.as_str());
                self.current.insert(movie.id.as_str().into(), movie.etag.as_str().into());
                previous.as_deref() != Some(movie.etag.as_str())
            }
            Event::Deleted(id) => {
                self.current.remove(id.as_str());
                true
            }
            Event::CaughtUp => true,
        };
        if is_new {
            emit(change);
        }
    }

    /// Returns whether the change is a movie of the copy. All movies of a copy have its revision.
    fn is_part_of_copy(&mut self, change: &Change) -> bool {
        matches!(change.event, Event::Upserted(_))
            && *self.revision.get_or_insert(change.revision) == change.revision
    }
}
