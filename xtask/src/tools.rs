//! Programs from the registry of crates that other commands run, built once and kept beside the build.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, iter};

use anyhow::{Context, Result};

use crate::program;

/// A program, and the version that this workspace uses. Another version is another folder, so a changed one is installed.
struct Tool {
    name: &'static str,
    version: &'static str,
    /// Whether it is optimised, which takes longer to build: without, those that compress would take minutes.
    is_optimised: bool,
}

const TOOLS: [Tool; 3] = [
    Tool { name: "cargo-cyclonedx", version: "0.5.9", is_optimised: false },
    Tool { name: "cargo-deb", version: "3.8.0", is_optimised: true },
    Tool { name: "cargo-generate-rpm", version: "0.21.1", is_optimised: true },
];

/// Time to build a program, also on a busy machine.
const INSTALL_TIMEOUT: Duration = Duration::from_mins(30);

/// Returns the command of a subcommand of cargo, which is installed first if it is missing.
///
/// # Errors
///
/// If it cannot be installed.
pub(crate) fn subcommand(root: &Path, name: &str) -> Result<Command> {
    let folder = install(root, &format!("cargo-{name}"))?.join("bin");
    let path = env::var_os("PATH").unwrap_or_default();
    let path: OsString = env::join_paths(iter::once(folder).chain(env::split_paths(&path)))?;
    let mut cargo = program::cargo(root);
    cargo.env("PATH", path).arg(name);
    Ok(cargo)
}

/// Installs a program if it is missing; returns its folder.
fn install(root: &Path, name: &str) -> Result<PathBuf> {
    let tool = TOOLS.iter().find(|tool| tool.name == name);
    let Tool { version, is_optimised, .. } =
        tool.with_context(|| format!("no version of {name} is known"))?;
    let folder = crate::target(root).join("tools").join(format!("{name}-{version}"));
    if !folder.join("bin").join(name).is_file() {
        // Not in the output of the command, whose lines others read.
        eprintln!("installing {name} {version}");
        let mut cargo = program::cargo(root);
        cargo.args(["install", "--quiet", "--locked", &format!("{name}@{version}"), "--root"]).arg(&folder);
        if !is_optimised {
            cargo.arg("--debug");
        }
        program::run(&mut cargo, INSTALL_TIMEOUT)?;
    }
    Ok(folder)
}
