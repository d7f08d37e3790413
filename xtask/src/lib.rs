//! The project's automation, one module a command. `cargo xtask --help` lists them.
//!
//! It is a library too, so that `movie-proto` can test that its generated code is fresh.

pub mod bench;
mod build;
pub mod command;
pub mod deploy;
pub mod fuzz;
mod generated;
mod http;
pub mod interop;
pub mod new_service;
mod node;
mod openapi;
pub mod package;
mod postgres;
mod program;
pub mod regen_proto;
pub mod regen_web;
pub mod release;
mod service;
pub mod simulate;
pub mod soak;
pub mod test_web;
mod tools;
mod wait;

use std::env;
use std::path::{Path, PathBuf};

pub use program::cargo;

/// Returns the root of the workspace.
#[must_use]
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// Returns the folder of what cargo builds.
pub(crate) fn target(root: &Path) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}
