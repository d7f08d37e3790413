//! Filters and facets.

use crate::catalogue::search::document::Facet;
use crate::catalogue::search::document::{Document, Documents};
use crate::catalogue::search::filter::IndexFilter;
use crate::catalogue::search::index::DocumentChange;
use crate::catalogue::search::index::SearchIndex;
use crate::catalogue::search::query::ParsedQuery;
use crate::catalogue::search::searcher::{Results, SearchOptions, search};

const FILMS: [(&str, &str, &[&str], &str); 6] = [
    ("The Godfather", "Francis Ford Coppola", &["Crime", "Drama"], "1970s"),
    ("The Godfather SegmentReader II", "Francis Ford Coppola", &["Crime", "Drama"], "1970s"),
    ("The Godson", "Bill Duke", &["Comedy", "Crime"], "1990s"),
    ("Tokyo Godfathers", "Satoshi Kon, Shôgo Furuya", &["Animation", "Drama"], "2000s"),
    ("Apocalypse Now", "Francis Ford Coppola", &["Drama", "War"], "1970s"),
    ("Perfect Blue", "Satoshi Kon", &["Animation", "Thriller"], "1990s"),
];

fn document(at: usize) -> Document<'static> {
    let (title, directors, genres, decade) = FILMS[at];
    let mut facet_values: Vec<(Facet, &str)> = genres.iter().map(|genre| (Facet::Genres, *genre)).collect();
    facet_values.push((Facet::Decades, decade));
    let rating_count = 1 << (20 - at);
    let directors = directors.split(", ").collect();
    Document { key: 1000 * at as u64, title, directors, facet_values, rating_count, ..Document::default() }
}

fn index() -> SearchIndex {
    SearchIndex::build((0..FILMS.len()).map(document))
}

/// The films, and if it is not empty a director that they are filtered by.
struct Directed(&'static str);

impl Documents for Directed {
    fn id(&self, key: u64) -> &str {
        FILMS[key as usize / 1000].0
    }

    fn is_filtered(&self) -> bool {
        !self.0.is_empty()
    }

    fn matches(&self, key: u64) -> bool {
        FILMS[key as usize / 1000].1.split(", ").any(|director| director == self.0)
    }
}

fn titles(results: &Results) -> Vec<&'static str> {
    results.hits.iter().map(|hit| FILMS[hit.key as usize / 1000].0).collect()
}

fn run(index: &SearchIndex, query: &str, filter: IndexFilter, director: &'static str) -> Results {
    let facets = vec![Facet::Genres, Facet::Decades];
    let options = SearchOptions { filter, facets, lists_matches: true, ..SearchOptions::default() };
    search(index, &ParsedQuery::new(query), &options, &Directed(director))
}

fn values(results: &Results, facet: Facet) -> Vec<(&str, usize)> {
    let facets = results.facets.iter().filter(|counts| counts.facet == facet);
    facets.flat_map(|counts| counts.values.iter().map(|(value, count)| (&**value, *count))).collect()
}

#[test]
fn a_filter_excludes_before_hits_are_counted() {
    let comedies = IndexFilter::default().with_values(Facet::Genres, ["comedy"]);
    let results = run(&index(), "god", comedies, "");
    assert_eq!(titles(&results), ["The Godson"]);
    assert_eq!((results.total, results.matches.len()), (1, 1));
}

#[test]
fn values_of_a_facet_are_alternatives_and_facets_are_not() {
    let filter = IndexFilter::default()
        .with_values(Facet::Genres, ["CRIME", "war"])
        .with_values(Facet::Decades, ["1970s"]);
    let results = run(&index(), "", filter, "");
    assert_eq!(titles(&results), ["The Godfather", "The Godfather SegmentReader II", "Apocalypse Now"]);
}

#[test]
fn a_facet_is_counted_without_the_filter_on_itself() {
    for query in ["god", ""] {
        let filter = IndexFilter::default()
            .with_values(Facet::Genres, ["Crime"])
            .with_values(Facet::Decades, ["1970s"]);
        let results = run(&index(), query, filter, "");
        let genres = match query {
            "" => vec![("Drama", 3), ("Crime", 2), ("War", 1)],
            _ => vec![("Crime", 2), ("Drama", 2)],
        };
        assert_eq!(values(&results, Facet::Genres), genres, "{query:?}");
        assert_eq!(values(&results, Facet::Decades), [("1970s", 2), ("1990s", 1)], "{query:?}");
        assert!(results.is_total_exact);
    }
}

#[test]
fn facets_of_the_empty_query_follow_changes() {
    let moved = Document { facet_values: vec![(Facet::Genres, "Opera")], ..document(0) };
    let index = index().with(&[DocumentChange::Put(moved), DocumentChange::Remove(4000)]);
    let results = run(&index, "", IndexFilter::default(), "");
    let genres = [("Animation", 2), ("Crime", 2), ("Drama", 2), ("Comedy", 1), ("Opera", 1), ("Thriller", 1)];
    assert_eq!(values(&results, Facet::Genres), genres);
    assert_eq!(values(&results, Facet::Decades), [("1990s", 2), ("1970s", 1), ("2000s", 1)]);
    assert_eq!(results.total, 5);
}

#[test]
fn conditions_that_the_index_does_not_know_of_are_asked_for() {
    for filter in [IndexFilter::default(), IndexFilter::default().with_words("Satoshi Kon")] {
        for (query, expected) in
            [("", vec!["Tokyo Godfathers", "Perfect Blue"]), ("god", vec!["Tokyo Godfathers"])]
        {
            let results = run(&index(), query, filter.clone(), "Satoshi Kon");
            assert_eq!(titles(&results), expected);
            assert_eq!((results.total, results.is_total_exact), (expected.len(), true));
            assert_eq!(values(&results, Facet::Genres)[0], ("Animation", expected.len()));
        }
    }
}

#[test]
fn values_that_a_filter_takes_for_the_same_are_counted_as_one_in_the_most_frequent_spelling() {
    let spellings: [&[&str]; 5] =
        [&["Comédie"], &["Comédie"], &["comedie", "COMEDIE"], &["comedie"], &["Comédie"]];
    let document = |at: usize| {
        let facet_values = spellings[at].iter().map(|value| (Facet::Genres, *value)).collect();
        Document { key: 1000 * at as u64, title: "Godard", facet_values, ..Document::default() }
    };
    let base = SearchIndex::build((0..2).map(document));
    let index = base.with(&[2, 3, 4].map(|at| DocumentChange::Put(document(at))));
    for query in ["", "godard"] {
        let results = run(&index, query, IndexFilter::default().with_values(Facet::Genres, ["COMEDIE"]), "");
        assert_eq!(results.total, 5);
        assert_eq!(values(&results, Facet::Genres), [("Comédie", 5)], "{query:?}");
    }
}
