//! The words of a text that the words of a query stand for, by the definition of the rules. `expansions` finds the same in an
//! indexed document.

use crate::catalogue::search::query::{Level, MAX_SPLIT, ParsedQuery, cost};
use crate::catalogue::search::rank::WordMatch;
use crate::catalogue::search::text::normalize::Words;

/// Appends the matches of a text, in order of position.
pub(crate) fn match_words(query: &ParsedQuery, words: &Words, level: Level, matches: &mut Vec<WordMatch>) {
    let words: Vec<&str> = words.iter().collect();
    let mut push = |at: usize, span: usize, word: usize, width: usize, cost, is_equivalent, is_roman| {
        let ends_name = at + span == words.len();
        let [span, word, width] = [span, word, width].map(|number| number as u8);
        matches.push(WordMatch {
            at: at as u32,
            span,
            word,
            width,
            cost,
            is_equivalent,
            is_roman,
            ends_name,
        });
    };
    for at in 0..words.len() {
        for (number, word) in query.words.iter().enumerate() {
            if let Some(found) = word.cost_of(words[at], level) {
                push(at, 1, number, 1, found.cost, found.is_equivalent, found.is_roman);
            }
            for span in 2..=MAX_SPLIT.min(words.len() - at) {
                let parts = &words[at..at + span];
                let before: usize = parts[..span - 1].iter().map(|part| part.len()).sum();
                let begins = word.text.len() > before && word.text.starts_with(&parts[..span - 1].concat());
                let Some(rest) = begins.then(|| &word.text[before..]) else {
                    continue;
                };
                if rest == parts[span - 1] {
                    push(at, span, number, 1, cost::SPLIT, false, false);
                } else if span == 2 && word.may_complete_split(rest) && parts[1].starts_with(rest) {
                    push(at, span, number, 1, cost::SPLIT + cost::COMPLETION, false, false);
                }
            }
        }
        query.for_each_join(|first, width, joined, is_last| {
            if joined == words[at] {
                push(at, 1, first, width, cost::JOINED, false, false);
            } else if is_last && words[at].starts_with(joined) {
                push(at, 1, first, width, cost::JOINED + cost::COMPLETION, false, false);
            }
        });
    }
}
