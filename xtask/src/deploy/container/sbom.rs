//! Software bills of materials of the programs, in `CycloneDX`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::deploy::build::Build;
use crate::deploy::venv::Venv;
use crate::program;

/// The program that writes them.
const TOOL: &str = "cargo-cyclonedx@0.5.9";

/// Time to build that program, and to run it.
const TIMEOUT: Duration = Duration::from_mins(15);

/// Writes `movie-service.cdx.json` and `movie-client.cdx.json` into a folder, and returns their paths.
///
/// # Errors
///
/// If the program that writes them cannot be installed, or fails.
pub(super) fn write(build: &Build, folder: &Path) -> Result<Vec<PathBuf>> {
    let tools = build.tools();
    let tool = tools.join("bin/cargo-cyclonedx");
    if !tool.exists() {
        println!("installing {TOOL}");
        let mut install = program::cargo(&build.root);
        install.args(["install", "--quiet", "--locked", "--debug", TOOL, "--root"]).arg(&tools);
        program::run(&mut install, TIMEOUT)?;
    }
    let mut cyclonedx = Command::new(&tool);
    cyclonedx.current_dir(&build.root);
    // A time of its own would make each image another one.
    cyclonedx.env("SOURCE_DATE_EPOCH", "0");
    cyclonedx.args(["cyclonedx", "--quiet", "--format", "json", "--spec-version", "1.5"]);
    program::run(cyclonedx.args(["--describe", "binaries", "--no-build-deps"]), TIMEOUT)?;
    fs::create_dir_all(folder)?;
    let mut bills = Vec::new();
    // It has no option for another folder than that of each package.
    for package in ["movie-service", "movie-client", "xtask"] {
        let written = build.root.join(package).join(format!("{package}_bin.cdx.json"));
        let bill = fs::read_to_string(&written).with_context(|| format!("read {}", written.display()))?;
        fs::remove_file(&written)?;
        if package != "xtask" {
            let path = folder.join(format!("{package}.cdx.json"));
            // The same image, wherever the sources are.
            let root = format!("file://{}/", build.root.display());
            fs::write(&path, bill.replace(&root, "file:///"))?;
            bills.push(path);
        }
    }
    Ok(bills)
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
