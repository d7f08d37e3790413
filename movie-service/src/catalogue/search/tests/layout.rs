//! What a search finds does not depend on how documents are divided into segments, also if more match than it ranks.

use crate::catalogue::search::document::{Document, Facet};
use crate::catalogue::search::filter::IndexFilter;
use crate::catalogue::search::index::{DocumentChange, SearchIndex};
use crate::catalogue::search::query::ParsedQuery;
use crate::catalogue::search::searcher::{Results, SearchOptions, search};
use crate::catalogue::search::tests::common::Ids;

const MOVIES: usize = 12_000;
const WORDS: [&str; 12] =
    ["the", "star", "stars", "wars", "man", "men", "love", "of", "night", "knight", "two", "moon"];
const GENRES: [&str; 3] = ["Drama", "Comedy", "Western"];

struct Movies {
    titles: Vec<String>,
    ids: Ids,
}

impl Movies {
    fn new() -> Self {
        let word = |number: usize| WORDS[(number.wrapping_mul(0x9e37_79b9) >> 8) % WORDS.len()];
        let title = |movie: usize| {
            let words: Vec<&str> = (0..2 + movie % 3).map(|at| word(4 * movie + at)).collect();
            words.join(" ")
        };
        Self { titles: (0..MOVIES).map(title).collect(), ids: Ids::new(MOVIES) }
    }

    fn document(&self, movie: usize) -> Document<'_> {
        Document {
            key: movie as u64,
            title: &self.titles[movie],
            directors: vec![WORDS[movie % 7]],
            facet_values: vec![(Facet::Genres, GENRES[movie % 10 / 4])],
            // Each number of ratings occurs more than once.
            rating_count: (movie as u64 * 7919) % 3_000,
            ..Document::default()
        }
    }

    fn search(&self, index: &SearchIndex, text: &str, genre: Option<&str>, facets: &[Facet]) -> Results {
        let filter = IndexFilter::default().with_values(Facet::Genres, genre);
        let options =
            SearchOptions { limit: 1_000, filter, facets: facets.to_vec(), ..SearchOptions::default() };
        search(index, &ParsedQuery::new(text), &options, &self.ids)
    }
}

#[test]
fn one_segment_and_many_find_the_same() {
    let movies = Movies::new();
    let whole = SearchIndex::build((0..MOVIES).map(|movie| movies.document(movie)));
    // Most in the base; some in deltas, and some in the base and again in deltas, unchanged.
    let mut divided = SearchIndex::build((0..9_000).map(|movie| movies.document(movie)));
    for start in (8_000..MOVIES).step_by(37) {
        let end = MOVIES.min(start + 37);
        let changes: Vec<_> = (start..end).map(|movie| DocumentChange::Put(movies.document(movie))).collect();
        divided = divided.with(&changes);
    }
    assert!(divided.segments().len() > 5);
    let mut truncated = 0;
    for text in ["the", "s", "star wars", "of man", "mon", "the knigt", "love two moon", ""] {
        for genre in [None, Some("western")] {
            let [one, many] = [&whole, &divided].map(|index| movies.search(index, text, genre, &Facet::ALL));
            assert_eq!(one.hits, many.hits, "{text:?} {genre:?}");
            assert_eq!((one.total, &one.facets), (many.total, &many.facets), "{text:?} {genre:?}");
            truncated += usize::from(!one.is_total_exact);
        }
    }
    assert!(truncated >= 5, "{truncated}");
}

#[test]
fn facets_do_not_change_what_is_found() {
    let movies = Movies::new();
    let index = SearchIndex::build((0..MOVIES).map(|movie| movies.document(movie)));
    for text in ["the", "s", "star wars", "knigt", ""] {
        let [with, without] =
            [&[Facet::Genres][..], &[]].map(|facets| movies.search(&index, text, Some("Western"), facets));
        assert_eq!((with.total, with.hits), (without.total, without.hits), "{text:?}");
    }
}
