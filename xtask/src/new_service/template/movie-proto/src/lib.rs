//! The contract of the movie service, generated from `proto/` by `cargo xtask regen-proto`.
//!
//! Edit `proto/` and run that command; a test fails while the two differ.

include!("generated/movie.v1.rs");
