//! The latest changes, in the order of their revisions, for those who follow them.

use std::collections::VecDeque;
use std::sync::Arc;

use super::record::Record;

/// A change that was made to the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The revision of the catalogue with this change.
    pub revision: u64,
    /// The id of the movie.
    pub id: Box<str>,
    /// The movie before; `None` if it was not there.
    pub before: Option<Record>,
    /// The movie since; `None` if it was removed.
    pub after: Option<Record>,
    /// For a movie that was removed: the id of the movie that was listed before it, if any was.
    pub previous: Option<Box<str>>,
}

/// The changes after some revision are no longer kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// The oldest revision after which all are.
    pub oldest: u64,
}

/// A bounded number of changes, up to the latest.
#[derive(Debug)]
pub(super) struct Log {
    events: VecDeque<Arc<Event>>,
    /// The revision before the first of them.
    oldest: u64,
    most: usize,
}

impl Log {
    /// Keeps up to `most` changes after `revision`.
    pub(super) fn new(revision: u64, most: usize) -> Self {
        Self { events: VecDeque::new(), oldest: revision, most }
    }

    /// Returns how many changes are kept at most.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Adds the changes that come next. What is too much is dropped, the oldest first.
    pub(super) fn extend(&mut self, events: impl IntoIterator<Item = Event>) {
        for event in events {
            self.events.push_back(Arc::new(event));
            if self.events.len() > self.most
                && let Some(dropped) = self.events.pop_front()
            {
                self.oldest = dropped.revision;
            }
        }
    }

    /// Forgets all changes: those up to `revision` are not told.
    pub(super) fn skip_to(&mut self, revision: u64) {
        self.events.clear();
        self.oldest = revision;
    }

    /// Returns up to `most` changes after a revision.
    pub(super) fn after(&self, revision: u64, most: usize) -> Result<Vec<Arc<Event>>, Compacted> {
        let Some(skipped) = revision.checked_sub(self.oldest) else {
            return Err(Compacted { oldest: self.oldest });
        };
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        Ok(self.events.iter().skip(skipped).take(most).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(revision: u64) -> Event {
        Event { revision, id: "7".into(), before: None, after: None, previous: None }
    }

    fn revisions(log: &Log, revision: u64) -> Result<Vec<u64>, u64> {
        let events = log.after(revision, 2).map_err(|compacted| compacted.oldest)?;
        Ok(events.iter().map(|event| event.revision).collect())
    }

    #[test]
    fn what_is_kept_is_told_in_order_and_what_is_not_is_an_error() {
        let mut log = Log::new(10, 3);
        assert_eq!(revisions(&log, 10), Ok(vec![]));
        log.extend((11..=15).map(event));
        assert_eq!(revisions(&log, 11), Err(12));
        assert_eq!(revisions(&log, 12), Ok(vec![13, 14]));
        assert_eq!(revisions(&log, 14), Ok(vec![15]));
        assert_eq!(revisions(&log, 15), Ok(vec![]));
        assert_eq!(revisions(&log, 20), Ok(vec![]));
        log.skip_to(40);
        assert_eq!(revisions(&log, 15), Err(40));
        assert_eq!(revisions(&log, 40), Ok(vec![]));
    }
}
