//! Reference implementation for tests: applies the rules of a search to the texts of each document.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::catalogue::fold::fold;
use crate::catalogue::search::document::{Document, Documents, Facet, Popularity};
use crate::catalogue::search::facets::FacetCounts;
use crate::catalogue::search::query::{Level, ParsedQuery};
use crate::catalogue::search::rank::{Ranker, Score, TitleMatches, WordMatch};
use crate::catalogue::search::searcher::{Results, ScoredDoc, SearchOptions, next_level, top};
use crate::catalogue::search::text::normalize::{ARTICLES, Words};
use crate::catalogue::search::text_matches::match_words;

/// Returns the same results as [`search`](crate::catalogue::search::searcher::search).
#[must_use]
pub(crate) fn scan(
    all: &[Document<'_>],
    query: &ParsedQuery,
    options: &SearchOptions,
    documents: &dyn Documents,
) -> Results {
    let with_score = |document: &Document<'_>, score| {
        let popularity = Popularity::new(document.rating_count, document.rating);
        ScoredDoc { score, popularity, key: document.key, segment_ord: 0, doc: 0 }
    };
    let all: Vec<&Document<'_>> = all.iter().filter(|document| documents.matches(document.key)).collect();
    // The documents that match the query, whatever the filter says of their facet values, with their scores.
    let mut matching: Vec<(&Document<'_>, Option<Score>)> =
        all.iter().map(|document| (*document, None)).collect();
    let is_accepted = |document: &Document<'_>| options.filter.accepts(&document.facet_values, None);
    let found = |matching: &[(&Document<'_>, Option<Score>)]| -> Vec<ScoredDoc> {
        let accepted = matching.iter().filter(|(document, _)| is_accepted(document));
        accepted.map(|(document, score)| with_score(document, *score)).collect()
    };
    let mut level = (!query.is_empty()).then_some(Level::Literal);
    while let Some(now) = level {
        let mut ranker = Ranker::new(query, now);
        let scores =
            all.iter().map(|document| (*document, score_document(document, query, now, &mut ranker)));
        matching = scores.filter(|(_, score)| score.is_some()).collect();
        match next_level(query, now, &found(&matching)) {
            Some(next) => level = Some(next),
            None => break,
        }
    }
    let found = found(&matching);
    let counts = |facet: Facet| {
        let mut counted: Vec<(Cow<'_, str>, &str)> = Vec::new();
        for (document, _) in &matching {
            if options.filter.accepts(&document.facet_values, Some(facet)) {
                let of_facet = document.facet_values.iter().filter(|(other, _)| *other == facet);
                let mut known = HashSet::new();
                let folded = of_facet.map(|(_, value)| (fold(value), *value));
                counted.extend(folded.filter(|(folded, _)| known.insert(folded.clone())));
            }
        }
        FacetCounts::new(facet, counted.iter().map(|(folded, value)| (&**folded, *value, 1)))
    };
    Results {
        total: found.len(),
        is_total_exact: true,
        facets: options.facets.iter().map(|facet| counts(*facet)).collect(),
        matches: if options.lists_matches && level.is_some() {
            found.iter().map(|found| found.key).collect()
        } else {
            Vec::new()
        },
        level,
        steps: all.len(),
        hits: top(found, options, documents),
    }
}

fn score_document(
    document: &Document<'_>,
    query: &ParsedQuery,
    level: Level,
    ranker: &mut Ranker<'_>,
) -> Option<Score> {
    let original =
        Some(document.original_title).filter(|title| !title.is_empty() && *title != document.title);
    let titles: Vec<(Words, Vec<WordMatch>)> = [Some(document.title), original]
        .into_iter()
        .flatten()
        .map(|title| {
            let (words, mut matches) = (Words::of(title), Vec::new());
            match_words(query, &words, level, &mut matches);
            (words, matches)
        })
        .collect();
    let titles: Vec<TitleMatches<'_>> = titles
        .iter()
        .map(|(words, matches)| TitleMatches {
            matches,
            len: words.len(),
            letters: words.iter().map(|word| word.chars().count()).sum(),
            begins_with_article: words.iter().next().is_some_and(|first| ARTICLES.contains(&first)),
        })
        .collect();
    let (mut names_found, mut at) = (Vec::new(), 1);
    for name in document.people() {
        let (words, before) = (Words::of(name), names_found.len());
        match_words(query, &words, level, &mut names_found);
        names_found[before..].iter_mut().for_each(|found| found.at += at);
        at += words.len() as u32 + 1;
    }
    ranker.score(&titles, &names_found)
}
