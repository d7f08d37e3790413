//! The snapshot after some changes.

use crate::catalogue::change::{Change, ChangeError, CommittedChange};
use crate::catalogue::change_log::LogEntry;
use crate::catalogue::encoding::record::Record;
use crate::catalogue::history::HistoryPoint;
use crate::catalogue::layout::segment::{DraftDetails, Location};
use crate::catalogue::snapshot::Snapshot;

/// The snapshot after some changes, under construction.
pub(super) struct Successor {
    next: Snapshot,
    /// Each entry with the location of its movie, before the change if it was removed.
    entries: Vec<(LogEntry, Location)>,
    /// The details of the movies that were added to the last segment, which is incomplete as long as there are any.
    pushed: Option<DraftDetails>,
}

impl Successor {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        Self { next: snapshot.clone(), entries: Vec::new(), pushed: None }
    }

    /// Applies a change. `record` is the movie after the change; `None` if it is removed. Returns the new point.
    pub(super) fn apply(
        &mut self,
        change: Change<'_>,
        record: Option<Record>,
    ) -> Result<HistoryPoint, ChangeError> {
        let Self { next, pushed, .. } = self;
        let known = next.find(change.id().as_bytes());
        if known.is_some() {
            next.complete(pushed);
        }
        let before = known.map(|location| Record::new(&next.movie(location)));
        let (location, previous) = match &change {
            Change::Delete(id) => next.delete(id)?,
            Change::Insert(movie) => (next.insert(movie, pushed)?, None),
            Change::Put(movie) if known.is_none() => (next.insert(movie, pushed)?, None),
            Change::Update(movie) | Change::Put(movie) => (next.update(movie)?, None),
        };
        let CommittedChange { point, id, record: after } =
            CommittedChange::after(next.point, change.id(), record);
        next.point = point;
        self.entries.push((LogEntry { point, id, before, after, previous }, location));
        Ok(point)
    }

    /// Returns the snapshot, and the entries of the change log.
    pub(super) fn finish(self) -> Result<(Snapshot, Vec<LogEntry>), ChangeError> {
        let Self { mut next, entries, mut pushed } = self;
        next.complete(&mut pushed);
        next.index_changes(entries.iter().map(|(entry, location)| (&*entry.id, *location)));
        let entries = entries.into_iter().map(|(entry, _)| entry).collect();
        next.renew_ranks();
        Ok((next.compact_if_sparse()?, entries))
    }
}
