//! `cargo xtask new-service --check`: a sample of a new service passes its own checks.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::resource::Resource;
use super::write;
use crate::{program, target};

/// Longest time of a step, which may have to build all dependencies.
pub(super) const LIMIT: Duration = Duration::from_mins(20);

const STEPS: [&[&str]; 4] = [
    &["fmt", "--all", "--check"],
    &["clippy", "--workspace", "--all-targets", "--offline", "--", "-D", "warnings"],
    &["test", "--workspace", "--offline"],
    &["xtask", "regen-proto", "--check"],
];

/// Writes the sample, and runs its checks.
///
/// # Errors
///
/// If one of them fails: the error has what it printed.
pub(super) fn run(root: &Path) -> Result<()> {
    let below = target(root).join("new-service");
    let folder = below.join("books");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    let fields = ["author:string", "pages:int32"].map(str::to_owned);
    write(root, &Resource::new("book", None, &fields)?, &folder)?;
    for step in STEPS {
        println!("cargo {}", step.join(" "));
        let mut cargo = crate::cargo(&folder);
        // Not the folder of this workspace, where the program `xtask` of the sample would replace ours.
        program::run(cargo.args(step).env("CARGO_TARGET_DIR", below.join("build")), LIMIT)?;
    }
    Ok(())
}
