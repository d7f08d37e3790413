//! The RPM packages: installed, upgraded and erased.

use anyhow::{Result, ensure};

use super::machine::Machine;
use super::{Packages, SERVICE};

/// What the packages may require, by the begin of the name.
const REQUIREMENTS: [&str; 9] = [
    "/bin/sh",
    "config(movie-service)",
    "ld-linux-",
    "libc.so",
    "libgcc_s.so",
    "libm.so",
    "rpmlib(",
    "rtld(",
    "systemd",
];

/// Takes the packages through their life.
///
/// Debian's database of RPM is empty, so their requirements are compared with a list, and not with packages.
///
/// # Errors
///
/// If a step fails.
pub(super) fn test(machine: &Machine, packages: &Packages) -> Result<()> {
    for package in [&packages.service_rpm, &packages.client_rpm] {
        let requirements = machine.run(&["rpm", "--query", "--requires", "--package", package])?;
        for requirement in requirements.lines() {
            ensure!(
                REQUIREMENTS.iter().any(|known| requirement.starts_with(known)),
                "{package} requires {requirement}"
            );
        }
    }
    machine.run(&["rpm", "--install", "--nodeps", &packages.service_rpm, &packages.client_rpm])?;
    machine.run(&["systemctl", "enable", "--now", SERVICE])?;
    let health = machine.run(&["movie-client", "health"])?;
    ensure!(health.contains("\"serving\""), "{health}");

    machine.shell("echo MOVIE_ALLOW_ANONYMOUS_WRITES=1 >> /etc/default/movie-service")?;
    let pid = machine.property(SERVICE, "MainPID")?;
    machine.run(&["rpm", "--upgrade", "--nodeps", &packages.newer_service_rpm])?;
    let release = machine.run(&["rpm", "--query", "--queryformat", "%{RELEASE}", "movie-service"])?;
    ensure!(release == "2", "the release is {release}");
    machine.wait("ActiveState", |state| state == "active")?;
    ensure!(machine.property(SERVICE, "MainPID")? != pid, "the service was not restarted");
    machine.run(&["movie-client", "create", "--title", "The Martian"])?;
    let changed = machine.shell("rpm --verify --nodeps movie-service movie-client || test $? = 1")?;
    let is_configuration = |line: &str| line.ends_with(" c /etc/default/movie-service");
    ensure!(changed.lines().all(is_configuration), "after the installation, these files differ:\n{changed}");

    machine.run(&["rpm", "--erase", "movie-service", "movie-client"])?;
    ensure!(machine.property(SERVICE, "ActiveState")? != "active", "the service still runs");
    machine.shell("test ! -e /usr/bin/movie-service; test -s /var/lib/private/movie-service/movies.db")?;
    println!("packages: the RPM is installed, upgraded and erased");
    Ok(())
}
