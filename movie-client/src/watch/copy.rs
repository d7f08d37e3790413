//! What a watch has told of a copy, so that another copy is told as what differs from it.

use std::collections::HashMap;
use std::mem;

use super::{Change, Event};

/// The movies that were told, by their ids, with their etags.
type Told = HashMap<Box<str>, Box<str>>;

/// What was told by a watch that began with a copy.
#[derive(Debug, Default)]
pub(super) struct Copy {
    /// The movies of the present copy, and then those that the changes since led to.
    told: Told,
    /// Movies that were told before the present copy, as far as they have not come in it.
    before: Told,
    /// The revision of the copy, once a movie of it has come.
    revision: Option<u64>,
    /// Whether movies of the copy may still come.
    is_arriving: bool,
}

impl Copy {
    pub(super) fn new() -> Self {
        Self { is_arriving: true, ..Self::default() }
    }

    /// Begins another copy.
    pub(super) fn begin_again(&mut self) {
        let told = mem::take(&mut self.told);
        self.before.extend(told);
        self.revision = None;
        self.is_arriving = true;
    }

    /// Takes a change, and gives `tell` what it makes news: the change itself, unless it was told, and before it the
    /// removal of what a complete copy did not bring.
    pub(super) fn take(&mut self, change: Change, mut tell: impl FnMut(Change)) {
        if self.is_arriving && !self.holds(&change) {
            self.is_arriving = false;
            let revision = self.revision.unwrap_or(change.revision);
            for id in mem::take(&mut self.before).into_keys() {
                tell(Change { revision, event: Event::Deleted(id.into()), resume_token: String::new() });
            }
        }
        let is_news = match &change.event {
            Event::Upserted(movie) => {
                let before = self.before.remove(movie.id.as_str());
                self.told.insert(movie.id.as_str().into(), movie.etag.as_str().into());
                before.as_deref() != Some(movie.etag.as_str())
            }
            Event::Deleted(id) => {
                self.told.remove(id.as_str());
                true
            }
            Event::CaughtUp => true,
        };
        if is_news {
            tell(change);
        }
    }

    /// Returns whether a change is a movie of the copy. All of these have the revision of the copy.
    fn holds(&mut self, change: &Change) -> bool {
        matches!(change.event, Event::Upserted(_))
            && *self.revision.get_or_insert(change.revision) == change.revision
    }
}
