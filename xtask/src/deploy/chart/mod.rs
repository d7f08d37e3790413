//! The Helm chart and the Compose file: rendered and validated.

mod databases;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::Outcome;
use super::venv::{self, Venv};
use crate::build::Build;
use crate::{node, program};

/// Time to check all renderings of the chart.
const TIMEOUT: Duration = Duration::from_mins(5);

/// The program that validates Compose files.
const DCLINT: &str = "dclint@3.1.0";

/// Tests this part.
///
/// # Errors
///
/// If something fails.
pub(super) fn test(build: &Build) -> Result<Outcome> {
    if let Some(reason) = venv::missing() {
        return Ok(Outcome::Skipped(reason));
    }
    let scripts = build.root.join("xtask/deploy");
    let deploy = build.root.join("deploy");
    let venv = Venv::install(&build.kept_folder("venv-chart"), &scripts.join("requirements-chart.txt"))?;

    let mut chart = venv.tool("python");
    chart.arg(scripts.join("check_chart.py"));
    chart.arg(deploy.join("helm/movie-service")).arg(deploy.join("monitoring/rules"));
    print!("{}", program::run(chart.arg(build.service()).arg(build.client()), TIMEOUT)?);

    let file = deploy.join("compose/compose.yaml");
    let mut compose = venv.tool("python");
    compose.arg(scripts.join("check_compose.py")).arg(&file);
    print!("{}", program::run(compose.arg(build.service()), TIMEOUT)?);
    validate(&build.kept_folder(DCLINT), &file)?;
    if let Some(reason) = databases::test(build)? {
        println!("SKIPPED: the databases of Compose: {reason}");
    }
    Ok(Outcome::Passed)
}

/// Validates a Compose file by the schema of Compose, which a program in JavaScript has.
fn validate(folder: &Path, file: &Path) -> Result<()> {
    if let Err(reason) = node::check() {
        println!("SKIPPED: the schema of Compose: {reason}");
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    let program = folder.join("node_modules/.bin/dclint");
    if !program.exists() {
        // A file that npm would look for in the folders above.
        fs::write(folder.join("package.json"), "{}")?;
        node::npm(
            folder,
            ["install", "--silent", "--no-fund", "--no-audit", "--ignore-scripts", "--no-save", DCLINT],
        )?;
    }
    // Its warnings are about the order of keys.
    program::run(Command::new(program).arg("--quiet").arg(file), TIMEOUT)?;
    println!("Compose: valid by its schema");
    Ok(())
}
