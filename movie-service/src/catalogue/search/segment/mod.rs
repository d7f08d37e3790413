//! Immutable sets of documents, indexed.
//!
//! * `reader`: a segment, and how a version of the index sees it; `builder`: makes one of documents or of other segments;
//!   `interner` numbers its words;
//! * `vocabulary`: its words as an `fst`, and look-ups that allow typing errors; `word_list`: the same for few words;
//! * `postings`: the documents of each word; `forward`: the words of each document; `varint`: their encoding;
//! * `facet_values`: the values of facets and the documents that have them;
//! * `keys`: the keys of the documents; `doc_set`: doc ids and sets of them; `tombstones`: the deleted documents.

pub(crate) mod builder;
pub(crate) mod doc_set;
pub(crate) mod facet_values;
pub(crate) mod forward;
mod interner;
pub(crate) mod keys;
pub(crate) mod postings;
pub(crate) mod reader;
mod tombstones;
mod varint;
pub(crate) mod vocabulary;
mod word_list;
