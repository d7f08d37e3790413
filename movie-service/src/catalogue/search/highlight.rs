//! The parts of a text that a query matches.

use std::ops::Range;

use crate::catalogue::search::query::{Level, ParsedQuery};
use crate::catalogue::search::text::normalize::Words;
use crate::catalogue::search::text_matches::match_words;

/// Returns the byte ranges of the words of a text that words of the query stand for, in order, not overlapping. They lie
/// on character boundaries.
#[must_use]
pub(crate) fn highlights(query: &ParsedQuery, text: &str, level: Level) -> Vec<Range<usize>> {
    let words = Words::of(text);
    let mut matches = Vec::new();
    match_words(query, &words, level, &mut matches);
    let mut cheapest = vec![u16::MAX; query.words.len()];
    for found in &matches {
        for word in found.word..found.word + found.width {
            cheapest[word as usize] = cheapest[word as usize].min(found.cost);
        }
    }
    let mut is_matched = vec![false; words.len()];
    for found in &matches {
        let mut of_found = cheapest[found.word as usize..(found.word + found.width) as usize].iter();
        if of_found.any(|cost| *cost == found.cost) {
            is_matched[found.at as usize..found.at as usize + found.span as usize].fill(true);
        }
    }
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for at in (0..words.len()).filter(|at| is_matched[*at]) {
        let range = words.original_range(at);
        match ranges.last_mut() {
            // Words of one character, as "1" and "2" of "½".
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => ranges.push(range),
        }
    }
    ranges
}
