//! What is in the packages: files, manual pages, completions.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Packages;
use crate::build::find;
use crate::package::PROGRAMS;
use crate::program;

/// Time for a check.
const CHECK_TIMEOUT: Duration = Duration::from_mins(5);

/// Folders that differ between the two kinds of packages: in RPM's name, then in Debian's.
const OTHER_FOLDERS: [(&str, &str); 1] =
    [("/usr/share/zsh/site-functions/", "/usr/share/zsh/vendor-completions/")];

/// Checks the packages by the programs that are installed, and names those that are missing.
///
/// # Errors
///
/// If a check fails.
pub(super) fn test(programs: &Path, packages: &Packages) -> Result<()> {
    for (deb, rpm) in
        [(&packages.service_deb, &packages.service_rpm), (&packages.client_deb, &packages.client_rpm)]
    {
        compare(deb, rpm)?;
        if is_there("lintian") {
            // Its warnings are about the archive of Debian, such as the bug that the first upload closes.
            let mut lintian = Command::new("lintian");
            let tags = program::run(
                lintian.args(["--fail-on", "error", "--allow-root", "--tag-display-limit=0", deb]),
                CHECK_TIMEOUT,
            );
            tags.with_context(|| format!("lintian {deb}"))?;
        }
    }
    for name in PROGRAMS {
        let folder = programs.join("package").join(name);
        if is_there("mandoc") {
            for page in fs::read_dir(folder.join("man"))? {
                let mut mandoc = Command::new("mandoc");
                program::run(mandoc.args(["-T", "lint", "-W", "error"]).arg(page?.path()), CHECK_TIMEOUT)?;
            }
        }
        for (shell, load) in [
            ("bash", format!("source \"$0\" && complete -p {name}")),
            (
                "zsh",
                format!(
                    "autoload -Uz compinit && compinit -u -D && source \"$0\" && [[ -n $_comps[{name}] ]]"
                ),
            ),
            (
                "fish",
                format!(
                    "source $argv[1]; and complete --do-complete '{name} --' | string match --quiet -- '--help*'"
                ),
            ),
        ] {
            if is_there(shell) {
                let mut loaded = Command::new(shell);
                loaded.args(["-c", &load]).arg(folder.join(shell)).env("HOME", &folder);
                program::run(&mut loaded, CHECK_TIMEOUT).with_context(|| format!("completions of {name}"))?;
            }
        }
    }
    println!("packages: both kinds have the same files; manual pages and completions are sound");
    Ok(())
}

/// Returns whether a program is there; otherwise names the Debian package of the same name.
fn is_there(name: &str) -> bool {
    let is_there = find(name).is_some();
    if !is_there {
        println!("SKIPPED: checks of packages: {}", program::not_installed(name, name));
    }
    is_there
}

/// Asserts that a Debian package and an RPM package have the same files.
fn compare(deb: &str, rpm: &str) -> Result<()> {
    let listed = program::run(Command::new("dpkg-deb").args(["--contents", deb]), CHECK_TIMEOUT)?;
    let files = listed.lines().filter(|line| !line.starts_with('d'));
    let in_deb: BTreeSet<_> =
        files.filter_map(|line| line.rsplit_once(" .").map(|(_, path)| normal(path))).collect();
    let listed =
        program::run(Command::new("rpm").args(["--query", "--list", "--package", rpm]), CHECK_TIMEOUT)?;
    let mut in_rpm: BTreeSet<_> = listed.lines().map(normal).collect();
    // Debian has a changelog of the package, too.
    in_rpm.extend(in_deb.iter().filter(|path| path.ends_with("/changelog.Debian")).cloned());
    ensure!(in_deb == in_rpm, "{deb} and {rpm} differ in {:?}", in_deb.symmetric_difference(&in_rpm));
    Ok(())
}

/// Returns the path of a file as a Debian package has it, without the ending of compressed files.
fn normal(path: &str) -> String {
    let mut path = path.trim_end_matches(".gz").to_owned();
    for (rpm, deb) in OTHER_FOLDERS {
        path = path.replace(rpm, deb);
    }
    path
}
