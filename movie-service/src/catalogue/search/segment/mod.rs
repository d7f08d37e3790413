//! Immutable sets of documents, indexed.
//!
//! * `data`: a segment; `builder`: makes one of documents or of other segments; `interner` numbers its words;
//! * `vocabulary`: its words as an `fst`, and look-ups that allow typing errors; `word_list`: the same for few words;
//! * `postings`: the documents of each word; `forward`: the words of each document;
//! * `labels`: the values of facets and the documents that have them;
//! * `keys`: the keys of the documents; `places`: sets of documents.

pub(crate) mod builder;
pub(crate) mod data;
pub(crate) mod forward;
mod interner;
pub(crate) mod keys;
pub(crate) mod labels;
pub(crate) mod places;
pub(crate) mod postings;
pub(crate) mod vocabulary;
pub(crate) mod word_list;
