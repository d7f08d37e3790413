//! Words of texts.
//!
//! * [`normalize`]: text to words, with byte ranges in the original text;
//! * `numerals`: the forms of a number;
//! * [`typo`]: edit distance, as an automaton and as a table.

pub(crate) mod normalize;
pub(crate) mod numerals;
pub(crate) mod typo;
