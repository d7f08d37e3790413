//! In-memory search: forgiving of typing errors, ordered by relevance, consistent with one version of the documents.
//!
//! The index is an inverted index in immutable segments: one large base, small deltas, and for each segment the set of its
//! documents that have been replaced or removed since. A query word expands to words of a segment's vocabulary: itself, words
//! that it begins if it is the last one, words within two edits, other forms of a number, and the words that splitting it or
//! joining it with its neighbours gives. A search starts with strict rules, and relaxes them level by level until it has found
//! enough. A document has a cost in hundredths of an edit: the document with the lowest cost comes first, and among equal ones
//! the most popular.
//!
//! * [`document`]: the searched fields, and access to the documents, whose texts the index does not store;
//! * [`mod@index`]: the segments of one version; a change makes the next version;
//! * [`query`]: the words of a query, and what they may stand for; [`mod@filter`]: conditions on documents;
//! * [`execute`]: the levels of a search, from literal to forgiving; `evaluate`: one level; `browse`: the empty query;
//! * `candidates`: the documents of all segments, by popularity; `budget`: the work that a search may do;
//! * `matching`: the indexed words that a query's words may stand for; [`rank`]: cost and order of one document;
//! * [`facets`]: how many of the documents found have each value;
//! * [`highlight`]: ranges of a text that a query matches;
//! * [`text`]: text to words, typing errors;
//! * `scan`: the rules applied to each document in turn, the reference for tests.

#![expect(
    clippy::cast_possible_truncation,
    reason = "a segment has fewer than 2^32 documents and words; texts, words and costs are cut to lengths of few bits"
)]

mod browse;
mod budget;
mod candidates;
pub(crate) mod document;
mod evaluate;
pub(crate) mod execute;
pub(crate) mod facets;
pub(crate) mod filter;
pub(crate) mod highlight;
pub(crate) mod index;
mod matching;
pub(crate) mod query;
pub(crate) mod rank;
#[cfg(test)]
pub(crate) mod scan;
mod segment;
pub(crate) mod text;

pub(crate) use self::document::Document;
pub(crate) use self::index::Index;

#[cfg(test)]
mod tests;
