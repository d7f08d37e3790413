//! Search: queries, pages of hits with their highlights, and search as a person types.

use std::ops::Range;
use std::pin::Pin;
use std::slice;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::OptionFuture;
use futures_util::stream::{try_unfold, unfold};
use movie_proto::catalog::v1;
use tokio_stream::Stream;
use tonic::Code;

use crate::call::{ResponseStream, RetrySafety, catalog};
use crate::channel::Peer;
use crate::movie::unsigned;
use crate::{Client, Error, Filter, Movie};

/// A search. A text converts to a search without a filter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchQuery {
    /// What a person has typed: at most 1,000 characters. The last word may be incomplete. An empty text matches all
    /// movies, the most popular ones first.
    pub text: String,
    /// The filter. The default selects all movies.
    pub filter: Filter,
    /// The order, as in [`Query::order_by`](crate::Query::order_by). Empty to order by how well the movies match.
    pub order_by: String,
    /// Fields to count values of: `genres`, `countries`, `languages` and `decades`.
    pub facets: Vec<String>,
    /// Hits per page, at most 100. 0 stands for 10.
    pub page_size: u32,
    /// The [`SearchPage::next_page_token`] of the previous page, with otherwise the same query. Empty for the first page.
    pub page_token: String,
}

/// One page of a search.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchPage {
    /// The movies of the page, in order.
    pub hits: Vec<Hit>,
    /// Number of movies that match. A lower bound for a query that matches very many movies.
    pub total: u64,
    /// The requested facets.
    pub facets: Vec<Facet>,
    /// The revision that was searched.
    pub revision: u64,
    /// Token of the next page. Empty on the last page.
    pub next_page_token: String,
}

/// A movie that a search found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hit {
    /// The movie.
    pub movie: Movie,
    /// The texts of the movie that match the query.
    pub highlights: Vec<Highlight>,
}

/// The parts of a text that match a query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Highlight {
    /// Name of the field: `title`, `original_title`, `director`, `cast` or `writers`.
    pub field: String,
    /// Index of the text in a list; 0 in other fields.
    pub index: usize,
    /// The matching parts, in bytes. They are in order, do not overlap, and begin and end between characters of the text.
    pub ranges: Vec<Range<usize>>,
}

/// The values of a field in the movies that match a search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facet {
    /// Name of the field.
    pub field: String,
    /// The most frequent values, the most frequent first.
    pub values: Vec<FacetValue>,
}

/// A value, and the number of movies that have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FacetValue {
    /// The value; of a decade its first year, such as `1990`.
    pub value: String,
    /// Number of movies that match the query and the filter, without the filter's condition on this field.
    pub count: u64,
}

/// Stream of the results of a search as a person types: each query, and its first page or error. Dropping it cancels the
/// call in flight.
pub type SearchStream = Pin<Box<dyn Stream<Item = (SearchQuery, Result<SearchPage, Error>)> + Send>>;

impl Client {
    /// Returns a page of the movies that match a query (`SearchMovies`).
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/service.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), movie_client::Error> {
    /// # let service = Service::read_only("movies.json");
    /// # let client = service.client();
    /// let page = client.search("the martan").await?;
    /// assert_eq!(page.hits[0].movie.title, "The Martian");
    /// for (part, is_match) in page.hits[0].parts("title", 0) {
    ///     if is_match { print!("*{part}*") } else { print!("{part}") }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for an invalid query, [`Error::PageTokenExpired`], [`Error::SearchOff`], or the error of the call.
    pub async fn search(&self, query: impl Into<SearchQuery>) -> Result<SearchPage, Error> {
        self.search_movies(query.into(), None).await.map(|(page, _)| page)
    }

    /// Searches page by page; otherwise like [`Client::search`]. Each page is requested when it is polled. The service
    /// ends the pages after 1,000 movies.
    #[must_use]
    pub fn search_pages(&self, query: impl Into<SearchQuery>) -> ResponseStream<SearchPage> {
        let first = Some((self.clone(), query.into(), None));
        Box::pin(try_unfold(first, |next| async move {
            let Some((client, mut query, peer)) = next else { return Ok(None) };
            let (page, peer) = client.search_movies(query.clone(), peer.as_ref()).await?;
            if page.next_page_token.is_empty() {
                return Ok(Some((page, None)));
            }
            if page.next_page_token == query.page_token {
                let message = "the service returned the same page token again".to_owned();
                return Err(Error::Failed { address: peer.name.clone(), code: Code::Internal, message });
            }
            query.page_token.clone_from(&page.next_page_token);
            // The node that returned this page certainly has its revision.
            Ok(Some((page, Some((client, query, Some(peer))))))
        }))
    }

    /// Searches while a person types: each query cancels the one before. Returns the query and its first page or error,
    /// for the queries that were not cancelled.
    ///
    /// An error does not end the stream; it ends after the result of the last query. Queries are only read, and calls only
    /// proceed, while the stream is polled.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/service.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # let service = Service::read_only("movies.json");
    /// # let client = service.client();
    /// use movie_client::SearchQuery;
    /// use tokio::sync::mpsc;
    /// use tokio_stream::StreamExt;
    /// use tokio_stream::wrappers::UnboundedReceiverStream;
    ///
    /// let (typed, texts) = mpsc::unbounded_channel();
    /// let mut results = client.search_as_you_type(UnboundedReceiverStream::new(texts));
    /// // The field of a form sends its text after each key.
    /// for text in ["m", "ma", "mar", "mart"] {
    ///     let _ = typed.send(SearchQuery { page_size: 5, ..text.into() });
    /// }
    /// # drop(typed);
    /// while let Some((query, page)) = results.next().await {
    ///     match page {
    ///         Ok(page) => println!("{} movies match {}", page.total, query.text),
    ///         Err(error) => println!("{error}"),
    ///     }
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn search_as_you_type<Q: Into<SearchQuery> + 'static>(
        &self,
        queries: impl Stream<Item = Q> + Send + 'static,
    ) -> SearchStream {
        let client = self.clone();
        let search = move |query: SearchQuery| {
            let client = client.clone();
            Box::pin(async move {
                let page = client.search(query.clone()).await;
                (query, page)
            })
        };
        let queries = Box::pin(queries.map(Q::into).fuse());
        Box::pin(unfold((queries, OptionFuture::from(None)), move |(mut queries, mut call)| {
            let search = search.clone();
            async move {
                loop {
                    tokio::select! {
                        // Of several queries that have arrived, only the last one is sent.
                        biased;
                        // Dropping the future of the previous call resets its HTTP/2 stream.
                        Some(query) = queries.next() => call = Some(search(query)).into(),
                        Some(result) = &mut call => return Some((result, (queries, None.into()))),
                        else => return None,
                    }
                }
            }
        }))
    }

    /// Returns a page, and the peer that responded.
    async fn search_movies(
        &self,
        query: SearchQuery,
        peer: Option<&Arc<Peer>>,
    ) -> Result<(SearchPage, Arc<Peer>), Error> {
        let send = |channel, request| async move { catalog(channel).search_movies(request).await };
        let request = v1::SearchMoviesRequest::from(query);
        let (page, peer) = self.caller.unary_at(peer, RetrySafety::Idempotent, request, send).await?;
        Ok((page.into(), peer))
    }
}

impl Hit {
    /// Splits a text of the movie into its parts, each with whether it matches the query. `index` is the position of the
    /// text in a list, and 0 in other fields. Returns nothing if the movie does not have the text.
    #[must_use]
    pub fn parts(&self, field: &str, index: usize) -> Vec<(&str, bool)> {
        let Some(text) = searched_text(&self.movie, field, index) else { return Vec::new() };
        let highlight = self.highlights.iter().find(|found| found.field == field && found.index == index);
        let ranges = highlight.map_or(&[][..], |highlight| &highlight.ranges);
        let mut parts = Vec::new();
        let mut end = 0;
        for range in ranges.iter().filter(|range| fits(text, range)) {
            if let Some(between) = text.get(end..range.start) {
                parts.extend([(between, false), (&text[range.clone()], true)]);
                end = range.end;
            }
        }
        parts.push((&text[end..], false));
        parts.retain(|(part, _)| !part.is_empty());
        parts
    }
}

/// Returns whether a range lies in a text, and between its characters.
fn fits(text: &str, range: &Range<usize>) -> bool {
    text.get(range.clone()).is_some_and(|part| !part.is_empty())
}

/// Returns a text of a field that is searched.
fn searched_text<'a>(movie: &'a Movie, field: &str, index: usize) -> Option<&'a str> {
    let texts = match field {
        "title" => slice::from_ref(&movie.title),
        "original_title" => slice::from_ref(&movie.original_title),
        "director" => slice::from_ref(&movie.director),
        "cast" => &movie.cast,
        "writers" => &movie.writers,
        _ => &[],
    };
    texts.get(index).map(String::as_str)
}

impl From<String> for SearchQuery {
    fn from(text: String) -> Self {
        Self { text, ..Self::default() }
    }
}

impl From<&str> for SearchQuery {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<SearchQuery> for v1::SearchMoviesRequest {
    fn from(query: SearchQuery) -> Self {
        let SearchQuery { text, filter, order_by, facets, page_size, page_token } = query;
        let page_size = i32::try_from(page_size).unwrap_or(i32::MAX);
        Self { query: text, page_size, page_token, filter: Some(filter.into()), facets, order_by }
    }
}

impl From<v1::SearchMoviesResponse> for SearchPage {
    fn from(response: v1::SearchMoviesResponse) -> Self {
        let value = |v1::facet::Value { value, count }| FacetValue { value, count: unsigned(count.into()) };
        let facet =
            |v1::Facet { field, values }| Facet { field, values: values.into_iter().map(value).collect() };
        Self {
            hits: response.hits.into_iter().map(Hit::from).collect(),
            total: unsigned(response.total_size.into()),
            facets: response.facets.into_iter().map(facet).collect(),
            revision: unsigned(response.revision),
            next_page_token: response.next_page_token,
        }
    }
}

impl From<v1::Hit> for Hit {
    /// Omits ranges that do not fit the text, so that a faulty service cannot make the caller slice out of bounds.
    fn from(v1::Hit { movie, highlights }: v1::Hit) -> Self {
        let movie = Movie::from(movie.unwrap_or_default());
        let highlight = |found: v1::Highlight| {
            let index = usize::try_from(found.index).ok()?;
            let text = searched_text(&movie, &found.field, index)?;
            let mut end = 0;
            let mut ranges = Vec::new();
            for range in found.ranges {
                let (Ok(start), Ok(range_end)) = (usize::try_from(range.start), usize::try_from(range.end))
                else {
                    continue;
                };
                let range = start..range_end;
                if range.start >= end && fits(text, &range) {
                    end = range.end;
                    ranges.push(range);
                }
            }
            Some(Highlight { field: found.field, index, ranges })
        };
        let highlights = highlights.into_iter().filter_map(highlight).collect();
        Self { movie, highlights }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(title: &str, ranges: &[(i32, i32)]) -> Hit {
        let ranges = ranges.iter().map(|&(start, end)| v1::highlight::Range { start, end }).collect();
        let highlight = v1::Highlight { field: "title".to_owned(), index: 0, ranges };
        let movie = v1::Movie { title: title.to_owned(), ..v1::Movie::default() };
        v1::Hit { movie: Some(movie), highlights: vec![highlight] }.into()
    }

    #[test]
    fn a_text_is_split_into_the_parts_that_match_and_the_others() {
        let found = hit("Amélie", &[(0, 4), (6, 7)]);
        assert_eq!(found.parts("title", 0), [("Amé", true), ("li", false), ("e", true)]);
        assert_eq!(hit("Alien", &[]).parts("title", 0), [("Alien", false)]);
        assert_eq!(hit("Alien", &[(0, 5)]).parts("title", 0), [("Alien", true)]);
        let none = Vec::<(&str, bool)>::new();
        assert_eq!(
            (found.parts("title", 1), found.parts("cast", 0), found.parts("rating", 0)),
            (none.clone(), none.clone(), none)
        );
    }

    #[test]
    fn ranges_that_do_not_fit_the_text_are_omitted() {
        // Within a character, past the end, reversed, empty, negative, overlapping and out of order.
        for wrong in [(0, 3), (3, 4), (0, 99), (5, 2), (1, 1), (-1, 2), (i32::MIN, i32::MAX)] {
            let found = hit("Amélie", &[wrong]);
            assert!(found.highlights[0].ranges.is_empty(), "{wrong:?}");
            assert_eq!(found.parts("title", 0), [("Amélie", false)], "{wrong:?}");
        }
        assert_eq!(hit("Amélie", &[(4, 6), (5, 7), (0, 2), (6, 7)]).highlights[0].ranges, [4..6, 6..7]);
    }

    #[test]
    fn a_highlight_of_a_text_that_the_movie_lacks_is_omitted() {
        for (field, index) in [("cast", 0), ("title", 1), ("title", -1), ("poster", 0)] {
            let highlight = v1::Highlight { field: field.to_owned(), index, ranges: Vec::new() };
            let found = Hit::from(v1::Hit { movie: None, highlights: vec![highlight] });
            assert_eq!(found, Hit::default(), "{field} {index}");
        }
    }

    #[test]
    fn ranges_that_a_caller_made_up_cause_no_panic() {
        let ranges = vec![4..6, 0..2, 2..3, 9..99];
        let highlights = vec![Highlight { field: "title".to_owned(), index: 0, ranges }];
        let movie = Movie { title: "Amélie".to_owned(), ..Movie::default() };
        let found = Hit { movie, highlights };
        assert_eq!(found.parts("title", 0), [("Amé", false), ("li", true), ("e", false)]);
    }
}
