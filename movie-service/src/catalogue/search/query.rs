//! A query: its words, and the rules that say which words they may stand for.

use crate::catalogue::search::text::edit_distance::{distances, letters, letters_exclude};
use crate::catalogue::search::text::normalize::{ARTICLES, Words};
use crate::catalogue::search::text::numerals::{Equivalent, equivalents};

/// Maximum number of words of a query. Further words are ignored.
pub(crate) const MAX_QUERY_WORDS: usize = 24;
/// Maximum number of words of a query whose words may have edits.
const MAX_EDITED_WORDS: usize = 12;
/// Maximum number of characters of a query. Further characters are ignored.
pub(crate) const MAX_CHARS: usize = 1000;
/// Maximum number of query words joined into one; more than two only if each is a single letter.
pub(crate) const MAX_JOINED: usize = 6;
/// Maximum number of document words that one query word is split into.
pub(crate) const MAX_SPLIT: usize = 3;

/// Words that say little. They may be missing from a document at less cost.
const SMALL_WORDS: [&str; 28] = [
    "the", "a", "an", "of", "and", "in", "to", "on", "for", "at", "by", "is", "it", "with", "from", "la",
    "le", "les", "el", "der", "die", "das", "il", "lo", "de", "du", "des", "und",
];

/// How forgiving a search is. A search goes on to the next level if it found little.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// All words without an edit.
    Literal,
    /// Words of 5 or more letters may have one edit, and words of 4 letters if the query has other words. Small words may be
    /// missing.
    OneEdit,
    /// Words of 8 or more letters may have two edits; a query of one word of 4 letters may have one.
    TwoEdits,
    /// Half of the required words may be missing. Words of 6 or more letters may have two edits, words of 3 ASCII letters
    /// one.
    Partial,
}

/// Costs in hundredths of an edit.
pub(crate) mod cost {
    /// The last word of the query for a word that it begins.
    pub(crate) const COMPLETION: u16 = 10;
    pub(crate) const EDIT: u16 = 100;
    /// Additional cost of a word with edits whose first letter differs.
    pub(crate) const FIRST_LETTER: u16 = 15;
    /// Completion of a word that has edits.
    pub(crate) const EDITED_COMPLETION: u16 = 35;
    /// One word of the query for several words of a document.
    pub(crate) const SPLIT: u16 = 28;
    /// Several words of the query for one word of a document.
    pub(crate) const JOINED: u16 = 40;
    pub(crate) const MISSING_ARTICLE: u16 = 30;
    pub(crate) const MISSING_SMALL: u16 = 80;
    pub(crate) const MISSING: u16 = 150;
    pub(crate) const MISSING_PER_LETTER: u16 = 10;
    /// Additional cost of a word that is found in a name, beside another word of the query.
    pub(crate) const IN_NAME: u16 = 25;
    /// Additional cost of a word that is found alone in a name, as its last word.
    pub(crate) const ALONE_AS_LAST_NAME: u16 = 60;
    /// Additional cost of a word that is found alone in a name, and is not its last word.
    pub(crate) const ALONE_AS_FIRST_NAME: u16 = 110;
    /// Additional cost of a word alone in a name that differs in spelling.
    pub(crate) const ALONE_AND_UNLIKE: u16 = 45;
    /// Additional cost of a document that has some words in its title, and others in names and only alone.
    pub(crate) const TITLE_AND_ALONE_IN_NAME: u16 = 45;
    /// Additional cost of a title that goes on after the query.
    pub(crate) const BEGINS_TITLE: u16 = 5;
    /// The same for a query with edits.
    pub(crate) const BEGINS_TITLE_EDITED: u16 = 20;
    /// Additional cost of a title that has all words, next to each other or in another order.
    pub(crate) const PHRASE: u16 = 32;
    /// Additional cost of a title that has all words in order, with others between them.
    pub(crate) const IN_ORDER: u16 = 40;
    /// Additional cost of a title that has all words in another order, and more words.
    pub(crate) const SCATTERED: u16 = 50;
}

/// A query.
#[derive(Clone, Debug)]
pub(crate) struct ParsedQuery {
    pub(crate) words: Vec<QueryWord>,
}

/// A word of a query.
#[expect(clippy::struct_excessive_bools, reason = "each is a property of the word; all combinations exist")]
#[derive(Clone, Debug)]
pub(crate) struct QueryWord {
    pub(crate) text: String,
    pub(crate) chars: usize,
    /// See [`letters`].
    pub(crate) letters: u32,
    pub(crate) equivalents: Vec<Equivalent>,
    /// Whether the word may not have edits at any level: a number, a word that says little, or a word of a long query.
    is_exact: bool,
    /// Whether the query has other words.
    has_others: bool,
    /// The last word is also the beginning of a word.
    pub(crate) is_last: bool,
    /// Cost if it is missing.
    pub(crate) missing: u16,
    /// A leading article before other words: may be missing at every level.
    pub(crate) is_article: bool,
    /// Says little: may be missing from the second level on.
    pub(crate) is_small: bool,
}

impl ParsedQuery {
    /// Returns the query that a text stands for.
    #[must_use]
    pub(crate) fn new(text: &str) -> Self {
        let text = text.char_indices().nth(MAX_CHARS).map_or(text, |(end, _)| &text[..end]);
        let normalized = Words::of(text);
        let len = normalized.len().min(MAX_QUERY_WORDS);
        let has_others = len > 1;
        let all_small = normalized.iter().take(len).all(|word| SMALL_WORDS.contains(&word));
        let words = normalized.iter().take(len).enumerate().map(|(at, word)| {
            let chars = word.chars().count();
            let is_article = at == 0 && has_others && ARTICLES.contains(&word);
            let is_small = !all_small && SMALL_WORDS.contains(&word);
            QueryWord {
                text: word.to_owned(),
                chars,
                letters: letters(word),
                equivalents: equivalents(word, at == 0),
                is_exact: word.chars().all(char::is_numeric)
                    || is_small
                    || is_article
                    || len > MAX_EDITED_WORDS,
                has_others,
                is_last: at + 1 == len,
                missing: match (is_article, is_small) {
                    (true, _) => cost::MISSING_ARTICLE,
                    (_, true) => cost::MISSING_SMALL,
                    _ => cost::MISSING + cost::MISSING_PER_LETTER * chars.min(10) as u16,
                },
                is_article,
                is_small,
            }
        });
        Self { words: words.collect() }
    }

    /// Returns whether it has no words.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Passes each join of adjacent words to `each`: the number of the first, how many, their letters, and whether
    /// the last one is among them.
    pub(crate) fn for_each_join(&self, mut each: impl FnMut(usize, usize, &str, bool)) {
        let mut joined = String::new();
        for first in 0..self.words.len() {
            joined.clear();
            joined.push_str(&self.words[first].text);
            for (more, word) in self.words[first + 1..].iter().take(MAX_JOINED - 1).enumerate() {
                let single = |word: &QueryWord| word.chars == 1;
                if more > 0 && !(single(word) && self.words[first..=first + more].iter().all(single)) {
                    break;
                }
                joined.push_str(&word.text);
                each(first, more + 2, &joined, word.is_last);
            }
        }
    }
}

impl QueryWord {
    /// Returns how many edits the word may have at a level.
    pub(crate) fn max_edits(&self, level: Level) -> usize {
        let most = match self.chars {
            _ if self.is_exact => 0,
            8.. => 2,
            6.. if level == Level::Partial => 2,
            5.. => 1,
            4 if self.has_others || level >= Level::TwoEdits => 1,
            3.. if level == Level::Partial && self.text.is_ascii() => 1,
            _ => 0,
        };
        most.min(match level {
            Level::Literal => 0,
            Level::OneEdit => 1,
            Level::TwoEdits | Level::Partial => 2,
        })
    }

    /// Returns whether a document needs the word at a level.
    pub(crate) fn is_required(&self, level: Level) -> bool {
        !self.is_article && (!self.is_small || level == Level::Literal)
    }

    /// Returns the cost of matching a document word; `None` if it does not match. This is the definition: `expansions` finds
    /// the same words in a vocabulary.
    pub(crate) fn cost_of(&self, other: &str, level: Level) -> Option<WordCost> {
        let literal = |cost| Some(WordCost { cost, is_equivalent: false, is_roman: false });
        if self.text == other {
            return literal(0);
        }
        if let Some(form) = self.equivalents.iter().find(|form| form.text == other) {
            return Some(WordCost { cost: 0, is_equivalent: true, is_roman: form.is_roman });
        }
        if self.is_last && other.starts_with(&self.text) {
            return literal(cost::COMPLETION);
        }
        let most = self.max_edits(level);
        if most == 0 || letters_exclude(self.letters, letters(other), most, self.is_last) {
            return None;
        }
        let (whole, prefix) = distances(&self.text, other);
        let whole = (whole <= most).then_some(whole as u16 * cost::EDIT);
        let prefix =
            (self.is_last && prefix <= most).then_some(prefix as u16 * cost::EDIT + cost::EDITED_COMPLETION);
        let first = if self.text.chars().next() == other.chars().next() { 0 } else { cost::FIRST_LETTER };
        literal([whole, prefix].into_iter().flatten().min()? + first)
    }

    /// Returns whether the last of the parts into which the word is split may be the beginning of a document word.
    pub(crate) fn may_complete_split(&self, part: &str) -> bool {
        self.is_last && self.chars >= 6 && part.chars().nth(2).is_some()
    }
}

/// The cost of matching a query word with a document word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WordCost {
    pub(crate) cost: u16,
    pub(crate) is_equivalent: bool,
    pub(crate) is_roman: bool,
}
