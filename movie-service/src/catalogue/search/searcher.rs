//! Evaluation of a query: from literal to forgiving, within a budget of work.

use std::cmp::Ordering;

use crate::catalogue::search::budget::Work;
use crate::catalogue::search::document::{Documents, Facet, Popularity};
use crate::catalogue::search::facets::{Counter, FacetCounts};
use crate::catalogue::search::filter::{IndexFilter, Selection};
use crate::catalogue::search::index::SearchIndex;
use crate::catalogue::search::level_search::{Collected, search_level};
use crate::catalogue::search::match_all::match_all;
use crate::catalogue::search::query::{Level, ParsedQuery, cost};
use crate::catalogue::search::rank::Score;
use crate::catalogue::search::segment::doc_set::DocId;

/// Number of hits without an edit that ends the search at the first level.
const ENOUGH_HITS: usize = 10;

/// Options of a search.
#[derive(Clone, Debug)]
pub(crate) struct SearchOptions {
    /// Hits that are left out at the beginning.
    pub(crate) offset: usize,
    /// Maximum number of hits that are returned.
    pub(crate) limit: usize,
    /// Conditions on documents, besides those of [`Documents`].
    pub(crate) filter: IndexFilter,
    /// Facets to be counted.
    pub(crate) facets: Vec<Facet>,
    /// Whether [`Results::matches`] is wanted.
    pub(crate) lists_matches: bool,
}

impl Default for SearchOptions {
    fn default() -> Self {
        let (filter, facets) = (IndexFilter::default(), Vec::new());
        Self { offset: 0, limit: 10, filter, facets, lists_matches: false }
    }
}

impl SearchOptions {
    /// Returns the number of hits up to the last one wanted.
    pub(crate) fn end(&self) -> usize {
        self.offset.saturating_add(self.limit)
    }
}

/// A document that matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) key: u64,
    /// None if the query was empty.
    pub(crate) score: Option<Score>,
}

/// The hits of a query.
#[derive(Clone, Debug, Default)]
pub(crate) struct Results {
    pub(crate) hits: Vec<Hit>,
    /// Number of documents that match.
    pub(crate) total: usize,
    /// Whether `total`, `facets` and `matches` have all documents that match. Otherwise the work ended earlier: more may
    /// match, and are less popular.
    #[cfg_attr(not(test), expect(dead_code, reason = "tells tests which results are complete"))]
    pub(crate) is_total_exact: bool,
    /// Counts of the facets that were asked for, each without the condition on itself.
    pub(crate) facets: Vec<FacetCounts>,
    /// Keys of the documents that match, in no order, for a caller that sorts them otherwise; empty if not asked for, and
    /// for an empty query.
    pub(crate) matches: Vec<u64>,
    /// The level that the hits were found at; none if the query was empty.
    pub(crate) level: Option<Level>,
    /// Work done, in steps of about 25 ns.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests compare it with its bound"))]
    pub(crate) steps: usize,
}

/// Searches. The hits are in order of score, popularity and id.
#[must_use]
pub(crate) fn search(
    index: &SearchIndex,
    query: &ParsedQuery,
    options: &SearchOptions,
    documents: &dyn Documents,
) -> Results {
    if query.is_empty() {
        return match_all(index, options, documents);
    }
    let selections: Vec<Option<Selection>> = index
        .segments()
        .iter()
        .map(|reader| Selection::new(reader, &options.filter, &options.facets))
        .collect();
    let mut work = Work::new();
    let mut level = Level::Literal;
    let mut collected = search_level(index, query, level, &selections, documents, &mut work);
    while let Some(next) = next_level(query, level, &collected.found) {
        (level, work) = (next, work.next_level());
        let before = std::mem::replace(
            &mut collected,
            search_level(index, query, level, &selections, documents, &mut work),
        );
        if !work.is_complete {
            collected.keep(before);
        }
    }
    let Collected { found, excluded_by_facet } = collected;
    let mut counter = Counter::new(index, &options.facets);
    for found in &found {
        counter.count(found.segment_ord, found.doc, None);
    }
    for (segment_ord, doc, facet) in excluded_by_facet {
        counter.count(segment_ord, doc, Some(facet));
    }
    let matches =
        if options.lists_matches { found.iter().map(|found| found.key).collect() } else { Vec::new() };
    let (total, facets, steps) = (found.len(), counter.finish(), work.steps());
    let hits = top(found, options, documents);
    Results {
        hits,
        total,
        is_total_exact: work.is_complete && work.counts_all,
        facets,
        matches,
        level: Some(level),
        steps,
    }
}

/// Returns the level to go on to, if too little was found.
pub(crate) fn next_level(query: &ParsedQuery, level: Level, found: &[ScoredDoc]) -> Option<Level> {
    let scores = || found.iter().filter_map(|found| found.score);
    match level {
        Level::Literal => {
            let is_title =
                |score: Score| score.begins_title() && score.cost() <= cost::BEGINS_TITLE + cost::COMPLETION;
            let literal = scores().filter(|score| score.cost() < cost::EDIT).count();
            let ends = literal >= ENOUGH_HITS || query.words.len() > 1 && scores().any(is_title);
            (!ends).then_some(Level::OneEdit)
        }
        Level::OneEdit => {
            let is_good = |score: Score| {
                score.cost() < cost::EDIT || score.cost() < 2 * cost::EDIT && score.is_whole_title()
            };
            (!scores().any(is_good)).then_some(Level::TwoEdits)
        }
        Level::TwoEdits => found.is_empty().then_some(Level::Partial),
        Level::Partial => None,
    }
}

/// A document that was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScoredDoc {
    pub(crate) score: Option<Score>,
    pub(crate) popularity: Popularity,
    pub(crate) key: u64,
    /// Number of the segment in the index.
    pub(crate) segment_ord: u32,
    pub(crate) doc: DocId,
}

/// Returns the hits that are wanted.
pub(crate) fn top(mut found: Vec<ScoredDoc>, options: &SearchOptions, documents: &dyn Documents) -> Vec<Hit> {
    let compare = |a: &ScoredDoc, b: &ScoredDoc| -> Ordering {
        let by_id = || documents.id(a.key).cmp(documents.id(b.key));
        a.score.cmp(&b.score).then(b.popularity.cmp(&a.popularity)).then_with(by_id)
    };
    let end = options.end();
    if end == 0 {
        return Vec::new();
    }
    if found.len() > end {
        found.select_nth_unstable_by(end - 1, compare);
        found.truncate(end);
    }
    found.sort_unstable_by(compare);
    found.iter().skip(options.offset).map(|found| Hit { key: found.key, score: found.score }).collect()
}
