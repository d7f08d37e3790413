//! `cargo xtask release`: makes a release in a clone of the repository, which takes it over only once all of it is there.

mod changelog;
mod version;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use semver::Version;
use sha2::{Digest, Sha256};

use crate::program;

/// What to release.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The version, such as 0.2.0; at least the current one, and not released before.
    version: Version,

    /// Make everything, but leave the repository as it is.
    #[arg(long)]
    dry_run: bool,

    /// Cargo's profile of the packages.
    #[arg(long, default_value = "release")]
    profile: String,
}

/// Files whose version is that of the workspace.
const LOCK_FILES: [&str; 2] = ["Cargo.toml", "movie-service/fuzz/Cargo.toml"];

/// Time for a command of Git or for one that updates a lock file.
const COMMAND_TIMEOUT: Duration = Duration::from_mins(2);

/// Time to build the packages.
const PACKAGE_TIMEOUT: Duration = Duration::from_mins(45);

/// Name of the file with the checksums, which `sha256sum --check` reads.
const CHECKSUMS: &str = "SHA256SUMS";

/// Makes a release: version, changelog, commit, tag, packages and their checksums.
///
/// # Errors
///
/// If the repository has changes that are not committed, the version is lower or released already, the changelog has nothing to
/// release, or a command fails. The repository is then as it was.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    let Options { version, dry_run, profile } = options;
    if !dry_run {
        let changes = git(root, &["status", "--porcelain"])?;
        ensure!(changes.is_empty(), "commit or remove these changes first:\n{changes}");
    }
    let tag = format!("v{version}");
    ensure!(git(root, &["tag", "--list", &tag])?.is_empty(), "the tag {tag} exists already");
    let folder = crate::target(root).join("releases").join(tag);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let release = Release { root, clone: folder.join("source"), folder, version };
    release.clone_repository()?;
    let notes = release.set_version()?;
    release.commit(&notes)?;
    let packages = release.build_packages(profile)?;
    release.write_checksums(&packages)?;
    if *dry_run {
        println!(
            "This was a dry run: the repository is as it was. The files are in {}.",
            release.folder.display()
        );
    } else {
        release.take_over()?;
        println!("The files are in {}.", release.folder.display());
        println!("Next: git push --follow-tags, and publish the files with {CHECKSUMS}.");
    }
    fs::remove_dir_all(&release.clone).with_context(|| format!("remove {}", release.clone.display()))
}

/// A release that is being made.
struct Release<'a> {
    root: &'a Path,
    /// The folder of what is released.
    folder: PathBuf,
    /// A clone of the repository, in which the release is made.
    clone: PathBuf,
    version: &'a Version,
}

impl Release<'_> {
    fn clone_repository(&self) -> Result<()> {
        let mut clone = Command::new("git");
        clone.args(["clone", "--quiet", "--local"]).arg(self.root).arg(&self.clone);
        program::run(&mut clone, COMMAND_TIMEOUT)?;
        // The author of the release is the one of the repository.
        for name in ["user.name", "user.email"] {
            if let Ok(value) = git(self.root, &["config", name]) {
                git(&self.clone, &["config", name, value.trim()])?;
            }
        }
        Ok(())
    }

    /// Sets the version wherever it is written, and gives the changelog's entries to it; returns them.
    fn set_version(&self) -> Result<String> {
        self.edit("Cargo.toml", |manifest| version::set(manifest, self.version))?;
        for manifest in LOCK_FILES {
            let mut update = program::cargo(&self.clone);
            update.args(["update", "--quiet", "--offline", "--workspace", "--manifest-path", manifest]);
            program::run(&mut update, COMMAND_TIMEOUT)?;
        }
        self.edit("deploy/helm/movie-service/Chart.yaml", |chart| version::set_chart(chart, self.version))?;
        let today = program::run(Command::new("date").args(["--utc", "+%Y-%m-%d"]), COMMAND_TIMEOUT)?;
        let mut notes = String::new();
        self.edit("CHANGELOG.md", |text| {
            let released = changelog::release(text, self.version, today.trim())?;
            notes = released.notes;
            Ok(released.text)
        })?;
        Ok(notes)
    }

    fn edit(&self, file: &str, change: impl FnOnce(&str) -> Result<String>) -> Result<()> {
        let path = self.clone.join(file);
        let text = fs::read_to_string(&path).with_context(|| format!("read {file}"))?;
        let text = change(&text).with_context(|| file.to_owned())?;
        fs::write(&path, text).with_context(|| format!("write {file}"))
    }

    fn commit(&self, notes: &str) -> Result<()> {
        let version = self.version;
        let title = format!("release: {version}");
        git(&self.clone, &["commit", "--quiet", "--all", "--message", &title])?;
        let message = format!("Movie service {version}\n\n{notes}");
        // Lines of the notes may begin with the character of comments.
        let tag = ["tag", "--annotate", "--cleanup=verbatim", "--message", &message, &format!("v{version}")];
        git(&self.clone, &tag).map(drop)
    }

    /// Builds the packages from the clone, and moves them into the folder; returns their names.
    fn build_packages(&self, profile: &str) -> Result<Vec<String>> {
        let mut package = program::cargo(&self.clone);
        // What is built of the dependencies is built once.
        package.env("CARGO_TARGET_DIR", crate::target(self.root));
        package.args(["xtask", "package", "--profile", profile]);
        let printed = program::run(&mut package, PACKAGE_TIMEOUT)?;
        let mut names = Vec::new();
        for path in printed.lines().map(Path::new).filter(|path| path.is_file()) {
            let name = path.file_name().and_then(|name| name.to_str()).context("a package without a name")?;
            fs::copy(path, self.folder.join(name)).with_context(|| format!("copy {}", path.display()))?;
            names.push(name.to_owned());
        }
        names.sort();
        let version = self.version.to_string();
        let Some(other) = names.iter().find(|name| !name.contains(&version)) else {
            ensure!(!names.is_empty(), "`cargo xtask package` printed no files:\n{printed}");
            return Ok(names);
        };
        bail!("the name of {other} does not have the version {version}")
    }

    fn write_checksums(&self, packages: &[String]) -> Result<()> {
        let mut checksums = fs::File::create(self.folder.join(CHECKSUMS))?;
        for name in packages {
            let bytes = fs::read(self.folder.join(name)).with_context(|| format!("read {name}"))?;
            writeln!(checksums, "{}  {name}", hex::encode(Sha256::digest(bytes)))?;
            println!("{name}");
        }
        let mut check = Command::new("sha256sum");
        check.current_dir(&self.folder).args(["--check", "--strict", "--quiet", CHECKSUMS]);
        program::run(&mut check, COMMAND_TIMEOUT).map(drop)
    }

    /// Brings the commit and the tag into the repository.
    fn take_over(&self) -> Result<()> {
        let clone = self.clone.to_str().context("the path of the clone is not UTF-8")?;
        git(self.root, &["pull", "--quiet", "--ff-only", "--tags", clone, "HEAD"]).map(drop)
    }
}

/// Runs Git in a folder; returns what it prints.
fn git(folder: &Path, arguments: &[&str]) -> Result<String> {
    program::run(Command::new("git").current_dir(folder).args(arguments), COMMAND_TIMEOUT)
}
