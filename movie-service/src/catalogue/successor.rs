//! The snapshot after some changes.

use crate::catalogue::change::{Change, ChangeError, CommittedChange};
use crate::catalogue::change_log::LogEntry;
use crate::catalogue::encoding::record::Record;
use crate::catalogue::history::HistoryPoint;
use crate::catalogue::layout::segment::Location;
use crate::catalogue::snapshot::Snapshot;

/// The snapshot after some changes, under construction.
pub(super) struct Successor {
    next: Snapshot,
    entries: Vec<LogEntry>,
    /// For each entry, the location of its movie, before the change if it was removed.
    locations: Vec<Location>,
}

impl Successor {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        Self { next: snapshot.clone(), entries: Vec::new(), locations: Vec::new() }
    }

    /// Applies a change. `record` is the movie after the change; `None` if it is removed. Returns the new point.
    pub(super) fn apply(
        &mut self,
        change: Change<'_>,
        record: Option<Record>,
    ) -> Result<HistoryPoint, ChangeError> {
        let next = &mut self.next;
        let known = next.find(change.id().as_bytes());
        let before = known.map(|location| Record::new(&next.movie(location)));
        let mut previous = None;
        let mut added = None;
        match &change {
            Change::Delete(id) => previous = next.delete(id)?,
            Change::Insert(movie) => added = Some(next.insert(movie)?),
            Change::Put(movie) if known.is_none() => added = Some(next.insert(movie)?),
            Change::Update(movie) | Change::Put(movie) => next.update(movie)?,
        }
        self.locations.extend(added.or(known));
        let CommittedChange { point, id, record: after } =
            CommittedChange::after(next.point, change.id(), record);
        next.point = point;
        self.entries.push(LogEntry { point, id, before, after, previous });
        Ok(point)
    }

    /// Returns the snapshot, and the entries of the change log.
    pub(super) fn finish(self) -> Result<(Snapshot, Vec<LogEntry>), ChangeError> {
        let Self { mut next, entries, locations } = self;
        next.index_changes(entries.iter().map(|entry| &*entry.id).zip(locations));
        Ok((next.compact_if_sparse()?, entries))
    }
}
