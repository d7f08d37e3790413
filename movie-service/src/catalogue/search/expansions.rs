//! Query expansion: the words of a segment that the words of a query may stand for.

use std::ops::Range;

use crate::catalogue::search::budget::Budget;
use crate::catalogue::search::query::{Level, MAX_SPLIT, ParsedQuery, cost};
use crate::catalogue::search::rank::WordMatch;
use crate::catalogue::search::segment::doc_set::DocSet;
use crate::catalogue::search::segment::reader::IndexSegment;
use crate::catalogue::search::text::edit_distance::Automaton;

/// Maximum number of ways to split one word of a query.
const MAX_SPLITS: usize = 64;
/// Maximum number of words of a range that is listed word by word.
const MAX_LISTED_WORDS: u32 = 32;

/// One or several adjacent words of documents that one or several words of the query may stand for.
#[derive(Clone, Debug)]
pub(crate) struct Expansion {
    /// Ordinals of the words, one range for each position.
    pub(crate) parts: [Range<u32>; MAX_SPLIT],
    /// Number of positions.
    pub(crate) span: u8,
    /// First word of the query.
    pub(crate) word: u8,
    /// Number of words of the query.
    pub(crate) width: u8,
    pub(crate) cost: u16,
    pub(crate) is_equivalent: bool,
    /// Does not count as first word of a title, nor in names.
    pub(crate) is_roman: bool,
    /// The words continue after what the query has.
    pub(crate) is_completion: bool,
}

impl Expansion {
    fn new(word: usize, ordinals: Range<u32>, cost: u16) -> Self {
        let parts = [ordinals, 0..0, 0..0];
        let (span, word, width) = (1, word as u8, 1);
        Self { parts, span, word, width, cost, is_equivalent: false, is_roman: false, is_completion: false }
    }

    fn completion(word: usize, ordinals: Range<u32>, cost: u16) -> Self {
        Self { is_completion: true, ..Self::new(word, ordinals, cost) }
    }

    /// Returns whether it stands for one of these words of the query.
    pub(crate) fn has_one_of(&self, words: &[usize]) -> bool {
        let own = usize::from(self.word)..usize::from(self.word + self.width);
        words.iter().any(|word| own.contains(word))
    }

    /// Adds the documents that have the rarest part to `docs`, as far as `budget` allows postings to be read.
    pub(crate) fn add_docs(&self, segment: &IndexSegment, docs: &mut DocSet, budget: &mut Budget) {
        let (ordinals, _) = self.rarest(segment);
        ordinals.for_each(|ordinal| docs.add_list(segment, ordinal, budget, usize::MAX));
    }

    /// Returns the part that the fewest documents have, and how many postings it has.
    pub(crate) fn rarest(&self, segment: &IndexSegment) -> (Range<u32>, usize) {
        let parts = self.parts[..self.span as usize].iter();
        let counted = parts.map(|part| (part.clone(), segment.postings.count(part.clone())));
        counted.min_by_key(|(_, count)| *count).unwrap_or((0..0, 0))
    }
}

/// All expansions of a query in a segment, and a way to find those of a word.
pub(crate) struct Expansions {
    pub(crate) all: Vec<Expansion>,
    /// Bit of each ordinal that begins an expansion.
    bits: Vec<u64>,
    /// Ordinals and expansions that begin with them, sorted.
    listed: Vec<(u32, u16)>,
    /// Expansions that begin with many words.
    ranges: Vec<u16>,
}

impl Expansions {
    /// Finds the expansions; none if documents cannot have enough of the words. `automata` are those of the words, see
    /// [`automata`]; `nodes` is the work left for approximate look-ups.
    pub(crate) fn new(
        segment: &IndexSegment,
        query: &ParsedQuery,
        level: Level,
        may_miss: usize,
        automata: &[Option<Automaton>],
        nodes: &mut Budget,
    ) -> Option<Self> {
        let (mut all, vocabulary) = (Vec::new(), &segment.vocabulary);
        for at in 0..query.words.len() {
            add_literal(segment, query, at, &mut all);
            add_splits(segment, query, at, &mut all);
        }
        add_joins(segment, query, &mut all);
        let mut has_expansion = vec![false; query.words.len()];
        for expansion in &all {
            let words = usize::from(expansion.word)..usize::from(expansion.word + expansion.width);
            has_expansion[words].fill(true);
        }
        // Words for which there is nothing, whatever the automata find.
        let is_missing =
            |at: usize, has_expansion: bool| !has_expansion && query.words[at].is_required(level);
        let without = (0..has_expansion.len()).filter(|at| !matches!(automata.get(*at), Some(Some(_))));
        let mut missing = without.filter(|at| is_missing(*at, has_expansion[*at])).count();
        // Words without an expansion first: they can rule the segment out.
        let mut order: Vec<usize> = (0..automata.len()).collect();
        order.sort_by_key(|at| has_expansion[*at]);
        for at in order {
            if missing > may_miss {
                return None;
            }
            let Some(automaton) = &automata[at] else { continue };
            let (before, is_last) = (all.len(), query.words[at].is_last);
            let used = vocabulary.approximate(automaton, is_last, nodes.left(), &mut |found| {
                let cost = u16::from(found.edits) * cost::EDIT
                    + if found.completed { cost::EDITED_COMPLETION } else { 0 }
                    + if found.first_differs { cost::FIRST_LETTER } else { 0 };
                let expansion = Expansion::new(at, found.ordinals, cost);
                all.push(Expansion { is_completion: found.completed, ..expansion });
            });
            nodes.spend(used);
            missing += usize::from(is_missing(at, has_expansion[at] || all.len() > before));
        }
        if missing > may_miss {
            return None;
        }
        all.truncate(usize::from(u16::MAX));
        Some(Self::indexed(all, vocabulary.len()))
    }

    fn indexed(all: Vec<Expansion>, words: usize) -> Self {
        let mut bits = vec![0_u64; words / 64 + 1];
        let (mut listed, mut ranges) = (Vec::new(), Vec::new());
        for (index, expansion) in all.iter().enumerate() {
            let Range { start, end } = expansion.parts[0];
            if end - start <= MAX_LISTED_WORDS {
                for ordinal in start..end {
                    bits[ordinal as usize / 64] |= 1 << (ordinal % 64);
                    listed.push((ordinal, index as u16));
                }
            } else {
                for ordinal in start..end {
                    bits[ordinal as usize / 64] |= 1 << (ordinal % 64);
                }
                ranges.push(index as u16);
            }
        }
        listed.sort_unstable();
        Self { all, bits, listed, ranges }
    }

    /// Returns how many postings the expansions of each word of the query have.
    pub(crate) fn postings(&self, segment: &IndexSegment, words: usize) -> Vec<usize> {
        let mut counts = vec![0; words];
        for expansion in &self.all {
            let (_, count) = expansion.rarest(segment);
            let words = usize::from(expansion.word)..usize::from(expansion.word + expansion.width);
            counts[words].iter_mut().for_each(|sum| *sum += count);
        }
        counts
    }

    /// Returns the ordinals of the words of the query as they are written; none if the segment lacks one.
    pub(crate) fn literal(&self, query: &ParsedQuery) -> Option<Vec<u32>> {
        let is_literal = |expansion: &&Expansion| {
            (expansion.cost, expansion.span, expansion.width) == (0, 1, 1) && !expansion.is_equivalent
        };
        let ordinal = |word| {
            let of_word =
                |expansion: &&Expansion| usize::from(expansion.word) == word && is_literal(expansion);
            self.all.iter().find(of_word).map(|expansion| expansion.parts[0].start)
        };
        (0..query.words.len()).map(ordinal).collect()
    }

    /// Appends the matches of adjacent words of a document: `ordinals` of a title, or of names as in `forward`.
    #[inline]
    pub(crate) fn find(&self, ordinals: &[u32], matches: &mut Vec<WordMatch>) {
        for (at, ordinal) in ordinals.iter().enumerate() {
            let bit = self.bits.get(*ordinal as usize / 64).map_or(0, |bits| bits >> (ordinal % 64) & 1);
            if bit == 1 {
                self.find_at(ordinals, at, matches);
            }
        }
    }

    #[inline(never)]
    fn find_at(&self, ordinals: &[u32], at: usize, matches: &mut Vec<WordMatch>) {
        let ordinal = ordinals[at];
        let start = self.listed.partition_point(|(other, _)| *other < ordinal);
        let listed =
            self.listed[start..].iter().take_while(|(other, _)| *other == ordinal).map(|(_, index)| *index);
        for index in listed.chain(self.ranges.iter().copied()) {
            let expansion = &self.all[index as usize];
            let parts = &expansion.parts[..expansion.span as usize];
            let Some(words) = ordinals.get(at..at + parts.len()) else {
                continue;
            };
            if parts.iter().zip(words).all(|(part, word)| part.contains(word)) {
                matches.push(WordMatch {
                    at: at as u32,
                    span: expansion.span,
                    word: expansion.word,
                    width: expansion.width,
                    cost: expansion.cost,
                    is_equivalent: expansion.is_equivalent,
                    is_roman: expansion.is_roman,
                    ends_name: at + parts.len() == ordinals.len(),
                });
            }
        }
    }
}

/// Returns an automaton for each word of a query that may have edits at a level.
pub(crate) fn automata(query: &ParsedQuery, level: Level) -> Vec<Option<Automaton>> {
    let edits = query.words.iter().map(|word| (word, word.max_edits(level)));
    edits.map(|(word, edits)| (edits > 0).then(|| Automaton::new(&word.text, edits))).collect()
}

/// Adds the words that a word is, is equivalent to, or begins.
fn add_literal(segment: &IndexSegment, query: &ParsedQuery, at: usize, all: &mut Vec<Expansion>) {
    let (word, vocabulary) = (&query.words[at], &segment.vocabulary);
    if let Some(ordinal) = vocabulary.get(&word.text) {
        all.push(Expansion::new(at, ordinal..ordinal + 1, 0));
    }
    for form in &word.equivalents {
        if let Some(ordinal) = vocabulary.get(&form.text) {
            let expansion = Expansion::new(at, ordinal..ordinal + 1, 0);
            all.push(Expansion { is_equivalent: true, is_roman: form.is_roman, ..expansion });
        }
    }
    if word.is_last
        && let Some(ordinals) = vocabulary.with_prefix(&word.text)
    {
        all.push(Expansion::completion(at, ordinals, cost::COMPLETION));
    }
}

/// Adds the words that adjacent words of the query are when they are joined.
fn add_joins(segment: &IndexSegment, query: &ParsedQuery, all: &mut Vec<Expansion>) {
    query.for_each_join(|first, width, joined, is_last| {
        if let Some(ordinal) = segment.vocabulary.get(joined) {
            let expansion = Expansion::new(first, ordinal..ordinal + 1, cost::JOINED);
            all.push(Expansion { width: width as u8, ..expansion });
        }
        if is_last && let Some(ordinals) = segment.vocabulary.with_prefix(joined) {
            let cost = cost::JOINED + cost::COMPLETION;
            all.push(Expansion { width: width as u8, ..Expansion::completion(first, ordinals, cost) });
        }
    });
}

/// Adds the ways to split a word into words of the segment.
fn add_splits(segment: &IndexSegment, query: &ParsedQuery, at: usize, all: &mut Vec<Expansion>) {
    let word = &query.words[at];
    let (text, vocabulary) = (&word.text[..], &segment.vocabulary);
    let limit = all.len() + MAX_SPLITS;
    let mut add = |parts: [Range<u32>; MAX_SPLIT], span, cost| {
        if all.len() < limit {
            all.push(Expansion { parts, span, cost, ..Expansion::new(at, 0..0, 0) });
        }
    };
    vocabulary.prefixes_of(text, |first_end, first| {
        let rest = &text[first_end..];
        if rest.is_empty() {
            return;
        }
        let first = first..first + 1;
        if let Some(second) = vocabulary.get(rest) {
            add([first.clone(), second..second + 1, 0..0], 2, cost::SPLIT);
        }
        if word.may_complete_split(rest)
            && let Some(second) = vocabulary.with_prefix(rest)
        {
            add([first.clone(), second, 0..0], 2, cost::SPLIT + cost::COMPLETION);
        }
        vocabulary.prefixes_of(rest, |second_end, second| {
            let third = &rest[second_end..];
            if let Some(third) = vocabulary.get(third) {
                add([first.clone(), second..second + 1, third..third + 1], 3, cost::SPLIT);
            }
        });
    });
}
