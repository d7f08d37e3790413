//! Conversion between table rows and domain types, and the effect of a transaction on the tables. Common to both
//! engines.

use std::collections::HashMap;
use std::error::Error;

use crate::catalogue::{
    Builder, ChainValue, CommittedChange, Draft, HistoryPoint, LoadedChanges, MovieView, Record, Snapshot,
};
use crate::movie::{Revision, Timestamp};
use crate::store::StoreError;

/// Converts the column of a revision.
pub(super) fn revision(revision: i64) -> Result<Revision, StoreError> {
    Revision::try_from(revision).map_err(|_| StoreError::Damaged(format!("revision {revision} is negative")))
}

/// Converts the columns of a revision and its chain value.
pub(super) fn point(revision: i64, chain: &[u8]) -> Result<HistoryPoint, StoreError> {
    let revision = self::revision(revision)?;
    let chain = chain.try_into().map_err(|_| {
        StoreError::Damaged(format!("the chain value of revision {revision} does not have 16 bytes"))
    })?;
    Ok(HistoryPoint { revision, chain: ChainValue::from_bytes(chain) })
}

/// Converts the columns of an id and a movie.
pub(super) fn record(id: &str, bytes: Vec<u8>) -> Result<Record, StoreError> {
    Record::from_bytes(bytes.into(), id).ok_or_else(|| undecodable(id))
}

fn undecodable(id: &str) -> StoreError {
    StoreError::Damaged(format!("the record of movie `{id}` cannot be decoded"))
}

/// Converts a row of the change log.
pub(super) fn change(
    revision: i64,
    id: &str,
    movie: Option<Vec<u8>>,
    chain: &[u8],
) -> Result<CommittedChange, StoreError> {
    let point = point(revision, chain)?;
    let record = movie.map(|bytes| record(id, bytes)).transpose()?;
    Ok(CommittedChange { point, id: id.into(), record })
}

/// Checks that the rows are all changes after one revision up to another, and returns them.
pub(in crate::store) fn changes_between(
    changes: Vec<CommittedChange>,
    after: Revision,
    up_to: Revision,
) -> Result<Vec<CommittedChange>, StoreError> {
    let revisions = changes.iter().map(|change| change.point.revision.number());
    if revisions.eq(after.number() + 1..=up_to.number()) {
        Ok(changes)
    } else {
        Err(StoreError::Compacted(after))
    }
}

/// Returns the latest rows of the change log, oldest first. The first row only provides the chain value at which the history
/// starts.
pub(super) fn latest(head: HistoryPoint, rows: &[CommittedChange]) -> Result<LoadedChanges, StoreError> {
    let Some((CommittedChange { point: oldest, .. }, latest)) = rows.split_first() else {
        return Ok(LoadedChanges::after(head, &[]));
    };
    let revisions = latest.iter().map(|change| change.point.revision.number());
    if !revisions.eq(oldest.revision.number() + 1..=head.revision.number())
        || latest.last().map_or(*oldest, |last| last.point) != head
    {
        return Err(StoreError::Damaged("the change log does not end at the latest revision".into()));
    }
    Ok(LoadedChanges::after(*oldest, latest))
}

/// Builds a snapshot from the rows of movies, in listing order.
#[derive(Default)]
pub(super) struct Movies {
    count: usize,
    draft: Draft,
    builder: Builder,
}

impl Movies {
    /// Adds the next movie.
    pub(super) fn push(&mut self, id: &str, record: &[u8]) -> Result<(), StoreError> {
        let movie = MovieView::of_record(record).filter(|movie| movie.id == id);
        let movie = movie.ok_or_else(|| undecodable(id))?;
        self.count += 1;
        if let Some(full) = self.draft.push(&movie).map_err(damaged)? {
            self.builder.append(&full).map_err(damaged)?;
        }
        Ok(())
    }

    /// Returns the snapshot of all movies.
    pub(super) fn finish(mut self) -> Result<Snapshot, StoreError> {
        self.builder.append(&self.draft).map_err(damaged)?;
        // Now that their number is known, the index has its size from the start.
        self.builder.reserve(self.count);
        self.builder.finish().map_err(|(_, error)| damaged(error))
    }
}

fn damaged(error: impl Error) -> StoreError {
    StoreError::Damaged(error.to_string())
}

/// Changes of a transaction to the table of movies.
#[derive(Default)]
pub(super) struct MovieRows<'a> {
    /// Ids of rows to delete, before the upserts: a movie that was deleted and created again has another position.
    pub(super) removed: Vec<&'a str>,
    /// Position, id and record of the rows to insert or, if the id exists, to update.
    pub(super) upserted: Vec<(Revision, &'a str, &'a Record)>,
}

impl<'a> MovieRows<'a> {
    /// Returns the effect of these changes. Only the last change of a movie counts.
    pub(super) fn of(changes: &'a [CommittedChange]) -> Self {
        let mut last: HashMap<&str, (Revision, Option<&Record>, bool)> =
            HashMap::with_capacity(changes.len());
        for CommittedChange { point, id, record } in changes {
            let (position, latest, is_removed) = last.entry(id).or_insert((point.revision, None, false));
            if latest.is_none() {
                *position = point.revision;
            }
            *latest = record.as_ref();
            *is_removed |= record.is_none();
        }
        let mut rows = Self::default();
        for (id, (position, record, is_removed)) in last {
            if is_removed {
                rows.removed.push(id);
            }
            if let Some(record) = record {
                rows.upserted.push((position, id, record));
            }
        }
        // Inserting in the order of the table is faster.
        rows.upserted.sort_unstable_by_key(|(position, ..)| *position);
        rows
    }
}

/// The first movies of a store, in listing order.
pub(super) struct FirstMovies<I> {
    pub(super) count: usize,
    pub(super) movies: I,
    /// When they are created.
    pub(super) now: Timestamp,
    /// Maximum number of changes in the log.
    pub(super) max_kept: u64,
}

impl<'a, I: Iterator<Item = MovieView<'a>>> FirstMovies<I> {
    /// Returns the oldest revision whose row of the log is kept, as after a compaction.
    pub(super) fn oldest_kept(&self) -> Revision {
        Revision::default().plus(self.count as u64).minus(self.max_kept)
    }

    /// Returns the changes that create the movies, after the `start` of the history.
    pub(super) fn changes(self, start: HistoryPoint) -> impl Iterator<Item = CommittedChange> {
        self.movies.scan(start, move |point, movie| {
            let change = CommittedChange::after(*point, movie.id, Some(Record::created(&movie, self.now)));
            *point = change.point;
            Some(change)
        })
    }
}

/// One pass of compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Compaction {
    /// Changes and requests before this revision are removed. The row before the oldest kept change stays, for its chain
    /// value.
    pub(super) before: i64,
    /// Whether another pass has to follow.
    pub(super) has_more: bool,
}

impl Compaction {
    /// Plans the removal of up to `max_removed` changes that are older than the latest `max_kept`. `oldest` is the revision
    /// of the oldest row. `None` if there is nothing to remove.
    pub(super) fn plan(
        head: Revision,
        oldest: Option<Revision>,
        max_kept: u64,
        max_removed: u64,
    ) -> Option<Self> {
        let oldest = oldest?;
        let target = head.minus(max_kept);
        let before = target.min(oldest.plus(max_removed));
        (oldest < before).then(|| Self { before: before.to_i64(), has_more: before < target })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(ops: &[(&str, bool)]) -> Vec<CommittedChange> {
        let mut point = HistoryPoint::default();
        let change = |(id, is_there): &(&str, bool)| {
            let record =
                is_there.then(|| Record::new(&MovieView { id, title: "Creed", ..MovieView::default() }));
            let change = CommittedChange::after(point, id, record);
            point = change.point;
            change
        };
        ops.iter().map(change).collect()
    }

    #[test]
    fn a_movie_that_is_deleted_and_created_again_has_the_position_of_its_last_creation() {
        let changes = changes(&[
            ("1", true),
            ("2", true),
            ("1", false),
            ("3", true),
            ("1", true),
            ("1", true),
            ("2", false),
        ]);
        let rows = MovieRows::of(&changes);
        let upserted: Vec<_> =
            rows.upserted.iter().map(|(position, id, _)| (position.number(), *id)).collect();
        assert_eq!(upserted, [(4, "3"), (5, "1")]);
        let mut removed = rows.removed;
        removed.sort_unstable();
        assert_eq!(removed, ["1", "2"]);
    }

    #[test]
    fn a_change_log_with_a_gap_is_not_applied() {
        let at = Revision::new;
        let mut all = changes(&[("1", true), ("2", true), ("3", true)]);
        assert!(changes_between(all.clone(), at(0), at(3)).is_ok());
        assert!(
            matches!(changes_between(all.clone(), at(0), at(4)), Err(StoreError::Compacted(from)) if from == at(0))
        );
        all.remove(1);
        assert!(
            matches!(changes_between(all, at(0), at(3)), Err(StoreError::Compacted(from)) if from == at(0))
        );
    }

    #[test]
    fn a_change_log_that_ends_at_another_point_is_damaged() {
        let rows = changes(&[("1", true), ("2", true), ("3", true)]);
        let head = rows[2].point;
        latest(head, &rows).unwrap();
        let other = HistoryPoint { chain: ChainValue::default(), ..head };
        assert!(matches!(latest(other, &rows), Err(StoreError::Damaged(_))));
    }

    #[test]
    fn a_pass_of_compaction_removes_the_oldest_changes_beyond_those_that_are_kept() {
        let plan = |head, oldest: Option<u64>| {
            let plan = Compaction::plan(Revision::new(head), oldest.map(Revision::new), 10, 5);
            plan.map(|Compaction { before, has_more }| (before, has_more))
        };
        assert_eq!(plan(100, Some(0)), Some((5, true)));
        assert_eq!(plan(100, Some(85)), Some((90, false)));
        assert_eq!(plan(100, Some(89)), Some((90, false)));
        assert_eq!(plan(100, Some(90)), None);
        assert_eq!(plan(5, Some(0)), None);
        assert_eq!(plan(100, None), None);
        assert_eq!(Compaction::plan(Revision::new(100), Some(Revision::default()), u64::MAX, 5), None);
    }
}
