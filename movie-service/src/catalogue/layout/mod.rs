//! Memory layout of the encoded movies of a snapshot.
//!
//! * `segment` — some hundred movies in one buffer; `block` — many segments in one allocation;
//! * `columns` — copies of the fields that queries filter and sort by; `bitset` — sets of movies; `ratings` — one of the
//!   columns; `title_ranks` — numbers in the order of titles;
//! * `index` — finds the location of an id; `table` — its hash table;
//! * `cow_vec` — a vector that is cheap to copy and change.

pub(crate) mod bitset;
pub(crate) mod block;
pub(crate) mod columns;
pub(crate) mod cow_vec;
pub(crate) mod index;
pub(crate) mod ratings;
pub mod segment;
pub(crate) mod table;
pub(crate) mod title_ranks;
