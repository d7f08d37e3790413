//! A page of the movies that a search finds.

use std::ops::Range;
use std::sync::Arc;

use crate::catalogue::encoding::record::Record;
use crate::catalogue::filter::{Filter, decades_between};
use crate::catalogue::layout::segment::Location;
use crate::catalogue::order::Order;
use crate::catalogue::query::page::{self, PastCatalogue};
use crate::catalogue::query::top_k::{Candidate, TopK};
use crate::catalogue::search;
use crate::catalogue::search::document::{Documents, Facet};
use crate::catalogue::search::facets::FacetCounts;
use crate::catalogue::search::highlight::highlights;
use crate::catalogue::search::index::SearchIndex;
use crate::catalogue::search::query::{Level, ParsedQuery};
use crate::catalogue::search::searcher::{Results, SearchOptions};
use crate::catalogue::snapshot::Snapshot;
use crate::movie::{Field, Value};

/// Maximum number of movies on all pages of a search.
pub(crate) const MAX_MATCHES: usize = 1_000;

/// The searched fields, in the order of their numbers.
const SEARCHED: [Field; 5] =
    [Field::Title, Field::Director, Field::OriginalTitle, Field::Cast, Field::Writers];

/// A search for movies.
#[derive(Clone, Debug, Default)]
pub(crate) struct Search {
    /// The text that a person has typed.
    pub(crate) text: String,
    /// Selects the movies.
    pub(crate) filter: Filter,
    /// The fields to count values of.
    pub(crate) facets: Vec<Facet>,
    /// The order; empty to order by how well the movies match.
    pub(crate) order: Order,
}

/// A page of the movies that match.
#[derive(Debug, Default)]
pub(crate) struct MatchesPage {
    /// The movies, in order.
    pub(crate) matches: Vec<Match>,
    /// Whether more movies follow.
    pub(crate) has_more: bool,
    /// The number of movies on all pages, or a lower bound.
    pub(crate) total: usize,
    /// The requested counts.
    pub(crate) facets: Vec<FacetCounts>,
}

/// A movie that matches.
#[derive(Debug)]
pub(crate) struct Match {
    /// The movie.
    pub(crate) movie: Record,
    /// The texts that match, in the order of the numbers of their fields.
    pub(crate) highlights: Vec<Highlight>,
}

/// The parts of a text that match.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Highlight {
    /// The field.
    pub(crate) field: Field,
    /// The index of the text in a list; 0 in other fields.
    pub(crate) index: usize,
    /// The parts, in bytes: on character boundaries, in order, not overlapping.
    pub(crate) ranges: Vec<Range<usize>>,
}

impl Search {
    /// Returns up to `size` movies after the first `offset` ones. Finds nothing in a snapshot without a search index.
    #[must_use]
    pub(crate) fn page(&self, snapshot: &Arc<Snapshot>, offset: usize, size: usize) -> MatchesPage {
        let Some(index) = snapshot.search_index() else { return MatchesPage::default() };
        let query = ParsedQuery::new(&self.text);
        let limit = size.min(MAX_MATCHES.saturating_sub(offset));
        let (found, movies) = if self.order.is_empty() {
            let found =
                self.find(index, &query, snapshot, &SearchOptions { offset, limit, ..self.options() });
            let movies =
                found.hits.iter().map(|hit| Record::new(&snapshot.movie(Location::of(hit.key)))).collect();
            (found, movies)
        } else if query.is_empty() {
            self.list(index, &query, snapshot, offset, limit)
        } else {
            let found =
                self.find(index, &query, snapshot, &SearchOptions { lists_matches: true, ..self.options() });
            let movies = self.in_order(snapshot, &found.matches, offset, limit);
            (found, movies)
        };
        let end = offset + movies.len();
        let matches = movies.into_iter().map(|movie| {
            let highlights = found.level.map(|level| texts_matched(&query, level, &movie));
            Match { highlights: highlights.unwrap_or_default(), movie }
        });
        MatchesPage {
            matches: matches.collect(),
            has_more: end < found.total.min(MAX_MATCHES),
            total: found.total,
            facets: found.facets,
        }
    }

    /// Returns the options of a search that returns no movies, but counts them.
    fn options(&self) -> SearchOptions {
        SearchOptions {
            limit: 0,
            filter: self.index_filter(),
            facets: self.facets.clone(),
            ..SearchOptions::default()
        }
    }

    fn find(
        &self,
        index: &SearchIndex,
        query: &ParsedQuery,
        snapshot: &Snapshot,
        options: &SearchOptions,
    ) -> Results {
        let filter = Filter {
            genres: Vec::new(),
            countries: Vec::new(),
            languages: Vec::new(),
            decades: Vec::new(),
            ..self.filter.clone()
        };
        search::searcher::search(index, query, options, &Searched { snapshot, filter })
    }

    /// Returns the movies that match an empty query, in a sort order: those of a list.
    fn list(
        &self,
        index: &SearchIndex,
        query: &ParsedQuery,
        snapshot: &Arc<Snapshot>,
        offset: usize,
        limit: usize,
    ) -> (Results, Vec<Record>) {
        let listed = page::Query { filter: self.filter.clone(), order: self.order.clone() };
        // A page from the start on has no start that could be unknown.
        let page = PastCatalogue::new(snapshot.clone(), &[]).page(&listed, None, offset + limit);
        let page = page.unwrap_or_default();
        let facets = if self.facets.is_empty() {
            Vec::new()
        } else {
            self.find(index, query, snapshot, &self.options()).facets
        };
        let results = Results { total: page.total, facets, ..Results::default() };
        (results, page.movies.into_iter().skip(offset).collect())
    }

    /// Returns movies that match in the sort order.
    fn in_order(&self, snapshot: &Snapshot, matches: &[u64], offset: usize, limit: usize) -> Vec<Record> {
        let mut top = TopK::new(snapshot, &self.order, None, offset + limit);
        for location in matches.iter().copied().map(Location::of) {
            let movie = snapshot.movie(location);
            top.offer(Candidate::at(location, &self.order, |field| field.sort_key(&movie)));
        }
        top.finish().into_iter().skip(offset).collect()
    }

    /// Returns the conditions that the index knows of, and what it needs to ask about few movies for the others.
    fn index_filter(&self) -> search::filter::IndexFilter {
        let filter = &self.filter;
        let mut decades: Vec<_> = filter.decades.iter().map(ToString::to_string).collect();
        // A facet is counted without the condition on itself, but with the one on the year.
        if decades.is_empty() && !self.facets.contains(&Facet::Decades) {
            decades = decades_between(filter.year_from, filter.year_to);
        }
        let index_filter = [
            (Facet::Genres, &filter.genres),
            (Facet::Countries, &filter.countries),
            (Facet::Languages, &filter.languages),
            (Facet::Decades, &decades),
        ]
        .into_iter()
        .fold(search::filter::IndexFilter::default(), |index_filter, (facet, values)| {
            index_filter.with_values(facet, values.iter().map(String::as_str))
        });
        // The last word of a prefix may be a part of a word.
        let complete = filter.title_prefix.rsplit_once(' ').map(|(complete, _)| complete);
        let names = filter.cast.iter().map(String::as_str).chain([filter.director.as_str()]);
        names
            .chain(complete)
            .filter(|text| has_plain_words(text))
            .fold(index_filter, search::filter::IndexFilter::with_words)
    }
}

/// Returns whether the words of a folded text are those of every text that folds to it, also as a part of a longer one.
/// Symbols are words only of a text that has nothing else.
fn has_plain_words(folded: &str) -> bool {
    folded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" -',".contains(&byte))
        && folded.bytes().any(|byte| byte.is_ascii_alphanumeric())
}

/// The movies of a snapshot, selected by the conditions that the index does not know of.
struct Searched<'a> {
    snapshot: &'a Snapshot,
    filter: Filter,
}

impl Documents for Searched<'_> {
    fn id(&self, key: u64) -> &str {
        self.snapshot.movie(Location::of(key)).id
    }

    fn is_filtered(&self) -> bool {
        !self.filter.is_empty()
    }

    fn matches(&self, key: u64) -> bool {
        self.filter.matches(&self.snapshot.movie(Location::of(key)))
    }
}

fn texts_matched(query: &ParsedQuery, level: Level, movie: &Record) -> Vec<Highlight> {
    let mut all = Vec::new();
    for field in SEARCHED {
        let mut add = |index, text: &str| {
            let ranges = highlights(query, text, level);
            if !ranges.is_empty() {
                all.push(Highlight { field, index, ranges });
            }
        };
        match movie.movie().value(field) {
            Value::Text(text) => add(0, &text),
            Value::List(texts) => texts.iter().enumerate().for_each(|(index, text)| add(index, text)),
            Value::Rating(_) | Value::Number(_) | Value::Time(_) => {}
        }
    }
    all
}

#[cfg(test)]
mod tests;
