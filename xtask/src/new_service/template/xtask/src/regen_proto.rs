//! `cargo xtask regen-proto`: generates `movie-proto/src/generated/` from `proto/`.

mod compile;

use std::path::Path;

use anyhow::{Result, ensure};

use self::compile::{PROTO_DIR, compile, rust};
use crate::generated;

const OUT_DIR: &str = "movie-proto/src/generated";

/// Writes the generated files, and removes those that the contract no longer calls for. Returns what it did with each.
///
/// # Errors
///
/// If the contract does not compile, or a file cannot be read, written or removed.
pub fn write(root: &Path) -> Result<String> {
    let fresh = rust(&compile(root)?)?;
    Ok(generated::write(root, OUT_DIR, &fresh)?.join("\n"))
}

/// Compares the committed files with what the contract gives.
///
/// # Errors
///
/// If any file is stale, missing or left over: the error names each, and the command that mends it.
pub fn check(root: &Path) -> Result<()> {
    let fresh = rust(&compile(root)?)?;
    let problems = generated::differences(root, OUT_DIR, &fresh)?.join("\n");
    ensure!(
        problems.is_empty(),
        "the generated code does not match {PROTO_DIR}/; run `cargo xtask regen-proto`\n{problems}"
    );
    Ok(())
}
