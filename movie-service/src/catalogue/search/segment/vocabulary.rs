//! The words of a segment: a map from each to its ordinal, in order of their bytes.
//!
//! An `fst` if they are many. A builder of one allocates a megabyte, too much for each write: few words are a list.

use std::fmt;
use std::ops::Range;

use fst::raw::{Fst, Node, Transition};

use crate::catalogue::search::segment::word_list::WordList;
use crate::catalogue::search::text::edit_distance::{Automaton, State};

/// The words of a segment. Words that begin alike have adjacent ordinals.
#[derive(Clone)]
pub(crate) enum Vocabulary {
    Many(Fst<Vec<u8>>),
    Few(WordList),
}

/// Maximum number of words that are a list. More words are an `fst`.
const MAX_LISTED_WORDS: usize = 8192;

impl fmt::Debug for Vocabulary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vocabulary").field("len", &self.len()).finish()
    }
}

/// Words found by an approximate look-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApproximateMatch {
    pub(crate) ordinals: Range<u32>,
    pub(crate) edits: u8,
    /// The words continue after what was looked up.
    pub(crate) completed: bool,
    pub(crate) first_differs: bool,
}

impl Vocabulary {
    /// Makes a vocabulary of words that are sorted and distinct.
    pub(crate) fn new<'a>(words: impl ExactSizeIterator<Item = &'a str>) -> Self {
        if words.len() <= MAX_LISTED_WORDS {
            return Self::Few(words.collect());
        }
        Self::many(words)
    }

    fn many<'a>(words: impl Iterator<Item = &'a str>) -> Self {
        let mut builder = fst::raw::Builder::memory();
        for (ordinal, word) in words.enumerate() {
            // Sorted words cannot fail to be written to memory. A word out of order would only not be found.
            let _ = builder.insert(word, ordinal as u64);
        }
        Self::Many(builder.into_fst())
    }

    /// Returns the number of words.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Many(fst) => fst.len(),
            Self::Few(words) => words.len(),
        }
    }

    /// Passes all words in order of their ordinals to `each`.
    pub(crate) fn for_each(&self, mut each: impl FnMut(&str)) {
        use fst::Streamer as _;
        match self {
            Self::Few(words) => words.iter().for_each(each),
            Self::Many(fst) => {
                let mut stream = fst.stream();
                while let Some((word, _)) = stream.next() {
                    // All words came as text.
                    each(std::str::from_utf8(word).unwrap_or_default());
                }
            }
        }
    }

    /// Returns the ordinal of a word.
    pub(crate) fn get(&self, word: &str) -> Option<u32> {
        match self {
            Self::Many(fst) => fst.get(word).map(|output| output.value() as u32),
            Self::Few(words) => words.find(word),
        }
    }

    /// Returns the ordinals of all words that begin with `prefix`, itself included; none if it is empty.
    pub(crate) fn with_prefix(&self, prefix: &str) -> Option<Range<u32>> {
        if prefix.is_empty() {
            return None;
        }
        let fst = match self {
            Self::Many(fst) => fst,
            Self::Few(words) => {
                return Some(words.with_prefix(prefix, 0..words.len() as u32))
                    .filter(|range| !range.is_empty());
            }
        };
        let (mut node, mut sum) = (fst.root(), 0);
        for byte in prefix.bytes() {
            let transition = node.transition(node.find_input(byte)?);
            sum += transition.out.value();
            node = fst.node(transition.addr);
        }
        Some(below(fst, node, sum))
    }

    /// Passes each beginning of `text` that is a word, by its length in bytes and its ordinal, to `each`.
    pub(crate) fn prefixes_of(&self, text: &str, mut each: impl FnMut(usize, u32)) {
        let fst = match self {
            Self::Many(fst) => fst,
            Self::Few(words) => return words.prefixes_of(text, each),
        };
        let (mut node, mut sum) = (fst.root(), 0);
        for (at, byte) in text.bytes().enumerate() {
            let Some(transition) = node.find_input(byte).map(|index| node.transition(index)) else {
                return;
            };
            sum += transition.out.value();
            node = fst.node(transition.addr);
            if node.is_final() {
                each(at + 1, (sum + node.final_output().value()) as u32);
            }
        }
    }

    /// Passes the words that match with at least one edit to `each`; with `as_prefix`, those of which a beginning does,
    /// too. Returns how many nodes it visited, at most about `limit`.
    pub(crate) fn approximate(
        &self,
        automaton: &Automaton,
        as_prefix: bool,
        limit: usize,
        each: &mut dyn FnMut(ApproximateMatch),
    ) -> usize {
        let fst = match self {
            Self::Many(fst) => fst,
            Self::Few(words) => return words.approximate(automaton, as_prefix, limit, each),
        };
        let mut walk = Walk { fst, automaton, as_prefix, limit, visited: 0, each };
        let start = WalkState {
            automaton: automaton.start(),
            sum: 0,
            char: 0,
            missing: 0,
            first_differs: None,
            least: 255,
        };
        walk.visit(fst.root(), &start);
        walk.visited
    }
}

/// Returns the ordinals of the words at or below a node that is reached with this sum of outputs.
fn below(fst: &Fst<Vec<u8>>, start: Node<'_>, sum: u64) -> Range<u32> {
    let (mut node, mut first) = (start, sum);
    while !node.is_final() && !node.is_empty() {
        let transition = node.transition(0);
        first += transition.out.value();
        node = fst.node(transition.addr);
    }
    first += node.final_output().value();
    let (mut node, mut last) = (start, sum);
    while !node.is_empty() {
        let transition = node.transition(node.len() - 1);
        last += transition.out.value();
        node = fst.node(transition.addr);
    }
    last += node.final_output().value();
    first as u32..last as u32 + 1
}

struct Walk<'a> {
    fst: &'a Fst<Vec<u8>>,
    automaton: &'a Automaton,
    as_prefix: bool,
    limit: usize,
    visited: usize,
    each: &'a mut dyn FnMut(ApproximateMatch),
}

/// Where a walk is.
#[derive(Clone, Copy)]
struct WalkState {
    automaton: State,
    sum: u64,
    /// Bits of a character of several bytes that is not complete, and how many bytes are missing.
    char: u32,
    missing: u8,
    first_differs: Option<bool>,
    /// Least number of edits with which a beginning matched.
    least: u8,
}

impl Walk<'_> {
    fn visit(&mut self, node: Node<'_>, state: &WalkState) {
        if self.visited >= self.limit {
            return;
        }
        self.visited += 1;
        let only = if state.missing == 0 { self.automaton.only_next(&state.automaton) } else { None };
        if let Some((len, next)) = only {
            for index in next[..len].iter().filter_map(|byte| node.find_input(*byte)) {
                self.follow(node.transition(index), state);
            }
        } else {
            for transition in node.transitions() {
                self.follow(transition, state);
            }
        }
    }

    fn follow(&mut self, transition: Transition, state: &WalkState) {
        let mut next = WalkState { sum: state.sum + transition.out.value(), ..*state };
        let char = match (next.missing, transition.inp) {
            (0, byte @ ..0x80) => Some(byte.into()),
            (0, byte) => {
                (next.char, next.missing) = match byte {
                    ..0xe0 => (u32::from(byte & 0x1f), 1),
                    0xe0..0xf0 => (u32::from(byte & 0x0f), 2),
                    _ => (u32::from(byte & 0x07), 3),
                };
                None
            }
            (missing, byte) => {
                next.char = next.char << 6 | u32::from(byte & 0x3f);
                next.missing = missing - 1;
                if missing == 1 { char::from_u32(next.char) } else { None }
            }
        };
        let Some(char) = char else {
            self.visit(self.fst.node(transition.addr), &next);
            return;
        };
        next.automaton = self.automaton.step(&state.automaton, char);
        if !self.automaton.can_match(&next.automaton) {
            return;
        }
        let first_differs = *next.first_differs.get_or_insert(Some(char) != self.automaton.first());
        let child = self.fst.node(transition.addr);
        if let Some(edits) = self.automaton.edits(&next.automaton) {
            if self.as_prefix && edits == 0 {
                // Completions without an edit are not ours.
                return;
            }
            let edits_found = edits as u8;
            if child.is_final() && edits > 0 {
                let ordinal = (next.sum + child.final_output().value()) as u32;
                let ordinals = ordinal..ordinal + 1;
                (self.each)(ApproximateMatch {
                    ordinals,
                    edits: edits_found,
                    completed: false,
                    first_differs,
                });
            }
            if self.as_prefix && edits_found < next.least {
                next.least = edits_found;
                let ordinals = below(self.fst, child, next.sum);
                (self.each)(ApproximateMatch {
                    ordinals,
                    edits: edits_found,
                    completed: true,
                    first_differs,
                });
            }
        }
        self.visit(child, &next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The least edits, with and without completion, of each word found.
    fn found(
        vocabulary: &Vocabulary,
        pattern: &str,
        edits: usize,
        as_prefix: bool,
    ) -> Vec<(u32, bool, u8, bool)> {
        let mut all = Vec::new();
        let automaton = Automaton::new(pattern, edits);
        vocabulary.approximate(&automaton, as_prefix, usize::MAX, &mut |found| {
            let ApproximateMatch { ordinals, edits, completed, first_differs } = found;
            all.extend(ordinals.map(|ordinal| (ordinal, completed, edits, first_differs)));
        });
        all.sort_unstable();
        all.dedup_by_key(|(ordinal, completed, ..)| (*ordinal, *completed));
        all
    }

    #[test]
    fn both_forms_agree() {
        let mut words: Vec<String> = Vec::new();
        for length in 1..=5 {
            for mut number in 0..4_usize.pow(length) {
                let mut word = String::new();
                for _ in 0..length {
                    word.push(['a', 'b', 'и', '千'][number % 4]);
                    number /= 4;
                }
                // Not all, so that some beginnings are no words.
                if !word.len().is_multiple_of(3) || word.starts_with("ab") {
                    words.push(word);
                }
            }
        }
        words.sort_unstable();
        let few = Vocabulary::Few(words.iter().map(String::as_str).collect());
        let many = Vocabulary::many(words.iter().map(String::as_str));
        for pattern in
            ["a", "ab", "ba", "abи", "aba", "abab", "иaab", "千и", "abbaa", "bиbиb", "aaaabb", "zzab"]
        {
            assert_eq!(few.get(pattern), many.get(pattern), "{pattern}");
            assert_eq!(few.with_prefix(pattern), many.with_prefix(pattern), "{pattern}");
            let prefixes = |vocabulary: &Vocabulary| {
                let mut all = Vec::new();
                vocabulary.prefixes_of(pattern, |end, ordinal| all.push((end, ordinal)));
                all
            };
            assert_eq!(prefixes(&few), prefixes(&many), "{pattern}");
            for (edits, as_prefix) in [(1, false), (1, true), (2, false), (2, true)] {
                let [few, many] = [&few, &many].map(|vocabulary| {
                    // Completions without an edit may be among a range of those with one. They cost less anyway.
                    let mut found = found(vocabulary, pattern, edits, as_prefix);
                    found
                        .retain(|(ordinal, ..)| !as_prefix || !words[*ordinal as usize].starts_with(pattern));
                    found
                });
                assert!(few == many, "{pattern} {edits} {as_prefix}");
            }
        }
    }
}
