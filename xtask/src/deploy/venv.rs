//! Python packages in an environment of their own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::program;

/// Time to install packages, which come over the network.
const INSTALL_TIMEOUT: Duration = Duration::from_mins(10);

/// Returns what is missing for virtual environments, and how to install it.
pub(super) fn missing() -> Option<String> {
    let mut python = Command::new("python3");
    let found = program::run(python.args(["-c", "import ensurepip, venv"]), INSTALL_TIMEOUT);
    let missing = "no python3 with its module venv; on Debian, install the package python3-venv";
    found.is_err().then(|| missing.to_owned())
}

/// A virtual environment.
pub(super) struct Venv(PathBuf);

impl Venv {
    /// Makes the environment in `folder`, unless it is there, and installs the packages of a file of requirements.
    ///
    /// # Errors
    ///
    /// If Python or its module venv is missing, or a package cannot be installed.
    pub(super) fn install(folder: &Path, requirements: &Path) -> Result<Self> {
        Self::install_with("python3", folder, requirements)
    }

    /// Does the same with the Python at a path, for example with one that every user may run.
    ///
    /// # Errors
    ///
    /// As [`Venv::install`].
    pub(super) fn install_with(python: &str, folder: &Path, requirements: &Path) -> Result<Self> {
        let venv = Self(folder.to_owned());
        if !folder.join("bin/pip").exists() {
            let mut python = Command::new(python);
            program::run(python.args(["-m", "venv", "--clear"]).arg(folder), INSTALL_TIMEOUT)?;
        }
        let mut pip = venv.tool("python");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
        program::run(pip.arg(requirements), INSTALL_TIMEOUT)?;
        Ok(venv)
    }

    /// Returns the command of a program of the environment.
    pub(super) fn tool(&self, name: &str) -> Command {
        Command::new(self.0.join("bin").join(name))
    }
}
