//! Words of texts.
//!
//! * [`normalize`]: text to words, with byte ranges in the original text;
//! * `numerals`: the forms of a number;
//! * [`edit_distance`]: edit distance, as an automaton and as a table.

pub(crate) mod edit_distance;
pub(crate) mod normalize;
pub(crate) mod numerals;
