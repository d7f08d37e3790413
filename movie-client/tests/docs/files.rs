//! Files of a document, in their state at the current point of the document.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Directory with the finished files of the tutorial's exercise.
const EXERCISE_DIR: &str = "docs/exercise";

/// The files of the repository, overlaid by the files that the document changes in a temporary directory.
pub(crate) struct Files {
    changed: TempDir,
}

impl Files {
    pub(crate) fn new() -> Self {
        let changed = tempfile::tempdir().unwrap();
        // The code generation reads and writes whole directories.
        for directory in ["proto", "movie-proto/src/generated"] {
            copy(&xtask::root().join(directory), &changed.path().join(directory));
        }
        Self { changed }
    }

    /// Returns the directory in which code is generated.
    pub(crate) fn workspace(&self) -> &Path {
        self.changed.path()
    }

    /// Returns the path of a file or directory.
    pub(crate) fn find(&self, path: &str) -> Result<PathBuf, String> {
        let inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        let places = [self.changed.path().join(path), xtask::root().join(path)];
        let found = places.into_iter().find(|place| inside && place.exists());
        found.ok_or_else(|| format!("there is no `{path}`"))
    }

    pub(crate) fn read(&self, path: &str) -> Result<String, String> {
        fs::read_to_string(self.find(path)?).map_err(|error| format!("read {path}: {error}"))
    }

    /// Fails unless a file contains a text.
    pub(crate) fn expect(&self, path: &str, text: &str) -> Result<(), String> {
        let is_there = self.read(path)?.contains(text);
        is_there.then_some(()).ok_or_else(|| format!("`{}` is not in {path}", text.trim()))
    }

    /// Replaces a file.
    pub(crate) fn change(&self, path: &str, text: &str) {
        let place = self.changed.path().join(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, text).unwrap();
    }

    /// Applies a patch with git, unless the reader has applied it in this workspace.
    pub(crate) fn apply(&self, patch: &str) -> Result<(), String> {
        for path in self.read(patch)?.lines().filter_map(|line| line.strip_prefix("+++ b/")) {
            self.change(path, &self.read(path)?);
        }
        let git = |options: &[&str]| {
            let mut git = Command::new("git");
            git.arg("apply").args(options).arg(xtask::root().join(patch)).current_dir(self.workspace());
            // A repository around the temporary directory would have other files.
            git.env("GIT_CEILING_DIRECTORIES", self.workspace().parent().unwrap_or(self.workspace()));
            git.output().map_err(|error| format!("git: {error}"))
        };
        if git(&["--reverse", "--check"])?.status.success() {
            return Ok(());
        }
        let output = git(&[])?;
        let message = || format!("git apply {patch}: {}", String::from_utf8_lossy(&output.stderr));
        output.status.success().then_some(()).ok_or_else(message)
    }

    /// Undoes the changes to a file of the repository.
    pub(crate) fn restore(&self, path: &str) -> Result<(), String> {
        let original = fs::read_to_string(xtask::root().join(path));
        self.change(path, &original.map_err(|error| format!("read {path}: {error}"))?);
        Ok(())
    }

    /// Returns whether the reader has done the exercise in this workspace, whose files then have its changes.
    pub(crate) fn have_exercise() -> bool {
        xtask::root().join("proto/exercise").exists()
    }

    /// Returns a file of the finished exercise.
    pub(crate) fn finished(&self, path: &str) -> Result<String, String> {
        self.read(&format!("{EXERCISE_DIR}/{path}"))
    }

    /// Returns whether the finished exercise has this file or directory.
    pub(crate) fn has_finished(&self, path: &str) -> bool {
        self.find(&format!("{EXERCISE_DIR}/{path}")).is_ok()
    }

    /// Fails if a generated file of the finished exercise is stale.
    pub(crate) fn check_finished_generated(&self) -> Result<(), String> {
        let directory = "movie-proto/src/generated";
        for entry in fs::read_dir(xtask::root().join(EXERCISE_DIR).join(directory)).unwrap() {
            let path = format!("{directory}/{}", entry.unwrap().file_name().display());
            let fresh = self.read(&path)?;
            if fresh != self.finished(&path)? {
                let place = std::env::temp_dir().join("fresh-exercise.rs");
                fs::write(&place, fresh).unwrap();
                return Err(format!("{EXERCISE_DIR}/{path} is stale; replace it by {}", place.display()));
            }
        }
        Ok(())
    }
}

/// Returns the paths of the members of the workspace. The last part of each is the name of the crate.
pub(crate) fn members() -> BTreeSet<String> {
    let manifest = fs::read_to_string(xtask::root().join("Cargo.toml")).unwrap();
    let (_, list) = manifest.split_once("\nmembers = [").unwrap();
    let (list, _) = list.split_once(']').unwrap();
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Copies a directory into another, which may exist.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_name() == "node_modules" {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
