//! Any text is searched within a budget of work, which is counted in steps.

use crate::catalogue::search::document::Facet;
use crate::catalogue::search::document::{Document, Documents};
use crate::catalogue::search::index::DocumentChange;
use crate::catalogue::search::index::SearchIndex;
use crate::catalogue::search::query::ParsedQuery;
use crate::catalogue::search::searcher::{Results, SearchOptions, search};
use proptest::prelude::*;

/// Steps of 25 ns in 20 ms.
const MAX_STEPS: usize = 800_000;

struct SameId;

impl Documents for SameId {
    fn id(&self, _key: u64) -> &'static str {
        ""
    }
}

/// Words that resemble each other, of which each document has some.
const WORDS: [&str; 24] = [
    "the", "a", "of", "star", "stars", "start", "starting", "stating", "staring", "string", "strong",
    "sting", "man", "men", "main", "mane", "i", "ii", "two", "2", "1", "love", "lover", "loved",
];

/// Half of the documents in the base, and many deltas.
fn index(movies: u64) -> SearchIndex {
    let title = |movie: u64| -> String {
        let pick = |at: u64| {
            WORDS[((movie * 10 + at).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize % WORDS.len()]
        };
        let made = format!("{}{movie}", pick(9));
        let words = (0..3 + movie % 5).map(pick).chain([made.as_str()]);
        words.collect::<Vec<_>>().join(" ")
    };
    let titles: Vec<String> = (0..movies).map(title).collect();
    let document = |key: usize| Document {
        key: key as u64,
        title: &titles[key],
        directors: vec![&titles[key / 2]],
        rating_count: key as u64,
        ..Document::default()
    };
    let half = titles.len() / 2;
    let base = SearchIndex::build((0..half).map(document));
    let keys: Vec<usize> = (half..titles.len()).collect();
    keys.chunks(7).fold(base, |index, keys| {
        index.with(&keys.iter().map(|key| DocumentChange::Put(document(*key))).collect::<Vec<_>>())
    })
}

fn run(index: &SearchIndex, text: &str) -> Results {
    let facets = Facet::ALL.to_vec();
    let options = SearchOptions { limit: 100, facets, lists_matches: true, ..SearchOptions::default() };
    search(index, &ParsedQuery::new(text), &options, &SameId)
}

fn hostile_text() -> impl Strategy<Value = String> {
    let word = prop::sample::select(WORDS.to_vec());
    let edited = (word.clone(), "[a-z]").prop_map(|(word, letter)| format!("{word}{letter}"));
    let words = prop::collection::vec(prop_oneof![word.prop_map(str::to_owned), edited], 1..100);
    prop_oneof![
        words.clone().prop_map(|words| words.join(" ")),
        words.prop_map(|words| words.concat()),
        prop::collection::vec(any::<char>(), 0..1000).prop_map(|chars| chars.into_iter().collect()),
        ("\\PC{1,8}", 1..1000_usize).prop_map(|(unit, times)| unit.repeat(times)),
        "[a-z]{1}( [a-z]{1}){0,100}",
        "[st]{3,12}( [ars]{3,12}){0,30}",
        prop::collection::vec(0..0x20_u8, 0..1000)
            .prop_map(|bytes| bytes.into_iter().map(char::from).collect()),
    ]
}

#[test]
fn any_query_costs_a_bounded_number_of_steps() {
    let index = index(30_000);
    let mut runner = prop::test_runner::TestRunner::new(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let result = runner.run(&hostile_text(), |text| {
        let results = run(&index, &text);
        prop_assert!(results.steps <= MAX_STEPS, "{} steps", results.steps);
        prop_assert!(results.hits.len() <= 100 && results.matches.len() <= results.total);
        Ok(())
    });
    assert!(result.is_ok(), "{result:?}");
}

#[test]
fn the_budget_ends_a_search_that_finds_too_much() {
    let index = index(30_000);
    let results = run(&index, "the of star");
    assert!(!results.is_total_exact, "{results:?}");
    assert_eq!(results.hits.len(), 100);
    // A level that has no work left does not lose what those before found.
    let results = run(&index, "stra9 sting starting main mne loev stirng staring 29999 sstar");
    assert!(!results.is_total_exact && !results.hits.is_empty(), "{results:?}");
    let exact = run(&index, "starting29999");
    assert!(exact.is_total_exact && exact.steps < results.steps, "{} {}", exact.steps, results.steps);
}

#[test]
fn more_words_of_names_than_sixteen_bits_count_are_found() {
    // One character that is decomposed into 18, in four words.
    let name = "\u{fdfa}".repeat(100);
    let names = vec![name.as_str(); 250];
    let document =
        Document { title: "Names", cast: names, directors: vec!["Last Name"], ..Document::default() };
    let index = SearchIndex::build([document].into_iter());
    assert_eq!(run(&index, "الله last").hits.len(), 1);
}

#[test]
fn facets_of_all_movies_cost_little_if_no_movie_is_wanted() {
    let options = SearchOptions { limit: 0, facets: Facet::ALL.to_vec(), ..SearchOptions::default() };
    let results = search(&index(3_000), &ParsedQuery::new(""), &options, &SameId);
    assert_eq!(results.total, 3_000);
    assert!(results.steps < 1_000, "{}", results.steps);
}
