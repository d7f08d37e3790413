//! Node.js and npm.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::program;

/// The versions that Vite supports: of 20 and of 22 the later ones, and all after that.
const SUPPORTED: &str = "20.19 or a later 20, or 22.12 or newer";

/// Time for a program to print its version.
const VERSION_TIMEOUT: Duration = Duration::from_mins(1);

/// Checks that there is a suitable Node.js in the search path; the error says why not.
pub(crate) fn check() -> Result<(), String> {
    let version = version("node").map_err(|_| "Node.js is not installed".to_owned())?;
    if is_supported(&version) {
        Ok(())
    } else {
        Err(format!("Node.js {version} is not supported, expected {SUPPORTED}"))
    }
}

/// Installs the packages of the lock file into `web`, unless they are installed.
pub(crate) fn install(web: &Path) -> Result<()> {
    // npm writes this file when it has installed everything.
    let installed = modified(&web.join("node_modules/.package-lock.json"));
    let is_fresh = installed.is_some_and(|at| Some(at) >= modified(&web.join("package-lock.json")));
    // No package of the page needs an install script, and none may run one.
    if is_fresh { Ok(()) } else { npm(web, ["ci", "--ignore-scripts"]) }
}

/// Returns the versions of the tools that build the page.
pub(crate) fn tools(web: &Path) -> Result<BTreeMap<String, String>> {
    let vite = fs::read(web.join("node_modules/vite/package.json")).context("read the version of Vite")?;
    let vite: Value = serde_json::from_slice(&vite).context("read the version of Vite")?;
    let vite = vite["version"].as_str().unwrap_or_default().to_owned();
    let tools = [("node", version("node")?), ("npm", version("npm")?), ("vite", vite)];
    Ok(tools.map(|(name, version)| (name.to_owned(), version)).into())
}

/// Runs npm in a folder. What it prints is shown.
pub(crate) fn npm(web: &Path, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<()> {
    let mut npm = Command::new("npm");
    npm.current_dir(web).args(arguments);
    let status = npm.status().with_context(|| format!("start {npm:?}"))?;
    ensure!(status.success(), "{npm:?}: {status}");
    Ok(())
}

/// Returns the version that a program prints.
fn version(program: &str) -> Result<String> {
    let version = program::run(Command::new(program).arg("--version"), VERSION_TIMEOUT)?;
    Ok(version.trim().trim_start_matches('v').to_owned())
}

fn is_supported(version: &str) -> bool {
    let mut numbers = version.split('.').map_while(|number| number.parse().ok());
    let version: Option<(u32, u32)> = numbers.next().zip(numbers.next());
    version.is_some_and(|version| (version.0 == 20 && version.1 >= 19) || version >= (22, 12))
}

fn modified(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).ok()?.modified().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_compared_by_its_numbers() {
        for version in ["20.19.0", "20.20.2", "22.12.0", "100.1.0", "24.0.0-rc.1"] {
            assert!(is_supported(version), "{version}");
        }
        for version in ["20.18.3", "21.7.3", "22.11.0", "18.20.8", "9.99.0", "20", "", "twenty.20"] {
            assert!(!is_supported(version), "{version}");
        }
    }
}
