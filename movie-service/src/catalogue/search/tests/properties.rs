//! Search over any sequence of changes equals a plain scan that applies the rules to each document.

use std::collections::BTreeMap;

use super::common::Ids;
use crate::catalogue::search::document::Facet;
use crate::catalogue::search::document::{Document, Documents};
use crate::catalogue::search::filter::IndexFilter;
use crate::catalogue::search::highlight::highlights;
use crate::catalogue::search::index::DocumentChange;
use crate::catalogue::search::index::SearchIndex;
use crate::catalogue::search::query::{Level, ParsedQuery};
use crate::catalogue::search::reference::scan;
use crate::catalogue::search::searcher::{SearchOptions, search};
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Movie {
    title: String,
    original_title: String,
    director: String,
    cast: Vec<String>,
    facet_values: Vec<(Facet, &'static str)>,
    rating_count: u64,
}

impl Movie {
    fn document(&self, key: u64) -> Document<'_> {
        Document {
            key,
            title: &self.title,
            original_title: &self.original_title,
            directors: vec![&self.director],
            cast: self.cast.iter().map(String::as_str).collect(),
            facet_values: self.facet_values.clone(),
            rating_count: self.rating_count,
            ..Document::default()
        }
    }
}

fn word() -> impl Strategy<Value = String> {
    let words = "the a of star stars start starting stating war wars warstar two 2 ii II x men xmen E.T. k 9 godfather \
                 godfahter gotfather hodfather god father 8½ ½ 1 Amélie amelie 千 尋 и мир мира $ & twelve 12 v matrix matrox";
    let words: Vec<&str> = words.split_whitespace().collect();
    prop_oneof!["[ab]{1,3}", prop::sample::select(words).prop_map(str::to_owned)]
}

fn words(most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(word(), 0..=most).prop_map(|words| words.join(" "))
}

fn facet_value() -> impl Strategy<Value = (Facet, &'static str)> {
    (
        prop::sample::select(Facet::ALL.to_vec()),
        prop::sample::select(vec!["Drama", "drama", "Comédie", "War"]),
    )
}

fn movie() -> impl Strategy<Value = Movie> {
    (
        words(4),
        prop_oneof![3 => Just(String::new()), 1 => words(3)],
        words(2),
        prop::collection::vec(words(2), 0..2),
        prop::collection::vec(facet_value(), 0..4),
        0..4_u64,
    )
        .prop_map(|(title, original_title, director, cast, facet_values, rating_count)| Movie {
            title,
            original_title,
            director,
            cast,
            facet_values,
            rating_count,
        })
}

/// Keys, and what they become: none is a removal.
fn changes() -> impl Strategy<Value = Vec<(u64, Option<Movie>)>> {
    prop::collection::vec((0..24_u64, prop::option::weighted(0.8, movie())), 0..60)
}

fn options() -> impl Strategy<Value = SearchOptions> {
    let values = prop::sample::select(vec!["DRAMA", "comedie", "war", "none"]);
    let conditions =
        prop::collection::vec((prop::sample::select(Facet::ALL.to_vec()), values.clone(), values), 0..3);
    let facets = prop::sample::subsequence(Facet::ALL.to_vec(), 0..=4);
    (0..4_usize, 1..30_usize, conditions, facets).prop_map(|(offset, limit, conditions, facets)| {
        let filter = conditions.into_iter().fold(IndexFilter::default(), |filter, (facet, one, other)| {
            filter.with_values(facet, [one, other])
        });
        SearchOptions { offset, limit, filter, facets, lists_matches: true }
    })
}

/// Movies of which some are excluded by a filter that the index does not know of.
struct Filtered<'a> {
    ids: &'a Ids,
    excluded: Option<u64>,
}

impl Documents for Filtered<'_> {
    fn id(&self, key: u64) -> &str {
        self.ids.id(key)
    }

    fn is_filtered(&self) -> bool {
        self.excluded.is_some()
    }

    fn matches(&self, key: u64) -> bool {
        self.excluded.is_none_or(|excluded| key % 4 != excluded)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn equals_a_plain_scan(
        base in prop::collection::vec(movie(), 0..20),
        changes in changes(),
        batch in 1..6_usize,
        merge_at in 0..12_usize,
        move_at in 0..12_usize,
        queries in prop::collection::vec(words(4), 1..6),
        options in options(),
        excluded in prop::option::of(0..4_u64),
    ) {
        let ids = Ids::new(128);
        let mut expected: BTreeMap<u64, Movie> = (0..).zip(base).collect();
        let mut index = SearchIndex::build(expected.iter().map(|(key, movie)| movie.document(*key)));
        let mut merge = None;
        let mut moved = 0;
        for (at, changes) in changes.chunks(batch).enumerate() {
            let encoded: Vec<DocumentChange<'_>> = changes.iter().map(|(key, movie)| match movie {
                Some(movie) => DocumentChange::Put(movie.document(*key + moved)),
                None => DocumentChange::Remove(*key + moved),
            }).collect();
            let before = (index.clone(), expected.clone());
            index = index.with(&encoded);
            for (key, movie) in changes {
                match movie {
                    Some(movie) => drop(expected.insert(*key + moved, movie.clone())),
                    None => drop(expected.remove(&(*key + moved))),
                }
            }
            // An index of before still has its version.
            prop_assert_eq!(before.0.len(), before.1.len());
            // A merge that began some changes ago.
            if at == merge_at {
                merge = Some(index.merge_of_all());
            } else if at == merge_at + 2 && let Some(merge) = merge.take() {
                let merged = merge.run();
                index.install(&merge, merged);
            }
            if at == move_at {
                moved = 3;
                index = index.with_keys(|key| key + 3);
                expected = expected.into_iter().map(|(key, movie)| (key + 3, movie)).collect();
            }
        }
        prop_assert_eq!(index.len(), expected.len());
        let movies = Filtered { ids: &ids, excluded };
        for text in queries.iter().map(String::as_str).chain([""]) {
            let query = ParsedQuery::new(text);
            let documents: Vec<Document<'_>> = expected.iter().map(|(key, movie)| movie.document(*key)).collect();
            let mut found = search(&index, &query, &options, &movies);
            let mut wanted = scan(&documents, &query, &options, &movies);
            found.matches.sort_unstable();
            wanted.matches.sort_unstable();
            prop_assert_eq!(&found.hits, &wanted.hits, "{:?}", text);
            prop_assert_eq!((found.total, found.level), (wanted.total, wanted.level), "{:?}", text);
            prop_assert_eq!(&found.facets, &wanted.facets, "{:?}", text);
            prop_assert_eq!(&found.matches, &wanted.matches, "{:?}", text);
            prop_assert!(found.is_total_exact);
        }
    }

    #[test]
    fn words_of_a_filter_only_save_work(
        movies in prop::collection::vec(movie(), 0..20),
        text in words(3),
        query in words(3),
        wanted in words(2),
    ) {
        struct Titled<'a>(&'a [Movie], &'a Ids, &'a str);
        impl Documents for Titled<'_> {
            fn id(&self, key: u64) -> &str {
                self.1.id(key)
            }
            fn is_filtered(&self) -> bool {
                true
            }
            fn matches(&self, key: u64) -> bool {
                self.0[key as usize].title == self.2
            }
        }
        let ids = Ids::new(32);
        let mut movies = movies;
        movies.extend(movies.first().cloned().map(|movie| Movie { title: wanted.clone(), ..movie }));
        let index = SearchIndex::build((0..).zip(&movies).map(|(key, movie)| movie.document(key)));
        for query in [&query, &text, &wanted, &String::new()] {
            let results = |filter| {
                let options = SearchOptions { filter, ..SearchOptions::default() };
                search(&index, &ParsedQuery::new(query), &options, &Titled(&movies, &ids, &wanted)).hits
            };
            prop_assert_eq!(results(IndexFilter::default()), results(IndexFilter::default().with_words(&wanted)));
        }
    }

    #[test]
    fn highlights_are_on_character_boundaries(query in "\\PC{0,30}", text in "\\PC{0,60}", own in words(5), other in words(5)) {
        for (query, text) in [(&query, &text), (&text, &text), (&own, &other), (&own, &own), (&query, &own)] {
            let mut end = 0;
            for range in highlights(&ParsedQuery::new(query), text, Level::Partial) {
                prop_assert!(range.start >= end && range.end > range.start);
                prop_assert!(text.get(range.clone()).is_some());
                end = range.end;
            }
        }
    }

    #[test]
    fn any_text_is_searched(titles in prop::collection::vec("\\PC{0,40}", 1..8), query in "\\PC{0,60}") {
        let ids = Ids::new(16);
        let documents = titles.iter().zip(0..).map(|(title, key)| Document { key, title, ..Document::default() });
        let index = SearchIndex::build(documents);
        let _ = search(&index, &ParsedQuery::new(&query), &SearchOptions::default(), &ids);
        // Each title is found by itself, if it has words.
        for title in titles.iter().filter(|title| !ParsedQuery::new(title).is_empty()) {
            let hits = search(&index, &ParsedQuery::new(title), &SearchOptions::default(), &ids).hits;
            let is_same = |hit: &crate::catalogue::search::searcher::Hit| &titles[hit.key as usize] == title;
            prop_assert!(hits.iter().any(is_same), "{:?} {:?}", title, hits);
        }
    }
}
