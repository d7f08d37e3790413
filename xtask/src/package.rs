//! `cargo xtask package`: the packages of both programs for Debian and for systems with RPM.
//!
//! Their content is listed in the manifests of the two crates, `[package.metadata.deb]` and
//! `[package.metadata.generate-rpm]`. The manual pages, the completion scripts and the changelog are generated here.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::build::{Build, new_folder};
use crate::{program, tools};

/// What to package.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Cargo's profile of the programs.
    #[arg(long, default_value = "release")]
    profile: String,

    /// Revision of the packages, which distinguishes packages of the same version.
    #[arg(long, default_value = "1")]
    revision: String,
}

/// The programs, which are packages of the same names.
pub(crate) const PROGRAMS: [&str; 2] = ["movie-service", "movie-client"];

/// Time to generate a file.
const GENERATE_TIMEOUT: Duration = Duration::from_mins(1);

/// Time to make a package, most of which is its compression.
const PACKAGE_TIMEOUT: Duration = Duration::from_mins(10);

/// Builds the programs, makes their packages, and prints the paths.
///
/// # Errors
///
/// If a program does not build, or a package cannot be made.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    let build = Build::new(root, &options.profile)?;
    let packages = build.target.join("packages");
    new_folder(&packages)?;
    for path in make(&build, &options.revision, &PROGRAMS, &packages)? {
        println!("{}", path.display());
    }
    Ok(())
}

/// Makes the packages of these programs, which are built, in the folder `packages`; returns their paths.
///
/// # Errors
///
/// If a package cannot be made.
pub(crate) fn make(
    build: &Build,
    revision: &str,
    programs: &[&str],
    packages: &Path,
) -> Result<Vec<PathBuf>> {
    let Build { root, profile, target } = build;
    fs::create_dir_all(packages).with_context(|| format!("create {}", packages.display()))?;
    let epoch = commit_date(root, "%ct")?;
    for &name in programs {
        generate(root, &build.programs(), name, revision)?;
        let mut deb = tools::subcommand(root, "deb")?;
        deb.args(["--no-build", "--quiet", "--compress-system", "--package", name, "--profile", profile]);
        deb.args(["--deb-revision", revision, "--output"]).arg(packages);
        program::run(deb.env("SOURCE_DATE_EPOCH", &epoch), PACKAGE_TIMEOUT)?;
        let mut rpm = tools::subcommand(root, "generate-rpm")?;
        rpm.args(["--package", name, "--profile", profile, "--auto-req", "builtin", "--target-dir"]);
        rpm.arg(target);
        rpm.args(["--set-metadata", &format!("release = {revision:?}"), "--output"]).arg(packages);
        program::run(rpm.env("SOURCE_DATE_EPOCH", &epoch), PACKAGE_TIMEOUT)?;
    }
    let paths = fs::read_dir(packages)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>();
    let mut paths = paths.with_context(|| format!("list {}", packages.display()))?;
    paths.sort();
    Ok(paths)
}

/// Writes what the packages of a program have beside the files of the repository.
fn generate(root: &Path, programs: &Path, name: &str, revision: &str) -> Result<()> {
    let folder = programs.join("package").join(name);
    new_folder(&folder)?;
    let built = programs.join(name);
    // cargo-generate-rpm packages symbols, too.
    let mut strip = Command::new("strip");
    program::run(strip.arg("-o").arg(folder.join(name)).arg(&built), GENERATE_TIMEOUT)?;
    let pages = folder.join("man");
    program::run(Command::new(&built).arg("man").arg(&pages), GENERATE_TIMEOUT)?;
    for page in fs::read_dir(&pages).with_context(|| format!("list {}", pages.display()))? {
        let page = page?.path();
        compress(&page, &fs::read(&page)?)?;
        fs::remove_file(page)?;
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = program::run(Command::new(&built).args(["completions", shell]), GENERATE_TIMEOUT)?;
        let path = folder.join(shell);
        fs::write(&path, script).with_context(|| format!("write {}", path.display()))?;
    }
    // That of the workspace.
    let version = version(env!("CARGO_PKG_VERSION"));
    let date = commit_date(root, "%cD")?;
    let changelog = format!(
        "{name} ({version}-{revision}) unstable; urgency=medium\n\n  * The changes are in changelog.gz.\n\n -- The movie service authors \
         <authors@movie-service.example>  {date}\n"
    );
    compress(&folder.join("changelog.Debian"), changelog.as_bytes())
}

/// Writes a file whose name gets the ending `.gz`. Without a date in it, the same text makes the same file.
fn compress(path: &Path, text: &[u8]) -> Result<()> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(text)?;
    let mut name = path.as_os_str().to_owned();
    name.push(".gz");
    fs::write(&name, gzip.finish()?).with_context(|| format!("write {}", Path::new(&name).display()))
}

/// Returns a version as packages have it: in their order of versions, a tilde comes before the end, as a pre-release before its release.
fn version(version: &str) -> String {
    version.replace('-', "~")
}

/// Returns the date of the last commit, so that the same commit makes the same packages.
fn commit_date(root: &Path, format: &str) -> Result<String> {
    let mut git = Command::new("git");
    git.current_dir(root).args(["log", "-1", &format!("--format={format}")]);
    Ok(program::run(&mut git, GENERATE_TIMEOUT)?.trim().to_owned())
}
