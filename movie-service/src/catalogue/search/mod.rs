//! In-memory movie search: forgiving of typing errors, ordered by relevance, consistent with one version of the data.
//!
//! * [`document`]: the fields of a movie that are searched, and access to the movies, which the index does not store;
//! * [`mod@index`]: an immutable base and small deltas, `segment`s; a change makes the next version;
//! * [`query`]: the words of a query, and what they may stand for; [`mod@filter`]: conditions on movies;
//! * [`execute`]: the levels of a search, from literal to forgiving; `evaluate`: one level in one segment; `browse`: the
//!   empty query; `budget`: the work that a search may do;
//! * `matching`: the indexed words that a query's words may stand for; [`rank`]: cost and order of one document;
//! * [`facets`]: how many of the movies found have each value;
//! * [`highlight`]: ranges of a text that a query matches;
//! * [`text`]: text to words, typing errors;
//! * `scan`: the rules applied to each document, for tests.

#![expect(
    clippy::cast_possible_truncation,
    reason = "a segment has fewer than 2^32 documents and words; texts, words and costs are cut to lengths of few bits"
)]

mod browse;
mod budget;
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
