//! The API contract of the movie service, generated from `proto/`.
//!
//! Both sides of the wire depend on this crate and on nothing of each other, so they cannot drift. Of the course's
//! contract, `Movie`:
//! * [`MovieData`], [`MovieId`], [`Empty`] — the messages;
//! * [`movie_client::MovieClient`] — the stub, which a client calls;
//! * [`movie_server::Movie`] and [`movie_server::MovieServer`] — the trait that a servicer
//!   implements, and what registers it with a server;
//!
//! Of `movie.catalog.v1.MovieCatalog` the same in [`catalog::v1`]; of both, [`FILE_DESCRIPTOR_SET`]: the contract as data,
//! for reflection, and [`OPENAPI`]: the contract as JSON over HTTP.
//!
//! Everything under `src/generated/` is written by `cargo xtask regen-proto`; edit `proto/` and run
//! that command instead. A test of this crate fails while the two differ.

/// The `google.protobuf.FileDescriptorSet` of every file in `proto/` and what they import, encoded: with all options,
/// extensions such as `google.api.field_behavior` included, and without comments.
///
/// The types of prost do not know extensions: prost-reflect reads them.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/descriptor_set.bin");

/// The OpenAPI document (version 3.1) of the contract as JSON over HTTP, in JSON: paths from the `google.api.http`
/// annotations, schemas, limits and errors from the messages and their comments.
pub const OPENAPI: &str = include_str!("generated/openapi.json");

include!("generated/movie.rs");

/// `movie.catalog`: the catalogue that can be changed, paged and watched.
pub mod catalog {
    /// Version 1 of the contract: `proto/movie/catalog/v1/catalog.proto`.
    #[allow(missing_docs, clippy::large_enum_variant, reason = "generated")]
    pub mod v1 {
        include!("generated/movie.catalog.v1.rs");
    }
}
