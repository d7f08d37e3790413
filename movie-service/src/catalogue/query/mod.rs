//! Queries over a snapshot.
//!
//! * [`page`] — one page of the results, at a recent revision; `undo` — the state at that revision;
//! * `matches` — one page of the movies that a search finds;
//! * `top_k` — the first movies in a sort order.

pub(crate) mod matches;
pub mod page;
mod top_k;
pub(crate) mod undo;

#[cfg(test)]
mod tests;
