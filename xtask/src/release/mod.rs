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

use crate::build::new_folder;
use crate::program;

/// What to release.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The version, such as 0.2.0: at least the current one, not released before, and no pre-release.
    version: Version,

    /// Make everything, but leave the repository as it is.
    #[arg(long)]
    dry_run: bool,

    /// Cargo's profile of the packages of a dry run.
    #[arg(long, default_value = RELEASE_PROFILE, requires = "dry_run")]
    profile: String,
}

/// Cargo's profile of what is released.
const RELEASE_PROFILE: &str = "release";

/// Manifests whose lock files have the version.
const MANIFESTS: [&str; 2] = ["Cargo.toml", "movie-service/fuzz/Cargo.toml"];

/// Files that quote the version.
const QUOTING: [&str; 3] =
    ["docs/operations/backup.md", "docs/operations/container.md", "docs/operations/install.md"];

/// Time for a command of Git, or for one that updates a file.
const COMMAND_TIMEOUT: Duration = Duration::from_mins(5);

/// Time to build the packages.
const PACKAGE_TIMEOUT: Duration = Duration::from_mins(45);

/// Name of the file with the checksums, which `sha256sum --check` reads.
const CHECKSUMS: &str = "SHA256SUMS";

/// Makes a release: version, changelog, commit, tag, packages and their checksums.
///
/// # Errors
///
/// If the repository has changes that are not committed or no branch, the version is lower or released already, the changelog
/// has nothing to release, a command fails, or the branch has moved meanwhile. The repository is then as it was.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    let Options { version, dry_run, profile } = options;
    ensure!(
        version.pre.is_empty() && version.build.is_empty(),
        "{version} is a pre-release, which packages cannot have: Debian and RPM order such versions in another way"
    );
    if !dry_run {
        let changes = git(root, &["status", "--porcelain"])?;
        ensure!(changes.is_empty(), "commit or remove these changes first:\n{changes}");
    }
    let tag = format!("v{version}");
    ensure!(git(root, &["tag", "--list", &tag])?.is_empty(), "the tag {tag} exists already");
    let folder = crate::target(root).join("releases").join(&tag);
    new_folder(&folder)?;
    // A dry run shares what is built: that saves time. In a release, another build could replace the programs.
    let target = if *dry_run { crate::target(root) } else { folder.join("target") };
    let from = Origin::of(root).context("releases are made on a branch: check one out")?;
    let release = Release { root, from, clone: folder.join("source"), folder, target, version, tag };
    release.clone_repository()?;
    let notes = release.set_version()?;
    release.commit(&notes)?;
    let packages = release.build_packages(profile)?;
    release.write_checksums(&packages)?;
    let shown = release.folder.display();
    if *dry_run {
        println!("This was a dry run: the repository is as it was. The files are in {shown}.");
    } else {
        release.take_over()?;
        fs::remove_dir_all(&release.target)
            .with_context(|| format!("remove {}", release.target.display()))?;
        println!("The files are in {shown}.");
        println!("Next: run .ci/run, git push --follow-tags, and publish the files with {CHECKSUMS}.");
    }
    fs::remove_dir_all(&release.clone).with_context(|| format!("remove {}", release.clone.display()))
}

/// The branch that is released, and its commit.
#[derive(Debug, PartialEq, Eq)]
struct Origin {
    branch: String,
    commit: String,
}

impl Origin {
    /// Returns the branch that is checked out.
    fn of(root: &Path) -> Result<Self> {
        let branch = git(root, &["symbolic-ref", "HEAD"])?;
        Ok(Self { branch, commit: git(root, &["rev-parse", "HEAD"])? })
    }
}

/// A release that is being made.
struct Release<'a> {
    root: &'a Path,
    from: Origin,
    /// The folder of what is released.
    folder: PathBuf,
    /// A clone of the repository, in which the release is made.
    clone: PathBuf,
    /// Where cargo builds.
    target: PathBuf,
    version: &'a Version,
    tag: String,
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
        let mut current = None;
        self.edit("Cargo.toml", |manifest| {
            let set = version::set(manifest, self.version)?;
            current = Some(set.previous);
            Ok(set.manifest)
        })?;
        for manifest in MANIFESTS {
            let mut update = program::cargo(&self.clone);
            update.args(["update", "--quiet", "--offline", "--workspace", "--manifest-path", manifest]);
            program::run(&mut update, COMMAND_TIMEOUT)?;
        }
        let (current, version) = (current.context("no version")?.to_string(), self.version.to_string());
        for file in QUOTING {
            self.edit(file, |text| Ok(text.replace(&current, &version)))?;
        }
        self.edit("deploy/helm/movie-service/Chart.yaml", |chart| version::set_chart(chart, self.version))?;
        // The document of the interface has the version.
        program::run(self.cargo().args(["xtask", "regen-proto"]), PACKAGE_TIMEOUT)?;
        let today = program::run(Command::new("date").args(["--utc", "+%Y-%m-%d"]), COMMAND_TIMEOUT)?;
        let mut notes = String::new();
        self.edit("CHANGELOG.md", |text| {
            let released = changelog::release(text, self.version, today.trim())?;
            notes = released.notes;
            Ok(released.text)
        })?;
        Ok(notes)
    }

    /// Returns the command of cargo in the clone.
    fn cargo(&self) -> Command {
        let mut cargo = program::cargo(&self.clone);
        cargo.env("CARGO_TARGET_DIR", &self.target);
        cargo
    }

    fn edit(&self, file: &str, change: impl FnOnce(&str) -> Result<String>) -> Result<()> {
        let path = self.clone.join(file);
        let text = fs::read_to_string(&path).with_context(|| format!("read {file}"))?;
        let text = change(&text).with_context(|| file.to_owned())?;
        fs::write(&path, text).with_context(|| format!("write {file}"))
    }

    fn commit(&self, notes: &str) -> Result<()> {
        let Self { version, tag, .. } = self;
        let title = format!("release: {version}");
        git(&self.clone, &["commit", "--quiet", "--all", "--message", &title])?;
        let message = format!("Movie service {version}\n\n{notes}");
        // Lines of the notes may begin with the character of comments.
        let arguments = ["tag", "--annotate", "--cleanup=verbatim", "--message", &message, tag];
        git(&self.clone, &arguments).map(drop)
    }

    /// Builds the packages from the clone, and moves them into the folder; returns their names.
    fn build_packages(&self, profile: &str) -> Result<Vec<String>> {
        let printed =
            program::run(self.cargo().args(["xtask", "package", "--profile", profile]), PACKAGE_TIMEOUT)?;
        let mut names = Vec::new();
        for path in printed.lines().map(Path::new).filter(|path| path.is_file()) {
            let name = path.file_name().and_then(|name| name.to_str()).context("a package without a name")?;
            fs::copy(path, self.folder.join(name)).with_context(|| format!("copy {}", path.display()))?;
            names.push(name.to_owned());
        }
        names.sort();
        ensure!(!names.is_empty(), "`cargo xtask package` printed no files:\n{printed}");
        let version = self.version.to_string();
        if let Some(other) = names.iter().find(|name| !name.contains(&version)) {
            bail!("the name of {other} does not have the version {version}");
        }
        Ok(names)
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

    /// Brings the commit and then the tag into the repository, if its branch is where the release began.
    fn take_over(&self) -> Result<()> {
        let Self { root, from, tag, .. } = self;
        ensure!(
            Origin::of(root)? == *from,
            "{} is no longer at {}, or another branch is checked out; make the release again",
            from.branch,
            from.commit
        );
        let clone = self.clone.to_str().context("the path of the clone is not UTF-8")?;
        git(root, &["fetch", "--quiet", "--no-tags", clone, "HEAD"])?;
        git(root, &["merge", "--quiet", "--ff-only", "FETCH_HEAD"])?;
        git(root, &["fetch", "--quiet", clone, "tag", tag]).map(drop)
    }
}

/// Runs Git in a folder; returns what it prints.
fn git(folder: &Path, arguments: &[&str]) -> Result<String> {
    let printed = program::run(Command::new("git").current_dir(folder).args(arguments), COMMAND_TIMEOUT)?;
    Ok(printed.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repository with one commit, and a clone in which the release 1.0.0 was made.
    fn repositories(folder: &Path) -> (PathBuf, PathBuf) {
        let (root, clone) = (folder.join("root"), folder.join("clone"));
        git(folder, &["init", "--quiet", "--initial-branch", "main", "root"]).unwrap();
        commit(&root, "first");
        git(folder, &["clone", "--quiet", "root", "clone"]).unwrap();
        commit(&clone, "release: 1.0.0");
        git(&clone, &["tag", "v1.0.0"]).unwrap();
        (root, clone)
    }

    fn commit(repository: &Path, title: &str) {
        let author = ["-c", "user.name=Author", "-c", "user.email=author@films.example"];
        git(repository, &[&author[..], &["commit", "--quiet", "--allow-empty", "--message", title]].concat())
            .unwrap();
    }

    fn take_over(root: &Path, from: Origin, clone: PathBuf) -> Result<()> {
        let (folder, target) = (root.to_owned(), root.to_owned());
        let version = &Version::new(1, 0, 0);
        Release { root, from, folder, clone, target, version, tag: "v1.0.0".to_owned() }.take_over()
    }

    #[test]
    fn the_branch_takes_over_the_commit_and_the_tag() {
        let folder = tempfile::tempdir().unwrap();
        let (root, clone) = repositories(folder.path());
        take_over(&root, Origin::of(&root).unwrap(), clone).unwrap();
        assert_eq!(git(&root, &["log", "-1", "--format=%s", "v1.0.0"]).unwrap(), "release: 1.0.0");
        assert_eq!(git(&root, &["log", "-1", "--format=%s", "main"]).unwrap(), "release: 1.0.0");
    }

    #[test]
    fn a_branch_that_has_moved_takes_over_neither_the_commit_nor_the_tag() {
        let folder = tempfile::tempdir().unwrap();
        let (root, clone) = repositories(folder.path());
        let from = Origin::of(&root).unwrap();
        commit(&root, "another");
        let error = take_over(&root, from, clone).unwrap_err().to_string();
        assert!(error.contains("refs/heads/main is no longer at"), "{error}");
        assert_eq!(git(&root, &["tag", "--list"]).unwrap(), "");
        assert_eq!(git(&root, &["log", "-1", "--format=%s"]).unwrap(), "another");
    }
}
