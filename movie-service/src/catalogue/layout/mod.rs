//! Where the encoded movies of a snapshot are.
//!
//! * `segment` — some hundred movies in one buffer; `block` — many segments in one piece of memory;
//! * `columns` — the values that segments are searched by;
//! * `index` — the location of the movie with an id; `table` — the hash table that it is made of;
//! * `cow_vec` — a vector of which a changed copy is cheap.

pub(crate) mod block;
pub(crate) mod columns;
pub(crate) mod cow_vec;
pub(crate) mod index;
pub mod segment;
pub(crate) mod table;
