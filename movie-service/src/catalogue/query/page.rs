//! One page of a query's results, at a recent revision.

use std::sync::Arc;

use crate::catalogue::change_log::LogEntry;
use crate::catalogue::encoding::record::Record;
use crate::catalogue::filter::Filter;
use crate::catalogue::layout::bitset::{self, Bitset};
use crate::catalogue::layout::segment::Location;
use crate::catalogue::layout::title_ranks::TitleRanks;
use crate::catalogue::order::{Order, OrderField};
use crate::catalogue::query::top_k::{Candidate, TopK};
use crate::catalogue::query::undo::Undo;
use crate::catalogue::snapshot::Snapshot;

/// A query for movies.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Selects the movies.
    pub filter: Filter,
    /// Sorts the movies: at most [`MAX_ORDER_FIELDS`](crate::catalogue::order::MAX_ORDER_FIELDS) fields.
    pub order: Order,
}

/// A page of the results.
#[derive(Debug, Default)]
pub struct Page {
    /// The movies, in order.
    pub movies: Vec<Record>,
    /// Whether more movies follow.
    pub more: bool,
    /// The number of movies on all pages.
    pub total: usize,
}

/// Error of a page that starts after a movie that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownStart;

/// The catalogue at an earlier revision.
#[derive(Debug)]
pub struct PastCatalogue {
    snapshot: Arc<Snapshot>,
    undo: Undo,
}

impl PastCatalogue {
    /// Undoes `entries`, which are all changes since the earlier revision, in order.
    #[must_use]
    pub fn new(snapshot: Arc<Snapshot>, entries: &[LogEntry]) -> Self {
        Self { undo: Undo::new(&snapshot, entries), snapshot }
    }

    /// Returns up to `size` movies after the movie `after`; from the start if `after` is `None`.
    ///
    /// # Errors
    ///
    /// [`UnknownStart`] if there was no movie with that id.
    pub fn page(&self, query: &Query, after: Option<&str>, size: usize) -> Result<Page, UnknownStart> {
        if query.order.is_empty() {
            self.listed(&query.filter, after, size)
        } else {
            self.ordered(query, after, size)
        }
    }

    /// Returns a page in listing order.
    fn listed(&self, filter: &Filter, after: Option<&str>, size: usize) -> Result<Page, UnknownStart> {
        let mut page = Listing { size, ..Listing::default() };
        let (mut start, mut matching) = (None, Bitset::new());
        match after {
            None => page.started = true,
            Some(id) => {
                self.undo.get(&self.snapshot, id).ok_or(UnknownStart)?;
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
            segment.matching(filter, &mut matching);
            page.total += bitset::count(&matching);
            let numbers = bitset::numbers(&matching).take(wanted);
            page.movies.extend(numbers.map(|number| record(columns.keys[number])));
        }
        if is_all {
            page.total = self.undo.len(&self.snapshot);
        }
        Ok(page.finish())
    }

    /// Returns a page in a sort order.
    fn ordered(&self, query: &Query, after: Option<&str>, size: usize) -> Result<Page, UnknownStart> {
        let start = after.map(|id| self.undo.get(&self.snapshot, id).ok_or(UnknownStart)).transpose()?;
        let Query { filter, order } = query;
        let no_ranks = TitleRanks::default();
        let has_title = order.iter().any(|by| by.field == OrderField::Title);
        let ranks = if has_title { self.snapshot.title_ranks() } else { &no_ranks };
        let start = start.as_ref().map(|record| Candidate::of_record(order, record, ranks));
        // One movie more than the page, to detect whether another page follows.
        let mut top = TopK::new(&self.snapshot, order, start, size + 1);
        let mut total = 0;
        let mut changed: Vec<_> = self.undo.changed().collect();
        changed.sort_unstable_by_key(|location| location.number());
        let mut changed = changed.into_iter().peekable();
        let mut matching = Bitset::new();
        for number in 0..self.snapshot.segments().len() {
            let segment = &self.snapshot.segments()[number];
            let columns = segment.columns();
            segment.matching(filter, &mut matching);
            while let Some(location) = changed.next_if(|location| location.segment() == number) {
                if let Ok(index) = columns.keys.binary_search(&location.key()) {
                    bitset::remove(&mut matching, index);
                }
            }
            total += bitset::count(&matching);
            // Rules out most candidates by their first key.
            columns.retain_keys(&mut matching, order[0], &top.range(), ranks, |key| segment.movie(key));
            for index in bitset::numbers(&matching) {
                let location = Location::new(number, columns.keys[index]);
                let sort_key = |field| columns.sort_key(field, index, ranks, |key| segment.movie(key));
                top.offer(Candidate::at(location, order, sort_key));
            }
        }
        for record in self.undo.records().filter(|record| filter.matches(&record.movie())) {
            total += 1;
            top.offer(Candidate::of_record(order, record, ranks));
        }
        let mut movies = top.finish();
        let more = movies.len() > size;
        movies.truncate(size);
        Ok(Page { movies, more, total })
    }
}

/// A page in listing order, under construction.
#[derive(Default)]
struct Listing<'a> {
    size: usize,
    /// The id of the movie after which the page starts.
    after: Option<&'a str>,
    /// Whether that movie has been passed.
    started: bool,
    /// The movies of the page and, if there is one, the first movie after it.
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
            if filter.matches(&movie) {
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

#[cfg(test)]
mod tests;
