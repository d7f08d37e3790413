//! Conversion between table rows and domain types.

use std::collections::HashMap;
use std::error::Error;

use crate::catalogue::{Builder, ChainValue, Committed, Draft, HistoryPoint, Loaded, Record, Snapshot};
use crate::movie::Revision;
use crate::store::StoreError;

/// Returns a number as the store has it.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Reads a revision.
pub(super) fn revision(revision: i64) -> Result<Revision, StoreError> {
    Revision::try_from(revision).map_err(|_| StoreError::Damaged(format!("it has the revision {revision}")))
}

/// Reads a revision and its chain value.
pub(super) fn point(revision: i64, chain: &[u8]) -> Result<HistoryPoint, StoreError> {
    let revision = self::revision(revision)?;
    let chain = chain
        .try_into()
        .map_err(|_| StoreError::Damaged(format!("the chain value of revision {revision} is none")))?;
    Ok(HistoryPoint { revision, chain: ChainValue::from_bytes(chain) })
}

/// Reads the movie of a row of an id and a movie.
pub(super) fn record(id: &str, bytes: Vec<u8>) -> Result<Record, StoreError> {
    Record::from_bytes(bytes.into(), id)
        .ok_or_else(|| StoreError::Damaged(format!("what it has of movie `{id}` is no movie")))
}

/// Reads a row of the change log.
pub(super) fn change(
    revision: i64,
    id: &str,
    movie: Option<Vec<u8>>,
    chain: &[u8],
) -> Result<Committed, StoreError> {
    let point = point(revision, chain)?;
    let record = movie.map(|bytes| record(id, bytes)).transpose()?;
    Ok(Committed { point, id: id.into(), record })
}

/// Returns the changes after a revision up to another, if the rows are all of them.
pub(in crate::store) fn changes_between(
    changes: Vec<Committed>,
    after: Revision,
    up_to: Revision,
) -> Result<Vec<Committed>, StoreError> {
    let revisions = changes.iter().map(|change| change.point.revision.number());
    if revisions.eq(after.number() + 1..=up_to.number()) {
        Ok(changes)
    } else {
        Err(StoreError::Compacted(after))
    }
}

/// Puts together what a store holds: its movies, and the latest rows of the change log, oldest first. The first row
/// only provides the chain value at which the history starts.
pub(super) fn loaded(
    snapshot: Snapshot,
    head: HistoryPoint,
    rows: Vec<Committed>,
) -> Result<Loaded, StoreError> {
    let snapshot = snapshot.at(head);
    let mut rows = rows.into_iter();
    let Some(Committed { point: oldest, .. }) = rows.next() else {
        return Ok(Loaded { snapshot, oldest: head, latest: Vec::new() });
    };
    let latest: Vec<_> = rows.collect();
    let revisions = latest.iter().map(|change| change.point.revision.number());
    if !revisions.eq(oldest.revision.number() + 1..=head.revision.number())
        || latest.last().map_or(oldest, |last| last.point) != head
    {
        return Err(StoreError::Damaged("its change log does not lead to its latest revision".into()));
    }
    Ok(Loaded { snapshot, oldest, latest })
}

/// Movies that are read one after the other, in listing order.
#[derive(Default)]
pub(super) struct Movies {
    draft: Draft,
    builder: Builder,
}

impl Movies {
    /// Adds the next movie.
    pub(super) fn push(&mut self, id: &str, movie: Vec<u8>) -> Result<(), StoreError> {
        let record = record(id, movie)?;
        if let Some(full) = self.draft.push(&record.movie()).map_err(damaged)? {
            self.builder.push(&full).map_err(|(_, error)| damaged(error))?;
        }
        Ok(())
    }

    /// Returns all movies.
    pub(super) fn finish(mut self) -> Result<Snapshot, StoreError> {
        self.builder.push(&self.draft).map_err(|(_, error)| damaged(error))?;
        self.builder.finish().map_err(|(_, error)| damaged(error))
    }
}

fn damaged(error: impl Error) -> StoreError {
    StoreError::Damaged(error.to_string())
}

/// What a transaction does to the table of movies.
#[derive(Default)]
pub(super) struct MovieRows<'a> {
    /// The ids whose row goes first: a movie that was removed and added again has another position.
    pub(super) removed: Vec<&'a str>,
    /// Position, id and movie of the rows that are added or, where the id is there, replaced.
    pub(super) upserted: Vec<(Revision, &'a str, &'a Record)>,
}

impl<'a> MovieRows<'a> {
    /// Returns what these changes do: the last change of a movie counts.
    pub(super) fn after(changes: &'a [Committed]) -> Self {
        let mut last: HashMap<&str, (Revision, Option<&Record>, bool)> =
            HashMap::with_capacity(changes.len());
        for Committed { point, id, record } in changes {
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
        // In the order of the table, which is quicker.
        rows.upserted.sort_unstable_by_key(|(position, ..)| *position);
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::MovieView;

    fn changes(ops: &[(&str, bool)]) -> Vec<Committed> {
        let mut point = HistoryPoint::default();
        let change = |(id, is_there): &(&str, bool)| {
            let record =
                is_there.then(|| Record::new(&MovieView { id, title: "Creed", ..MovieView::default() }));
            let change = Committed::after(point, id, record);
            point = change.point;
            change
        };
        ops.iter().map(change).collect()
    }

    #[test]
    fn a_movie_that_is_removed_and_added_again_has_the_position_of_the_last_addition() {
        let changes = changes(&[
            ("1", true),
            ("2", true),
            ("1", false),
            ("3", true),
            ("1", true),
            ("1", true),
            ("2", false),
        ]);
        let rows = MovieRows::after(&changes);
        let upserted: Vec<_> =
            rows.upserted.iter().map(|(position, id, _)| (position.number(), *id)).collect();
        assert_eq!(upserted, [(4, "3"), (5, "1")]);
        let mut removed = rows.removed;
        removed.sort_unstable();
        assert_eq!(removed, ["1", "2"]);
    }

    #[test]
    fn a_change_log_with_a_gap_is_not_followed() {
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
    fn a_change_log_that_leads_elsewhere_is_damaged() {
        let rows = changes(&[("1", true), ("2", true), ("3", true)]);
        let head = rows[2].point;
        let good = loaded(Snapshot::default(), head, rows.clone()).unwrap();
        assert_eq!((good.oldest, good.latest.len()), (rows[0].point, 2));
        let other = HistoryPoint { chain: ChainValue::default(), ..head };
        assert!(matches!(loaded(Snapshot::default(), other, rows), Err(StoreError::Damaged(_))));
    }
}
