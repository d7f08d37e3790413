//! The change log: the latest changes, in the order of their revisions, for watchers and past pages.

mod stored;

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use self::stored::StoredChanges;
use crate::catalogue::encoding::record::Record;
use crate::catalogue::history::HistoryPoint;
use crate::catalogue::snapshot::Snapshot;
use crate::movie::Revision;

/// A change that was made to the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// The history point after this change.
    pub point: HistoryPoint,
    /// The id of the movie.
    pub id: Box<str>,
    /// The movie before the change; `None` if there was none.
    pub before: Option<Record>,
    /// The movie after the change; `None` if it was removed.
    pub after: Option<Record>,
    /// If the movie was removed: the id of the movie listed before it, if any.
    pub previous: Option<Box<str>>,
}

/// Error of reading the changes after a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangesError {
    /// They are no longer kept.
    Compacted {
        /// The oldest revision after which all changes are kept.
        oldest: Revision,
    },
    /// The catalogue does not continue the history of that point.
    HistoryChanged,
    /// The point is ahead of the catalogue.
    Ahead {
        /// The revision of the catalogue.
        newest: Revision,
    },
}

/// The latest changes, up to a maximum number.
///
/// A change is kept without the movie after it: if the movie was changed again, the later change has it, and otherwise
/// the current snapshot.
#[derive(Debug, Default)]
pub(crate) struct ChangeLog {
    changes: StoredChanges,
    /// The latest change of each movie, as its number among all changes.
    latest: HashTable<u64>,
    hasher: RandomState,
    /// The point before the first entry.
    oldest: HistoryPoint,
    /// Maximum number of changes to keep.
    capacity: usize,
    /// Highest revision of any abandoned history: a revision up to it is ambiguous without a chain value.
    max_abandoned: Option<Revision>,
}

impl ChangeLog {
    /// Keeps up to `capacity` changes after a point.
    pub(crate) fn new(oldest: HistoryPoint, capacity: usize) -> Self {
        Self { oldest, capacity, ..Self::default() }
    }

    /// Returns the same log with another maximum number of changes. Drops the oldest ones beyond it.
    pub(crate) fn with_capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        while self.changes.len() > capacity {
            self.drop_oldest();
        }
        self
    }

    /// Returns the maximum number of changes to keep.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Adds the next changes. Drops the oldest ones beyond the capacity.
    pub(crate) fn extend(&mut self, entries: impl IntoIterator<Item = LogEntry>) {
        for entry in entries {
            self.push(&entry);
            if self.changes.len() > self.capacity {
                self.drop_oldest();
            }
        }
    }

    fn push(&mut self, entry: &LogEntry) {
        let Self { changes, latest, hasher, oldest, .. } = self;
        let first = oldest.revision.number() + 1;
        let number = first + changes.len() as u64;
        let id = |number: &u64| changes.get(index(*number - first)).id();
        let hash = hasher.hash_one(&*entry.id);
        let found =
            latest.entry(hash, |number| id(number) == &*entry.id, |number| hasher.hash_one(id(number)));
        match found {
            Entry::Occupied(mut earlier) => {
                let earlier = std::mem::replace(earlier.get_mut(), number);
                changes.set_next(index(earlier - first), number - earlier);
            }
            Entry::Vacant(vacant) => drop(vacant.insert(number)),
        }
        changes.push(entry);
    }

    fn drop_oldest(&mut self) {
        let oldest = self.changes.get(0);
        self.oldest = HistoryPoint { revision: self.oldest.revision.plus(1), chain: oldest.chain };
        if oldest.next == 0 {
            let number = self.oldest.revision.number();
            if let Ok(latest) =
                self.latest.find_entry(self.hasher.hash_one(oldest.id()), |latest| *latest == number)
            {
                latest.remove();
            }
        }
        self.changes.pop_front();
    }

    /// Drops all changes; the log now starts at `point`.
    pub(crate) fn skip_to(&mut self, point: HistoryPoint) {
        self.changes.clear();
        self.latest.clear();
        self.oldest = point;
    }

    /// Takes over from `earlier`. If this log does not contain the latest point of `earlier`, its history counts as
    /// abandoned.
    pub(crate) fn supersede(&mut self, earlier: &Self) {
        let newest = earlier.newest();
        self.max_abandoned = match self.point_at(newest.revision) {
            Ok(point) if point == newest => earlier.max_abandoned,
            Ok(_) | Err(_) => earlier.max_abandoned.max(Some(newest.revision)),
        };
    }

    /// Returns the point of the latest change.
    pub(crate) fn newest(&self) -> HistoryPoint {
        self.changes.len().checked_sub(1).map_or(self.oldest, |last| self.point(last))
    }

    /// Returns the point after the change at this position.
    fn point(&self, position: usize) -> HistoryPoint {
        let revision = self.oldest.revision.plus(position as u64 + 1);
        HistoryPoint { revision, chain: self.changes.get(position).chain }
    }

    /// Returns the point at a revision. Does not check whether the revision is one of an abandoned history; see
    /// [`Self::known_point_at`].
    pub(crate) fn point_at(&self, revision: Revision) -> Result<HistoryPoint, ChangesError> {
        match revision.since(self.oldest.revision) {
            None => Err(ChangesError::Compacted { oldest: self.oldest.revision }),
            Some(0) => Ok(self.oldest),
            Some(number) => match index(number - 1) {
                position if position < self.changes.len() => Ok(self.point(position)),
                _ if self.is_ambiguous(revision) => Err(ChangesError::HistoryChanged),
                _ => Err(ChangesError::Ahead { newest: self.newest().revision }),
            },
        }
    }

    /// Returns the point at a revision, if no abandoned history had that revision.
    pub(crate) fn known_point_at(&self, revision: Revision) -> Result<HistoryPoint, ChangesError> {
        let point = self.point_at(revision)?;
        if self.is_ambiguous(revision) { Err(ChangesError::HistoryChanged) } else { Ok(point) }
    }

    /// Returns whether an abandoned history had this revision, too.
    fn is_ambiguous(&self, revision: Revision) -> bool {
        self.max_abandoned.is_some_and(|abandoned| revision <= abandoned)
    }

    /// Returns up to `max` changes after a point. `current` is the snapshot after the newest change.
    pub(crate) fn after(
        &self,
        point: HistoryPoint,
        max: usize,
        current: &Snapshot,
    ) -> Result<Vec<LogEntry>, ChangesError> {
        if self.point_at(point.revision)? != point {
            return Err(ChangesError::HistoryChanged);
        }
        let skipped = index(point.revision.since(self.oldest.revision).unwrap_or_default());
        let end = self.changes.len().min(skipped.saturating_add(max));
        Ok((skipped..end).map(|position| self.entry(position, current)).collect())
    }

    fn entry(&self, position: usize, current: &Snapshot) -> LogEntry {
        let change = self.changes.get(position);
        let id = change.id();
        let after = match change.next {
            _ if change.is_removal() => None,
            0 => current.get(id).as_ref().map(Record::new),
            distance => self.changes.get(position + distance).before(),
        };
        LogEntry {
            point: self.point(position),
            id: id.into(),
            before: change.before(),
            after,
            previous: change.previous().map(Into::into),
        }
    }
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::history::ChainValue;

    /// Returns the point at a revision of a history.
    fn point(history: u8, revision: u64) -> HistoryPoint {
        HistoryPoint { revision: Revision::new(revision), chain: ChainValue::from_bytes([history; 16]) }
    }

    fn log(history: u8, oldest: u64, newest: u64, capacity: usize) -> ChangeLog {
        let mut log = ChangeLog::new(point(history, oldest), capacity);
        log.extend((oldest + 1..=newest).map(|revision| LogEntry {
            point: point(history, revision),
            id: "7".into(),
            before: None,
            after: None,
            previous: None,
        }));
        log
    }

    fn revisions(log: &ChangeLog, after: HistoryPoint) -> Result<Vec<u64>, ChangesError> {
        Ok(log
            .after(after, 2, &Snapshot::default())?
            .iter()
            .map(|entry| entry.point.revision.number())
            .collect())
    }

    #[test]
    fn kept_changes_are_returned_in_order_and_dropped_ones_are_an_error() {
        let mut log = log(1, 10, 15, 3);
        let compacted = |oldest| Err(ChangesError::Compacted { oldest: Revision::new(oldest) });
        assert_eq!(revisions(&log, point(1, 11)), compacted(12));
        assert_eq!(revisions(&log, point(1, 12)), Ok(vec![13, 14]));
        assert_eq!(revisions(&log, point(1, 14)), Ok(vec![15]));
        assert_eq!(revisions(&log, point(1, 15)), Ok(vec![]));
        assert_eq!(revisions(&log, point(1, 16)), Err(ChangesError::Ahead { newest: Revision::new(15) }));
        log.skip_to(point(1, 40));
        assert_eq!(revisions(&log, point(1, 15)), compacted(40));
        assert_eq!(revisions(&log, point(1, 40)), Ok(vec![]));
    }

    #[test]
    fn a_point_of_another_history_is_not_followed_wherever_it_is() {
        let log = log(1, 10, 15, 100);
        for revision in 10..=15 {
            assert_eq!(revisions(&log, point(2, revision)), Err(ChangesError::HistoryChanged));
        }
    }

    #[test]
    fn a_bare_revision_that_an_abandoned_history_had_is_not_of_this_one() {
        let old = log(1, 10, 25, 100);
        let mut new = log(2, 10, 22, 100);
        new.supersede(&old);
        assert_eq!(new.known_point_at(Revision::new(20)), Err(ChangesError::HistoryChanged));
        assert_eq!(new.known_point_at(Revision::new(25)), Err(ChangesError::HistoryChanged));
        assert_eq!(
            new.known_point_at(Revision::new(26)),
            Err(ChangesError::Ahead { newest: Revision::new(22) })
        );
        assert_eq!(
            new.known_point_at(Revision::new(5)),
            Err(ChangesError::Compacted { oldest: Revision::new(10) })
        );
        // With its chain value, it is known to be of this history.
        assert_eq!(revisions(&new, point(2, 20)), Ok(vec![21, 22]));
        // A third history still refuses what the first one had.
        let mut newer = log(3, 10, 30, 100);
        newer.supersede(&new);
        assert_eq!(newer.known_point_at(Revision::new(25)), Err(ChangesError::HistoryChanged));
        assert_eq!(newer.known_point_at(Revision::new(26)), Ok(point(3, 26)));
    }

    #[test]
    fn a_log_that_goes_on_from_the_earlier_one_abandons_nothing() {
        let mut longer = log(1, 10, 30, 100);
        longer.supersede(&log(1, 10, 25, 100));
        assert_eq!(longer.known_point_at(Revision::new(20)), Ok(point(1, 20)));
    }
}
