//! The Debian package and the RPM: installed, upgraded and removed, with systemd as on a machine.
//!
//! * `machine` — a machine in namespaces of this one; `calls` — calls in it without a pause;
//! * `content` — the files of the packages;
//! * `debian` and `rpm` — the life of the packages.

mod calls;
mod content;
mod debian;
mod machine;
mod rpm;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use self::machine::Machine;
use super::Outcome;
use crate::build::{self, Build};
use crate::package;

/// The unit of the service.
const SERVICE: &str = "movie-service.service";

/// The unit of its socket.
const SOCKET: &str = "movie-service.socket";

/// Paths of packages. The newer ones have the same content.
struct Packages {
    service_deb: String,
    client_deb: String,
    newer_service_deb: String,
    service_rpm: String,
    client_rpm: String,
    newer_service_rpm: String,
}

/// Tests this part.
///
/// # Errors
///
/// If something fails.
pub(super) fn test(build: &Build) -> Result<Outcome> {
    let programs = [("dpkg-deb", "dpkg"), ("rpm", "rpm"), ("nsenter", "util-linux"), ("strip", "binutils")];
    if let Err(missing) = build::programs(programs) {
        return Ok(Outcome::Skipped(missing.to_string()));
    }
    let folder = build.new_folder("packages")?;
    let packages = Packages::make(build, &folder)?;
    content::test(&build.programs(), &packages)?;
    if let Some(reason) = machine::unsupported_reason() {
        return Ok(Outcome::Skipped(reason));
    }
    for (name, test) in [("debian", debian::test as fn(&_, &_) -> _), ("rpm", rpm::test)] {
        let folder = build.new_folder(&format!("packages/machine-{name}"))?;
        test(&Machine::start(&folder)?, &packages)?;
    }
    Ok(Outcome::Passed)
}

impl Packages {
    /// Makes the packages in two revisions.
    fn make(build: &Build, folder: &Path) -> Result<Self> {
        let make = |revision, programs| package::make(build, revision, programs, &folder.join(revision));
        let (older, newer) = (make("1", &package::PROGRAMS[..])?, make("2", &["movie-service"])?);
        Ok(Self {
            service_deb: path(&older, "movie-service", "deb")?,
            client_deb: path(&older, "movie-client", "deb")?,
            newer_service_deb: path(&newer, "movie-service", "deb")?,
            service_rpm: path(&older, "movie-service", "rpm")?,
            client_rpm: path(&older, "movie-client", "rpm")?,
            newer_service_rpm: path(&newer, "movie-service", "rpm")?,
        })
    }
}

/// Returns the path of the package of a program.
fn path(packages: &[PathBuf], program: &str, kind: &str) -> Result<String> {
    let mut paths = packages.iter().filter_map(|path| path.to_str());
    let is_it = |path: &&str| {
        path.ends_with(kind) && path.rsplit('/').next().is_some_and(|name| name.starts_with(program))
    };
    paths.find(is_it).map(str::to_owned).with_context(|| format!("no {kind} of {program}"))
}
