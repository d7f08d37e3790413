//! Queries over a snapshot.
//!
//! * [`filter`] — which movies, in which order;
//! * [`page`] — one page of the results, at a recent revision; `undo` — the state at that revision.

pub mod filter;
pub mod page;
pub(crate) mod undo;
