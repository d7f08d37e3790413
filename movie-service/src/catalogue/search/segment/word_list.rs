//! A sorted list of words, for a small vocabulary.

use std::ops::Range;

use crate::catalogue::search::segment::vocabulary::ApproximateMatch;
use crate::catalogue::search::text::edit_distance::{Automaton, letters};

/// Sorted words, by ordinal.
#[derive(Clone, Debug)]
pub(crate) struct WordList {
    text: Box<str>,
    /// Where each word begins in `text`, and the end of the last one.
    starts: Box<[u32]>,
    /// The letters of each word, see [`letters`].
    letters: Box<[u32]>,
}

/// Number of words compared only by their letters that count as one visit.
const COMPARED_PER_VISIT: usize = 16;

impl<'a> FromIterator<&'a str> for WordList {
    /// Makes a list of words that are sorted and distinct.
    fn from_iter<I: IntoIterator<Item = &'a str>>(words: I) -> Self {
        let (mut text, mut starts, mut masks) = (String::new(), vec![0], Vec::new());
        for word in words {
            text.push_str(word);
            starts.push(text.len() as u32);
            masks.push(letters(word));
        }
        Self { text: text.into(), starts: starts.into(), letters: masks.into() }
    }
}

impl WordList {
    /// Returns the number of words.
    pub(crate) fn len(&self) -> usize {
        self.letters.len()
    }

    fn word(&self, ordinal: u32) -> &str {
        &self.text[self.starts[ordinal as usize] as usize..self.starts[ordinal as usize + 1] as usize]
    }

    /// Returns the words in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len() as u32).map(|ordinal| self.word(ordinal))
    }

    /// Returns the ordinal of a word.
    pub(crate) fn find(&self, word: &str) -> Option<u32> {
        let at = self.first(0..self.len() as u32, |other| other >= word);
        ((at as usize) < self.len() && self.word(at) == word).then_some(at)
    }

    /// Returns which of a range of words begin with `prefix`.
    pub(crate) fn with_prefix(&self, prefix: &str, range: Range<u32>) -> Range<u32> {
        let start = self.first(range.clone(), |word| word >= prefix);
        start..self.first(start..range.end, |word| !word.starts_with(prefix))
    }

    /// Returns the first word of a range for which `is_after` is true; it is for all words after.
    fn first(&self, range: Range<u32>, is_after: impl Fn(&str) -> bool) -> u32 {
        let Range { mut start, mut end } = range;
        while start < end {
            let middle = start.midpoint(end);
            if is_after(self.word(middle)) {
                end = middle;
            } else {
                start = middle + 1;
            }
        }
        start
    }

    /// Passes each beginning of `text` that is a word, by its length in bytes and its ordinal, to `each`.
    pub(crate) fn prefixes_of(&self, text: &str, mut each: impl FnMut(usize, u32)) {
        let mut range = 0..self.len() as u32;
        for end in text.char_indices().map(|(at, char)| at + char.len_utf8()) {
            range = self.with_prefix(&text[..end], range);
            if range.is_empty() {
                return;
            }
            if self.word(range.start).len() == end {
                each(end, range.start);
            }
        }
    }

    /// See [`Vocabulary::approximate`](crate::catalogue::search::segment::vocabulary::Vocabulary::approximate).
    pub(crate) fn approximate(
        &self,
        automaton: &Automaton,
        as_prefix: bool,
        limit: usize,
        each: &mut dyn FnMut(ApproximateMatch),
    ) -> usize {
        let mut visited = self.len() / COMPARED_PER_VISIT;
        for (ordinal, letters) in (0..).zip(&self.letters) {
            if automaton.excludes(*letters, as_prefix) {
                continue;
            }
            if visited >= limit {
                break;
            }
            visited += 1;
            let word = self.word(ordinal);
            let mut state = automaton.start();
            let (mut least, mut can_match) = (None, true);
            for char in word.chars() {
                state = automaton.step(&state, char);
                can_match = automaton.can_match(&state);
                least = [least, automaton.edits(&state)].into_iter().flatten().min();
                if !can_match || as_prefix && least == Some(0) {
                    break;
                }
            }
            if as_prefix && least == Some(0) {
                // Completions without an edit are not looked up here.
                continue;
            }
            let found = |edits: usize, completed| ApproximateMatch {
                ordinals: ordinal..ordinal + 1,
                edits: edits as u8,
                completed,
                first_differs: word.chars().next() != automaton.first(),
            };
            if can_match && let Some(edits @ 1..) = automaton.edits(&state) {
                each(found(edits, false));
            }
            if as_prefix && let Some(edits) = least {
                each(found(edits, true));
            }
        }
        visited
    }
}
