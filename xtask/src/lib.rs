//! The project's automation, one module a command. `cargo xtask --help` lists them.
//!
//! It is a library too, so that `movie-proto` can test that its generated code is fresh.

pub mod bench;
pub mod fuzz;
mod generated;
pub mod interop;
mod node;
mod openapi;
mod program;
pub mod regen_proto;
pub mod regen_web;
pub mod soak;
pub mod test_web;

use std::path::{Path, PathBuf};

/// Returns the root of the workspace.
#[must_use]
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}
