//! The programs that are packaged and deployed, and folders for what is made of them.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result, ensure};

use crate::program;

/// The built programs, and folders for tests.
pub(crate) struct Build {
    /// Root of the workspace.
    pub(crate) root: PathBuf,
    /// Cargo's profile.
    pub(crate) profile: String,
    /// The folder of what cargo builds.
    pub(crate) target: PathBuf,
}

impl Build {
    /// Builds the service and the client.
    ///
    /// # Errors
    ///
    /// If one of them does not build.
    pub(crate) fn new(root: &Path, profile: &str) -> Result<Self> {
        let mut cargo = program::cargo(root);
        cargo.args(["build", "--package", "movie-service", "--package", "movie-client", "--bins"]);
        ensure!(cargo.args(["--profile", profile]).status()?.success(), "cargo build failed");
        Ok(Self { root: root.to_owned(), profile: profile.to_owned(), target: crate::target(root) })
    }

    /// Returns the program of the service.
    pub(crate) fn service(&self) -> PathBuf {
        self.programs().join("movie-service")
    }

    /// Returns the program of the client.
    pub(crate) fn client(&self) -> PathBuf {
        self.programs().join("movie-client")
    }

    /// Returns the folder of the built programs.
    pub(crate) fn programs(&self) -> PathBuf {
        // The profile `dev` has a folder by another name.
        self.target.join(if self.profile == "dev" { "debug" } else { &self.profile })
    }

    /// Returns a new, empty folder for a test.
    ///
    /// # Errors
    ///
    /// If an earlier one cannot be removed, or the folder cannot be created.
    pub(crate) fn new_folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.kept_folder(name);
        new_folder(&folder)?;
        Ok(folder)
    }

    /// Returns the folder of what is kept between tests, such as installed packages.
    pub(crate) fn kept_folder(&self, name: &str) -> PathBuf {
        self.target.join("deploy").join(name)
    }
}

/// Creates an empty folder, in place of an earlier one.
///
/// # Errors
///
/// If the earlier one cannot be removed, or the folder cannot be created.
pub(crate) fn new_folder(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))
}

/// Finds a program in the search path, and where Debian has those of administrators.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")]);
    folders.map(|folder| folder.join(OsStr::new(program))).find(|program| program.is_file())
}

/// Finds programs, each of which has a package on Debian.
///
/// # Errors
///
/// If one is missing, with how to install it.
pub(crate) fn programs<const N: usize>(programs: [(&str, &str); N]) -> Result<[PathBuf; N]> {
    let found =
        programs.map(|(name, package)| find(name).ok_or_else(|| program::not_installed(name, package)));
    let mut paths = [const { PathBuf::new() }; N];
    for (path, found) in paths.iter_mut().zip(found) {
        *path = found.map_err(Error::msg)?;
    }
    Ok(paths)
}
