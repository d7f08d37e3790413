//! Software bills of materials of the programs, in `CycloneDX`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::build::Build;
use crate::deploy::venv::Venv;
use crate::{program, tools};

/// Time to run the program that writes them.
const TIMEOUT: Duration = Duration::from_mins(15);

/// The packages of the workspace that have programs.
const PACKAGES: [&str; 3] = ["movie-service", "movie-client", "xtask"];

/// Writes `movie-service.cdx.json` and `movie-client.cdx.json` into a folder, and returns their paths.
///
/// # Errors
///
/// If the program that writes them cannot be installed, or fails.
pub(super) fn write(build: &Build, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut cyclonedx = tools::subcommand(&build.root, "cyclonedx")?;
    // A time of its own would make each image another one.
    cyclonedx.env("SOURCE_DATE_EPOCH", "0");
    cyclonedx.args(["--quiet", "--format", "json", "--spec-version", "1.5"]);
    let written = Written(PACKAGES.map(|package| {
        // It has no option for another folder than that of each package.
        build.root.join(package).join(format!("{package}_bin.cdx.json"))
    }));
    program::run(cyclonedx.args(["--describe", "binaries", "--no-build-deps"]), TIMEOUT)?;
    fs::create_dir_all(folder)?;
    let mut bills = Vec::new();
    for (package, written) in PACKAGES.iter().zip(&written.0).filter(|(package, _)| **package != "xtask") {
        let bill = fs::read_to_string(written).with_context(|| format!("read {}", written.display()))?;
        let path = folder.join(format!("{package}.cdx.json"));
        // The same image, wherever the sources are.
        let root = format!("file://{}/", build.root.display());
        fs::write(&path, bill.replace(&root, "file:///"))?;
        bills.push(path);
    }
    Ok(bills)
}

/// Bills in the folders of the sources. They are removed when this is dropped.
struct Written([PathBuf; PACKAGES.len()]);

impl Drop for Written {
    fn drop(&mut self) {
        for bill in &self.0 {
            // One may not have been written.
            let _ = fs::remove_file(bill);
        }
    }
}

/// Checks bills: their format by the schema of `CycloneDX`, their packages by `Cargo.lock`.
///
/// # Errors
///
/// If one is wrong.
pub(super) fn check(build: &Build, bills: &Path) -> Result<()> {
    let scripts = build.root.join("xtask/deploy");
    let venv = Venv::install(&build.kept_folder("venv-sbom"), &scripts.join("requirements-sbom.txt"))?;
    let mut python = venv.tool("python");
    python.arg(scripts.join("check_sbom.py")).arg(build.root.join("Cargo.lock"));
    let printed = program::run(python.arg(bills), TIMEOUT)?;
    ensure!(printed.lines().count() == 2, "expected two bills of materials\n{printed}");
    print!("{printed}");
    Ok(())
}
