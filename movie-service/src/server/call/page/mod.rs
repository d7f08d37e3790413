//! The page of the service: its document and assets, embedded in the binary.
//!
//! `cargo xtask regen-web` builds `movie-service/web/dist/` from the sources in `movie-service/web/`.
//!
//! * `embedded` — the embedded build; `files` — its files by their paths; `document` and `asset` — their responses;
//! * [`poster_origin`] — sites that posters may come from.

mod asset;
mod document;
mod embedded;
pub(crate) mod files;
pub mod poster_origin;
