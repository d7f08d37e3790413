//! `SearchMovies`: the movies that match what a person types.

use std::sync::Arc;

use movie_proto::catalog::v1::{
    Facet, Highlight, Hit, SearchMoviesRequest, SearchMoviesResponse, facet, highlight,
};
use prost::Message;
use tokio::sync::Semaphore;

use crate::blocking_pool::BlockingPool;
use crate::catalogue::query::matches::{self, MatchesPage, Search};
use crate::catalogue::search::document;
use crate::catalogue::search::query::MAX_CHARS;
use crate::catalogue::{Catalogue, HistoryPoint};
use crate::movie::{Violation, is_longer};
use crate::servicer::catch_up::{changes_since, wait_for_revision};
use crate::servicer::encoded::Encoded;
use crate::servicer::error::CallError;
use crate::servicer::query::{self, PageSizes};
use crate::servicer::response_size::{MAX_MOVIE_BYTES, fitting, movie_bytes};
use crate::servicer::tokens::page_token::{PageToken, hash_of_search};
use crate::telemetry::search_metrics::{SearchMetrics, SearchOutcome};

/// The page sizes of `SearchMovies`.
const PAGE_SIZES: PageSizes = PageSizes { default: 10, max: 100 };

/// Maximum number of changes since the first page; later pages undo them.
const MAX_UNDONE_CHANGES: usize = 1_000;

/// Maximum number of values of a facet in a response.
const MAX_FACET_VALUES: usize = 100;

/// Maximum number of searches that run or wait for their turn, a revision or the index. Further ones are refused.
const MAX_WAITING: usize = 64;

/// Size of the tag and the length that a response adds to a highlight, at most, in bytes.
const HIGHLIGHT_TAG_BYTES: usize = 4;

/// The number of the field `hits` of a response.
const HITS: u32 = 1;

/// The fields that have facets.
const FACETS: [(&str, document::Facet); 4] = [
    ("genres", document::Facet::Genres),
    ("countries", document::Facet::Countries),
    ("languages", document::Facet::Languages),
    ("decades", document::Facet::Decades),
];

/// Runs searches one at a time, so that they take at most one core from other calls.
#[derive(Clone, Debug)]
pub(super) struct Searches {
    catalogue: Arc<Catalogue>,
    pool: BlockingPool,
    waiting: Arc<Semaphore>,
    metrics: SearchMetrics,
}

impl Searches {
    /// Searches the movies of `catalogue`, and counts the searches in `metrics`.
    pub(super) fn new(catalogue: Arc<Catalogue>, metrics: SearchMetrics) -> Self {
        let waiting = Arc::new(Semaphore::new(MAX_WAITING));
        Self { catalogue, pool: BlockingPool::sequential(), waiting, metrics }
    }

    /// Returns the requested page, and counts the search. Waits until the index is built.
    ///
    /// # Errors
    ///
    /// Those of [`Searches::page`].
    pub(super) async fn search(
        &self,
        request: SearchMoviesRequest,
    ) -> Result<Encoded<SearchMoviesResponse>, CallError> {
        let page = self.page(request).await;
        self.metrics.searched(match &page {
            Ok(response) if response.rest.total_size > 0 => SearchOutcome::Found,
            Ok(_) => SearchOutcome::Empty,
            Err(CallError::Busy) => SearchOutcome::Busy,
            Err(_) => SearchOutcome::Refused,
        });
        page
    }

    /// Returns the requested page. Waits until the index is built.
    ///
    /// # Errors
    ///
    /// [`CallError`] if the request or its page token is invalid, if the token has expired, or if too
    /// many searches wait.
    async fn page(&self, request: SearchMoviesRequest) -> Result<Encoded<SearchMoviesResponse>, CallError> {
        let (search, size) = search_query(&request)?;
        let hash = hash_of_search(&request);
        let token = match request.page_token.as_str() {
            "" => None,
            text => Some(SearchToken::parse(text, hash).ok_or(CallError::PageTokenInvalid)?),
        };
        if let Some(token) = &token
            && !wait_for_revision(&mut self.catalogue.newest(), token.point.revision).await
        {
            return Err(CallError::PageTokenExpired);
        }
        // After the wait for a revision, so that tokens of revisions to come do not keep others from searching.
        let _waiting = self.waiting.try_acquire().map_err(|_| CallError::Busy)?;
        if self.catalogue.index_built().wait_for(|is_built| *is_built).await.is_err() {
            return Err(CallError::Stopping);
        }
        let catalogue = self.catalogue.clone();
        let work = move || {
            let now = catalogue.snapshot();
            let token = token.unwrap_or(SearchToken { point: now.point(), offset: 0 });
            let changes = changes_since(token.point, &catalogue, &now, MAX_UNDONE_CHANGES)?;
            let then = if changes.is_empty() {
                now
            } else {
                // But for the listing order, which a search does not depend on.
                Arc::new(now.without(&changes).map_err(|_| CallError::PageTokenExpired)?)
            };
            Ok(response(search.page(&then, token.offset, size), &token, hash))
        };
        self.pool.run(work).await
    }
}

/// A position in the movies that match.
struct SearchToken {
    /// The history point that all pages share.
    point: HistoryPoint,
    /// The number of movies on the pages before.
    offset: usize,
}

impl SearchToken {
    fn parse(text: &str, hash: u64) -> Option<Self> {
        let PageToken { point, position } = PageToken::parse(text, hash)?;
        let offset = position.parse().ok().filter(|offset| *offset <= matches::MAX_MATCHES)?;
        Some(Self { point, offset })
    }

    fn encode(&self, hash: u64) -> String {
        PageToken { point: self.point, position: self.offset.to_string() }.encode(hash)
    }
}

/// Returns the search and the page size of a request.
fn search_query(request: &SearchMoviesRequest) -> Result<(Search, usize), Vec<Violation>> {
    let mut violations = Vec::new();
    if is_longer(&request.query, MAX_CHARS) {
        violations.push(Violation::new("query", format!("expected at most {MAX_CHARS} characters")));
    }
    let size = query::page_size(request.page_size, PAGE_SIZES, &mut violations);
    let filter = query::filter(request.filter.as_ref(), &mut violations);
    let order = query::order(&request.order_by, &mut violations);
    let mut facets = Vec::new();
    for name in &request.facets {
        match FACETS.iter().find(|(known, _)| known == name) {
            Some((_, facet)) if !facets.contains(facet) => facets.push(*facet),
            _ => {
                let expected = "expected genres, countries, languages and decades, each at most once";
                violations.push(Violation::new("facets", expected));
                break;
            }
        }
    }
    let search = Search { text: request.query.clone(), filter, facets, order };
    if violations.is_empty() { Ok((search, size)) } else { Err(violations) }
}

fn response(page: MatchesPage, token: &SearchToken, hash: u64) -> Encoded<SearchMoviesResponse> {
    let MatchesPage { matches, has_more, total, facets } = page;
    let facets: Vec<Facet> = facets.into_iter().map(facet).collect();
    let facet_bytes: usize = facets.iter().map(Message::encoded_len).sum();
    // At least one movie fits, so paging always makes progress.
    let fitting = fitting(&matches, MAX_MOVIE_BYTES - facet_bytes.min(MAX_MOVIE_BYTES), found_bytes);
    let next = SearchToken { offset: token.offset + fitting.len(), ..*token };
    let has_more = has_more || fitting.len() < matches.len();
    let mut response = Encoded::new(SearchMoviesResponse {
        hits: Vec::new(),
        next_page_token: if has_more { next.encode(hash) } else { String::new() },
        total_size: to_i32(total),
        facets,
        revision: token.point.revision.to_i64(),
    });
    for found in fitting {
        let others = Hit { movie: None, highlights: highlights(found).collect() };
        response.add_with_movie(HITS, found.movie.stored(), &others);
    }
    response
}

/// Returns an upper bound of the size of a hit in a response, in bytes.
fn found_bytes(found: &matches::Match) -> usize {
    let highlights: usize =
        highlights(found).map(|highlight| highlight.encoded_len() + HIGHLIGHT_TAG_BYTES).sum();
    movie_bytes(found.movie.stored()) + highlights
}

fn highlights(found: &matches::Match) -> impl Iterator<Item = Highlight> {
    found.highlights.iter().map(|highlight| Highlight {
        field: highlight.field.name().to_owned(),
        index: to_i32(highlight.index),
        ranges: highlight
            .ranges
            .iter()
            .map(|range| highlight::Range { start: to_i32(range.start), end: to_i32(range.end) })
            .collect(),
    })
}

fn facet(counts: crate::catalogue::search::facets::FacetCounts) -> Facet {
    let field = FACETS.iter().find(|(_, facet)| *facet == counts.facet);
    let values = counts.values.into_iter().take(MAX_FACET_VALUES);
    Facet {
        field: field.map(|(name, _)| (*name).to_owned()).unwrap_or_default(),
        values: values.map(|(value, count)| facet::Value { value, count: to_i32(count) }).collect(),
    }
}

fn to_i32(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;
