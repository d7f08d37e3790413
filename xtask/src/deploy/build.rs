//! The programs that are deployed.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::program;

/// The built programs, and folders for tests.
pub(super) struct Build {
    /// Root of the workspace.
    pub(super) root: PathBuf,
    /// Cargo's profile.
    pub(super) profile: String,
    target: PathBuf,
}

impl Build {
    /// Builds the service and the client.
    ///
    /// # Errors
    ///
    /// If one of them does not build.
    pub(super) fn new(root: &Path, profile: &str) -> Result<Self> {
        let mut cargo = program::cargo(root);
        cargo.args(["build", "--package", "movie-service", "--package", "movie-client", "--bins"]);
        ensure!(cargo.args(["--profile", profile]).status()?.success(), "cargo build failed");
        Ok(Self { root: root.to_owned(), profile: profile.to_owned(), target: crate::target(root) })
    }

    /// Returns the program of the service.
    pub(super) fn service(&self) -> PathBuf {
        self.programs().join("movie-service")
    }

    /// Returns the program of the client.
    pub(super) fn client(&self) -> PathBuf {
        self.programs().join("movie-client")
    }

    /// Returns the folder of the built programs.
    pub(super) fn programs(&self) -> PathBuf {
        // The profile `dev` has a folder by another name.
        self.target.join(if self.profile == "dev" { "debug" } else { &self.profile })
    }

    /// Returns the folder of programs of other projects, which `cargo install` built.
    pub(super) fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }

    /// Returns a new, empty folder for a test.
    ///
    /// # Errors
    ///
    /// If an earlier one cannot be removed, or the folder cannot be created.
    pub(super) fn new_folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.kept_folder(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        Ok(folder)
    }

    /// Returns the folder of what is kept between tests, such as installed packages.
    pub(super) fn kept_folder(&self, name: &str) -> PathBuf {
        self.target.join("deploy").join(name)
    }
}

/// Finds a program in the search path, and where Debian has those of administrators.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")]);
    folders.map(|folder| folder.join(OsStr::new(program))).find(|program| program.is_file())
}
