//! The rules of a search, applied to each document by its texts. The reference that tests compare searches with.

use std::collections::{HashMap, HashSet};

use crate::catalogue::search::document::{Document, Documents, Facet, Popularity, names};
use crate::catalogue::search::execute::{Found, Results, SearchOptions, next_level, top};
use crate::catalogue::search::facets::ranked;
use crate::catalogue::search::matching::find_in_words;
use crate::catalogue::search::query::{Level, Query};
use crate::catalogue::search::rank::{Match, Ranker, Score, TitleMatches};
use crate::catalogue::search::text::normalize::{ARTICLES, Words};

/// Returns the same results as [`search`](crate::catalogue::search::execute::search).
#[must_use]
pub(crate) fn scan(
    all: &[Document<'_>],
    query: &Query,
    options: &SearchOptions,
    documents: &dyn Documents,
) -> Results {
    let with_score = |document: &Document<'_>, score| {
        let popularity = Popularity::new(document.rating_count, document.rating);
        Found { score, popularity, key: document.key, part: 0, place: 0 }
    };
    let all: Vec<&Document<'_>> = all.iter().filter(|document| documents.matches(document.key)).collect();
    // The documents that match the query, whatever the filter says of their labels, with their scores.
    let mut matching: Vec<(&Document<'_>, Option<Score>)> =
        all.iter().map(|document| (*document, None)).collect();
    let is_accepted = |document: &Document<'_>| options.filter.accepts(&document.labels, None);
    let found = |matching: &[(&Document<'_>, Option<Score>)]| -> Vec<Found> {
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
        let mut sums: HashMap<&str, usize> = HashMap::new();
        for (document, _) in &matching {
            if options.filter.accepts(&document.labels, Some(facet)) {
                let values: HashSet<&str> = document
                    .labels
                    .iter()
                    .filter(|(other, _)| *other == facet)
                    .map(|(_, value)| *value)
                    .collect();
                for value in values {
                    *sums.entry(value).or_default() += 1;
                }
            }
        }
        ranked(facet, sums.into_iter().map(|(value, count)| (value.to_owned(), count)))
    };
    Results {
        total: found.len(),
        is_total_exact: true,
        facets: options.facets.iter().map(|facet| counts(*facet)).collect(),
        matches: if options.lists_matches {
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
    query: &Query,
    level: Level,
    ranker: &mut Ranker<'_>,
) -> Option<Score> {
    let original =
        Some(document.original_title).filter(|title| !title.is_empty() && *title != document.title);
    let titles: Vec<(Words, Vec<Match>)> = [Some(document.title), original]
        .into_iter()
        .flatten()
        .map(|title| {
            let (words, mut matches) = (Words::of(title), Vec::new());
            find_in_words(query, &words, level, &mut matches);
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
    for name in
        names(document.director).chain(document.cast.iter().copied()).chain(document.writers.iter().copied())
    {
        let (words, before) = (Words::of(name), names_found.len());
        find_in_words(query, &words, level, &mut names_found);
        names_found[before..].iter_mut().for_each(|found| found.at += at);
        at += words.len() as u32 + 1;
    }
    ranker.score(&titles, &names_found)
}
