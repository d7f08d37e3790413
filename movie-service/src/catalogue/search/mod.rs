//! In-memory search: forgiving of typing errors, ordered by relevance, consistent with one version of the documents.
//!
//! The index is an inverted index in immutable segments: one large base and small deltas. The tombstones of a segment are its
//! documents that have been replaced or removed since. A query word expands to words of a segment's vocabulary: itself, words
//! that it begins if it is the last one, words within two edits, other forms of a number, and the words that splitting it or
//! joining it with its neighbours gives. A search starts with strict rules, and relaxes them level by level until it has found
//! enough. A document has a cost in hundredths of an edit: the document with the lowest cost comes first, and among equal ones
//! the most popular.
//!
//! * [`document`]: the searched fields, and access to the documents, whose texts the index does not store;
//! * [`mod@index`]: the segments of one version; a change makes the next version;
//! * [`query`]: the words of a query, and what they may stand for; [`mod@filter`]: conditions on documents;
//! * [`searcher`]: the levels of a search, from literal to forgiving; `level_search`: one level; `match_all`: the empty query;
//! * `candidates`: the documents of all segments, by popularity; `budget`: the work that a search may do;
//! * `expansions`: the indexed words that a query's words may stand for; `text_matches`: the words of a text that they may
//!   stand for;
//! * [`rank`]: cost and order of one document; [`facets`]: how many of the documents found have each value;
//! * [`highlight`]: ranges of a text that a query matches;
//! * `segment`: what a segment consists of;
//! * [`text`]: text to words, edit distance;
//! * `reference`: the rules applied to each document in turn, for tests.

#![expect(
    clippy::cast_possible_truncation,
    reason = "a segment has fewer than 2^32 documents and words; texts, words and costs are cut to lengths of few bits"
)]

mod budget;
mod candidates;
pub(crate) mod document;
mod expansions;
pub(crate) mod facets;
pub(crate) mod filter;
pub(crate) mod highlight;
pub(crate) mod index;
mod level_search;
mod match_all;
pub(crate) mod query;
pub(crate) mod rank;
#[cfg(test)]
pub(crate) mod reference;
pub(crate) mod searcher;
mod segment;
pub(crate) mod text;
mod text_matches;

pub(crate) use self::document::Document;
pub(crate) use self::index::SearchIndex;

#[cfg(test)]
mod tests;
