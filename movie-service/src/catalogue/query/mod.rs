//! Queries over a snapshot.
//!
//! * [`page`] — one page of the results, at a recent revision; `undo` — the state at that revision;
//! * `top_k` — the first movies in a sort order.

pub mod page;
mod top_k;
pub(crate) mod undo;
