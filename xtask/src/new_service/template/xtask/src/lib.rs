//! The automation of the workspace.
//!
//! It is a library too, so that `movie-proto` can test that its generated code is fresh.

mod generated;
pub mod regen_proto;

use std::path::{Path, PathBuf};

/// Returns the root of the workspace.
#[must_use]
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}
