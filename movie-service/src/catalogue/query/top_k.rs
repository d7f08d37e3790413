//! Top-k selection: the first movies in a sort order.

use std::cmp::Ordering;

use crate::catalogue::encoding::frame::{self, MovieView, PREFIX_BYTES};
use crate::catalogue::encoding::record::Record;
use crate::catalogue::layout::segment::Location;
use crate::catalogue::layout::title_ranks::TitleRanks;
use crate::catalogue::order::{KeyRange, MAX_ORDER_FIELDS, OrderBy, OrderField, SortKey};
use crate::catalogue::snapshot::Snapshot;

/// A movie that may be selected.
#[derive(Clone)]
pub(super) struct Candidate<'a> {
    sort_keys: [SortKey; MAX_ORDER_FIELDS],
    source: MovieSource<'a>,
}

#[derive(Clone)]
enum MovieSource<'a> {
    Location(Location),
    Record(&'a Record),
}

impl<'a> Candidate<'a> {
    /// Returns the candidate at a location of the snapshot, with the sort keys of its fields.
    pub(super) fn at(
        location: Location,
        order: &[OrderBy],
        sort_key: impl Fn(OrderField) -> SortKey,
    ) -> Self {
        Self { sort_keys: keys(order, sort_key), source: MovieSource::Location(location) }
    }

    /// Returns the candidate for a record, with the sort keys of its fields.
    pub(super) fn of_record(order: &[OrderBy], record: &'a Record, ranks: &TitleRanks) -> Self {
        let movie = record.movie();
        let sort_keys = keys(order, |field| match field {
            OrderField::Title => ranks.rank(movie.title).into(),
            OrderField::Year
            | OrderField::Rating
            | OrderField::RatingCount
            | OrderField::CreateTime
            | OrderField::UpdateTime => field.sort_key(&movie),
        });
        Self { sort_keys, source: MovieSource::Record(record) }
    }

    fn title(&self, snapshot: &'a Snapshot) -> &'a [u8] {
        frame::title(match self.source {
            MovieSource::Location(location) => &snapshot.frame_at(location)[PREFIX_BYTES..],
            MovieSource::Record(record) => record.bytes(),
        })
    }

    fn movie(&self, snapshot: &'a Snapshot) -> MovieView<'a> {
        match self.source {
            MovieSource::Location(location) => snapshot.movie(location),
            MovieSource::Record(record) => record.movie(),
        }
    }
}

fn keys(order: &[OrderBy], sort_key: impl Fn(OrderField) -> SortKey) -> [SortKey; MAX_ORDER_FIELDS] {
    let mut keys = [0; MAX_ORDER_FIELDS];
    keys.iter_mut().zip(order).for_each(|(key, by)| *key = by.directed(sort_key(by.field)));
    keys
}

/// Selects the first `size` candidates that come after `start`.
pub(super) struct TopK<'a> {
    snapshot: &'a Snapshot,
    order: &'a [OrderBy],
    start: Option<Candidate<'a>>,
    size: usize,
    /// Up to 2 × `size`, so that the cost of pruning is amortised.
    candidates: Vec<Candidate<'a>>,
    /// The last of the best `size` candidates at the latest pruning; `None` before.
    last: Option<Candidate<'a>>,
}

impl<'a> TopK<'a> {
    /// Selects `size` movies of a snapshot, or of changed records, that come after `start`.
    pub(super) fn new(
        snapshot: &'a Snapshot,
        order: &'a [OrderBy],
        start: Option<Candidate<'a>>,
        size: usize,
    ) -> Self {
        Self { snapshot, order, start, size, candidates: Vec::new(), last: None }
    }

    /// Returns the range of the first sort keys of candidates that may be selected.
    pub(super) fn range(&self) -> KeyRange {
        let first = self.start.as_ref().map_or(0, |start| start.sort_keys[0]);
        first..=self.last.as_ref().map_or(SortKey::MAX, |last| last.sort_keys[0])
    }

    /// Adds a candidate if it may be selected.
    pub(super) fn offer(&mut self, candidate: Candidate<'a>) {
        let is_late = self.last.as_ref().is_some_and(|last| self.compare(&candidate, last).is_ge());
        if is_late || self.start.as_ref().is_some_and(|start| self.compare(&candidate, start).is_le()) {
            return;
        }
        self.candidates.push(candidate);
        if self.candidates.len() == 2 * self.size {
            self.prune();
        }
    }

    fn prune(&mut self) {
        let mut candidates = std::mem::take(&mut self.candidates);
        if candidates.len() > self.size {
            candidates.select_nth_unstable_by(self.size - 1, |one, other| self.compare(one, other));
            candidates.truncate(self.size);
            self.last = candidates.last().cloned();
        }
        self.candidates = candidates;
    }

    /// Returns the selected movies, in order.
    pub(super) fn finish(mut self) -> Vec<Record> {
        self.prune();
        let mut candidates = std::mem::take(&mut self.candidates);
        candidates.sort_unstable_by(|one, other| self.compare(one, other));
        candidates.iter().map(|candidate| Record::new(&candidate.movie(self.snapshot))).collect()
    }

    fn compare(&self, one: &Candidate<'a>, other: &Candidate<'a>) -> Ordering {
        let mut fields = (0..self.order.len()).map(|field| self.compare_by(field, one, other));
        let by_id = || one.movie(self.snapshot).id.cmp(other.movie(self.snapshot).id);
        fields.find(|ordering| ordering.is_ne()).unwrap_or_else(by_id)
    }

    /// Compares two candidates by one field of the order.
    fn compare_by(&self, field: usize, one: &Candidate<'a>, other: &Candidate<'a>) -> Ordering {
        let (by, by_key) = (self.order[field], one.sort_keys[field].cmp(&other.sort_keys[field]));
        if by.field == OrderField::Title && by_key.is_eq() {
            return by.compare_titles(one.title(self.snapshot), other.title(self.snapshot));
        }
        by_key
    }
}
