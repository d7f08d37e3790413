//! One page of a query's results, at a recent revision.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::catalogue::Movie;
use crate::catalogue::change_log::Event;
use crate::catalogue::encoding::frame::{self, PREFIX};
use crate::catalogue::encoding::record::Record;
use crate::catalogue::layout::columns::{Bitset, numbers};
use crate::catalogue::layout::segment::Location;
use crate::catalogue::query::filter::{By, Filter, Order, SortKey};
use crate::catalogue::query::undo::Undo;
use crate::catalogue::snapshot::Snapshot;

/// The most fields of an [`Order`].
pub const MAX_ORDER_FIELDS: usize = 3;

/// What to list.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Which movies.
    pub filter: Filter,
    /// In which order; at most [`MAX_ORDER_FIELDS`].
    pub order: Order,
}

/// A part of a list.
#[derive(Debug, Default)]
pub struct Page {
    /// The movies, in order.
    pub movies: Vec<Record>,
    /// Whether more of them follow.
    pub more: bool,
    /// How many there are in all.
    pub total: usize,
}

/// There is no movie with the id after which the page was to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSuchStart;

/// The catalogue at an earlier revision.
#[derive(Debug)]
pub struct Past {
    snapshot: Arc<Snapshot>,
    undo: Undo,
}

impl Past {
    /// Goes back from `snapshot` by `events`, which are all changes since, in order.
    #[must_use]
    pub fn new(snapshot: Arc<Snapshot>, events: &[Arc<Event>]) -> Self {
        Self { undo: Undo::new(&snapshot, events), snapshot }
    }

    /// Returns up to `size` movies after the one with the id `after`, or from the start.
    ///
    /// # Errors
    ///
    /// [`NoSuchStart`] if there was no movie with that id.
    pub fn page(&self, query: &Query, after: Option<&str>, size: usize) -> Result<Page, NoSuchStart> {
        if query.order.is_empty() {
            self.listed(&query.filter, after, size)
        } else {
            self.ordered(query, after, size)
        }
    }

    /// Returns a page in listing order.
    fn listed(&self, filter: &Filter, after: Option<&str>, size: usize) -> Result<Page, NoSuchStart> {
        let mut page = Listing { size, ..Listing::default() };
        let mut start = None;
        match after {
            None => page.started = true,
            Some(id) => {
                self.undo.get(&self.snapshot, id).ok_or(NoSuchStart)?;
                page.after = Some(id);
                start = self.undo.anchor(id).and_then(|anchor| self.snapshot.find(anchor.as_bytes()));
            }
        }
        // Without a filter, the total is known, so segments outside the page can be skipped.
        let is_all = filter.is_empty();
        let first = if is_all { start.map_or(0, Location::segment) } else { 0 };
        if first == 0 {
            page.take(self.undo.listed_first(), filter);
        }
        for number in first..self.snapshot.segments().len() {
            if is_all && page.is_full() {
                break;
            }
            let segment = &self.snapshot.segments()[number];
            if self.undo.differs_in(number) || (!page.started && start.map(Location::segment) == Some(number))
            {
                for (key, _) in segment.frames_by_key() {
                    page.take(self.undo.listed_at(&self.snapshot, Location::new(number, key)), filter);
                }
                continue;
            }
            let wanted = if page.started { page.wanted() } else { 0 };
            let record = |key| Record::new(&segment.movie(key));
            if is_all {
                page.movies.extend(segment.frames_by_key().take(wanted).map(|(key, _)| record(key)));
                continue;
            }
            let columns = segment.columns();
            let fitting = segment.fitting(filter);
            page.total += count(&fitting);
            page.movies.extend(numbers(&fitting).take(wanted).map(|number| record(columns.keys[number])));
        }
        if is_all {
            page.total = self.undo.len(&self.snapshot);
        }
        Ok(page.finish())
    }

    /// Returns a page in another order.
    fn ordered(&self, query: &Query, after: Option<&str>, size: usize) -> Result<Page, NoSuchStart> {
        let start = after.map(|id| self.undo.get(&self.snapshot, id).ok_or(NoSuchStart)).transpose()?;
        let mut best = Best {
            snapshot: &self.snapshot,
            order: &query.order,
            start: start.as_ref().map(|record| Candidate::of_record(&query.order, record)),
            size: size + 1,
            candidates: Vec::new(),
            last: None,
        };
        let mut total = 0;
        let mut changed: Vec<_> = self.undo.changed().collect();
        changed.sort_unstable_by_key(|location| location.number());
        let mut changed = changed.into_iter().peekable();
        for number in 0..self.snapshot.segments().len() {
            let segment = &self.snapshot.segments()[number];
            let columns = segment.columns();
            let mut fitting = segment.fitting(&query.filter);
            while let Some(location) = changed.next_if(|location| location.segment() == number) {
                if let Ok(index) = columns.keys.binary_search(&location.key()) {
                    fitting[index / 64] &= !(1 << (index % 64));
                }
            }
            total += count(&fitting);
            let first = &query.order[0];
            for index in numbers(&fitting) {
                // Rules out most candidates by their first key.
                if !best.may_take(columns.sort_key(*first, index)) {
                    continue;
                }
                let mut sort_keys = [0; MAX_ORDER_FIELDS];
                for (sort_key, by) in sort_keys.iter_mut().zip(&query.order) {
                    *sort_key = columns.sort_key(*by, index);
                }
                best.offer(Candidate {
                    sort_keys,
                    source: Source::Location(Location::new(number, columns.keys[index])),
                });
            }
        }
        for record in self.undo.records().filter(|record| query.filter.fits(&record.movie())) {
            total += 1;
            best.offer(Candidate::of_record(&query.order, record));
        }
        let mut movies = best.finish();
        let more = movies.len() > size;
        movies.truncate(size);
        Ok(Page { movies, more, total })
    }
}

fn count(bits: &Bitset) -> usize {
    bits.iter().map(|word| word.count_ones() as usize).sum()
}

/// A page in listing order, in the making.
#[derive(Default)]
struct Listing<'a> {
    size: usize,
    /// The id of the movie after which the page starts.
    after: Option<&'a str>,
    /// Whether that movie has been passed.
    started: bool,
    /// One more than the page has, if there are as many.
    movies: Vec<Record>,
    total: usize,
}

impl Listing<'_> {
    fn is_full(&self) -> bool {
        self.movies.len() > self.size
    }

    /// Returns how many more movies are needed: the rest of the page and one more, which shows whether another page
    /// follows.
    fn wanted(&self) -> usize {
        (self.size + 1).saturating_sub(self.movies.len())
    }

    fn take(&mut self, records: Vec<Record>, filter: &Filter) {
        for record in records {
            let movie = record.movie();
            let is_start = self.after == Some(movie.id);
            if filter.fits(&movie) {
                self.total += 1;
                if self.started && !self.is_full() {
                    self.movies.push(record.clone());
                }
            }
            self.started |= is_start;
        }
    }

    fn finish(mut self) -> Page {
        let more = self.is_full();
        self.movies.truncate(self.size);
        Page { movies: self.movies, more, total: self.total }
    }
}

/// A movie that may be on the page.
#[derive(Clone)]
struct Candidate<'a> {
    sort_keys: [SortKey; MAX_ORDER_FIELDS],
    source: Source<'a>,
}

#[derive(Clone)]
enum Source<'a> {
    Location(Location),
    Record(&'a Record),
}

impl<'a> Candidate<'a> {
    fn of_record(order: &[By], record: &'a Record) -> Self {
        let mut sort_keys = [0; MAX_ORDER_FIELDS];
        for (sort_key, by) in sort_keys.iter_mut().zip(order) {
            *sort_key = by.sort_key_of(&record.movie());
        }
        Self { sort_keys, source: Source::Record(record) }
    }

    fn title(&self, snapshot: &'a Snapshot) -> &'a [u8] {
        frame::title(match self.source {
            Source::Location(location) => &snapshot.frame_at(location)[PREFIX..],
            Source::Record(record) => record.bytes(),
        })
    }

    fn movie(&self, snapshot: &'a Snapshot) -> Movie<'a> {
        match self.source {
            Source::Location(location) => snapshot.movie(location),
            Source::Record(record) => record.movie(),
        }
    }
}

/// The first so many of all candidates that come after a start.
struct Best<'a> {
    snapshot: &'a Snapshot,
    order: &'a [By],
    start: Option<Candidate<'a>>,
    size: usize,
    /// Up to twice as many, so that they need to be sorted out only now and then.
    candidates: Vec<Candidate<'a>>,
    /// The last one that counts, once there are enough.
    last: Option<Candidate<'a>>,
}

impl<'a> Best<'a> {
    /// Returns whether a candidate with this first rank may be one of them.
    fn may_take(&self, sort_key: SortKey) -> bool {
        self.last.as_ref().is_none_or(|last| sort_key <= last.sort_keys[0])
            && self.start.as_ref().is_none_or(|start| sort_key >= start.sort_keys[0])
    }

    fn offer(&mut self, candidate: Candidate<'a>) {
        let is_late = self.last.as_ref().is_some_and(|last| self.compare(&candidate, last).is_ge());
        if is_late || self.start.as_ref().is_some_and(|start| self.compare(&candidate, start).is_le()) {
            return;
        }
        self.candidates.push(candidate);
        if self.candidates.len() == 2 * self.size {
            self.sort_out();
        }
    }

    fn sort_out(&mut self) {
        let mut candidates = std::mem::take(&mut self.candidates);
        if candidates.len() > self.size {
            candidates.select_nth_unstable_by(self.size - 1, |one, other| self.compare(one, other));
            candidates.truncate(self.size);
            self.last = candidates.last().cloned();
        }
        self.candidates = candidates;
    }

    fn finish(mut self) -> Vec<Record> {
        self.sort_out();
        let mut candidates = std::mem::take(&mut self.candidates);
        candidates.sort_unstable_by(|one, other| self.compare(one, other));
        candidates.iter().map(|candidate| Record::new(&candidate.movie(self.snapshot))).collect()
    }

    fn compare(&self, one: &Candidate<'a>, other: &Candidate<'a>) -> Ordering {
        for (number, by) in self.order.iter().enumerate() {
            let alike = || by.compare_alike(|| one.title(self.snapshot), || other.title(self.snapshot));
            let ordering = one.sort_keys[number].cmp(&other.sort_keys[number]).then_with(alike);
            if ordering.is_ne() {
                return ordering;
            }
        }
        one.movie(self.snapshot).id.cmp(other.movie(self.snapshot).id)
    }
}

#[cfg(test)]
mod tests;
