//! The Debian packages: installed, used, upgraded, removed and purged.

use anyhow::{Context, Result, ensure};

use super::calls::Calls;
use super::machine::Machine;
use super::{Packages, SERVICE, SOCKET};

/// The greatest exposure that `systemd-analyze security` may find, in tenths.
const MAX_EXPOSURE_TENTHS: u32 = 15;

/// Restarts of the service while systemd listens for it.
const RESTARTS: u32 = 5;

/// A change of the service's unit.
const DROP_IN: &str = "/etc/systemd/system/movie-service.service.d/test.conf";

/// A movie that is written, and has to survive all that follows.
const TITLE: &str = "The Martian";

/// Takes the packages through their life.
///
/// # Errors
///
/// If a step fails.
pub(super) fn test(machine: &Machine, packages: &Packages) -> Result<()> {
    install(machine, packages)?;
    check_unit(machine)?;
    configure(machine)?;
    reload(machine)?;
    restart_hung(machine)?;
    pass_credentials(machine)?;
    let calls = serve_on_socket(machine)?;
    upgrade(machine, packages, calls)?;
    remove(machine, packages)
}

/// Installs both packages. The service runs at once, for this machine only, and nobody may write.
fn install(machine: &Machine, packages: &Packages) -> Result<()> {
    machine.run(&["dpkg", "--install", &packages.service_deb, &packages.client_deb])?;
    for (unit, state) in [(SERVICE, "enabled"), (SOCKET, "disabled")] {
        ensure!(machine.property(unit, "UnitFileState")? == state, "{unit} is not {state}");
    }
    for (name, expected) in [
        ("ActiveState", "active"),
        ("NotifyAccess", "main"),
        ("StatusText", "serving 0 movies from sqlite:/var/lib/movie-service/movies.db on 127.0.0.1:3001"),
    ] {
        let found = machine.property(SERVICE, name)?;
        ensure!(found == expected, "{name} is {found:?}, expected {expected:?}\n{}", machine.log());
    }
    let user = machine.shell(&format!("stat --format=%U /proc/{}", main_pid(machine)?))?;
    ensure!(user.trim() == "movie-service", "the service runs as {user}");
    let health = machine.run(&["movie-client", "health"])?;
    ensure!(health.contains("\"serving\""), "{health}");
    let refused = machine.run_expecting_failure(&["movie-client", "create", "--title", TITLE])?;
    ensure!(refused.contains("--tokens"), "{refused}");
    println!("packages: installed, the service runs as a user of its own");
    Ok(())
}

/// Has systemd check the units.
fn check_unit(machine: &Machine) -> Result<()> {
    let units = [SERVICE, SOCKET].map(|unit| format!("/usr/lib/systemd/system/{unit}"));
    let complaints = machine.shell(&format!("systemd-analyze verify --man=no {} 2>&1", units.join(" ")))?;
    ensure!(complaints.is_empty(), "{complaints}");
    let threshold = format!("--threshold={MAX_EXPOSURE_TENTHS}");
    let security = ["systemd-analyze", "security", "--no-pager", "--offline=true", &threshold, &units[0]];
    let exposure = machine.run(&security)?;
    let exposure = exposure.lines().next_back().unwrap_or_default();
    println!("packages: {}", exposure.trim_start_matches("→ "));
    Ok(())
}

/// Allows writes in the file of variables, and writes a movie.
fn configure(machine: &Machine) -> Result<()> {
    machine.shell("echo MOVIE_ALLOW_ANONYMOUS_WRITES=1 >> /etc/default/movie-service")?;
    machine.run(&["systemctl", "restart", SERVICE])?;
    machine.run(&["movie-client", "create", "--title", TITLE])?;
    assert_has_movie(machine)
}

/// Reloads a JSON file by SIGHUP.
fn reload(machine: &Machine) -> Result<()> {
    change_unit(machine, "Environment=MOVIE_DATABASE=/usr/share/movie-service/films.json")?;
    machine.wait("StatusText", |status| status.starts_with("serving 17470 movies"))?;
    let pid = main_pid(machine)?;
    machine.run(&["systemctl", "reload", SERVICE])?;
    // `systemctl` may return before the service says that it reloads.
    machine.wait_for_log("serving 17470 movies from the new version")?;
    machine.wait("ActiveState", |state| state == "active")?;
    ensure!(main_pid(machine)? == pid, "a reload restarted the service");
    println!("packages: reloaded by systemctl reload");
    Ok(())
}

/// Stops all threads of the service; its watchdog restarts it.
fn restart_hung(machine: &Machine) -> Result<()> {
    change_unit(machine, "WatchdogSec=2s")?;
    let pid = main_pid(machine)?;
    machine.shell(&format!("kill -STOP {pid}"))?;
    machine.wait("NRestarts", |restarts| restarts.parse().is_ok_and(|restarts: u32| restarts >= 1))?;
    machine.wait("ActiveState", |state| state == "active")?;
    ensure!(main_pid(machine)? != pid, "the same process");
    assert_has_movie(machine)?;
    println!("packages: a service that hangs is restarted by the watchdog");
    Ok(())
}

/// Passes a tokens file that only root may read, as the comment in the unit shows.
fn pass_credentials(machine: &Machine) -> Result<()> {
    let made = machine.shell(
        "umask 077; mkdir /etc/movie-service; movie-service token anna --role reader > /tmp/made; \
         tail -n 1 /tmp/made > /etc/movie-service/tokens; head -n 1 /tmp/made",
    )?;
    change_unit(
        machine,
        "LoadCredential=tokens:/etc/movie-service/tokens\nEnvironment=MOVIE_TOKENS=%d/tokens",
    )?;
    let refused = machine.run_expecting_failure(&["movie-client", "list"])?;
    ensure!(refused.contains("token"), "{refused}");
    machine.shell(&format!("MOVIE_TOKEN={} movie-client list", made.trim()))?;
    machine.run(&["rm", DROP_IN])?;
    machine.run(&["systemctl", "daemon-reload"])?;
    println!("packages: the service uses a tokens file that only root may read");
    Ok(())
}

/// Lets systemd listen, and restarts the service while it is called.
fn serve_on_socket(machine: &Machine) -> Result<Calls> {
    machine.run(&["systemctl", "stop", SERVICE])?;
    machine.run(&["systemctl", "enable", "--now", SOCKET])?;
    let mut calls = Calls::start(machine.network()).wait_for_more()?;
    for _ in 0..RESTARTS {
        machine.run(&["systemctl", "restart", SERVICE])?;
        calls = calls.wait_for_more().context("calls during restarts")?;
    }
    assert_has_movie(machine)?;
    Ok(calls)
}

/// Upgrades the service while it is called.
fn upgrade(machine: &Machine, packages: &Packages, calls: Calls) -> Result<()> {
    let pid = main_pid(machine)?;
    machine.run(&["dpkg", "--install", &packages.newer_service_deb])?;
    let version = machine.run(&["dpkg-query", "--show", "--showformat=${Version}", "movie-service"])?;
    ensure!(version.ends_with("-2"), "the version is {version}");
    ensure!(main_pid(machine)? != pid, "the service was not restarted");
    let count =
        calls.wait_for_more().and_then(Calls::stop).context("calls during restarts and an upgrade")?;
    println!("packages: {RESTARTS} restarts and an upgrade refused none of {count} connections");
    ensure!(machine.property(SOCKET, "UnitFileState")? == "enabled", "the upgrade disabled the socket");
    assert_has_movie(machine)?;
    // What was changed in it stays.
    machine.run(&["grep", "^MOVIE_ALLOW_ANONYMOUS_WRITES=1", "/etc/default/movie-service"]).map(drop)
}

/// Removes the package, which keeps the movies, and purges it, which keeps nothing.
fn remove(machine: &Machine, packages: &Packages) -> Result<()> {
    machine.run(&["dpkg", "--remove", "movie-service"])?;
    for unit in [SERVICE, SOCKET] {
        ensure!(machine.property(unit, "ActiveState")? != "active", "{unit} is still active");
    }
    machine.shell("test ! -e /usr/bin/movie-service; test -s /var/lib/private/movie-service/movies.db")?;
    machine.run(&["dpkg", "--install", &packages.newer_service_deb])?;
    assert_has_movie(machine)?;
    machine.run(&["dpkg", "--purge", "movie-service", "movie-client"])?;
    let left = machine.shell(
        "find /usr/bin /usr/lib/systemd /usr/share/doc /usr/share/man /usr/share/bash-completion /usr/share/zsh /usr/share/fish \
         /usr/share/movie-service /etc/default /etc/systemd /var/lib/systemd /var/lib/private /var/lib/movie-service \
         -name '*movie-*' ! -path '*/movie-service.service.d*' 2>/dev/null || true",
    )?;
    ensure!(left.is_empty(), "after the purge, there still is\n{left}");
    println!("packages: removed, installed again with its movies, and purged");
    Ok(())
}

/// Replaces the drop-in file of the service, and restarts it.
fn change_unit(machine: &Machine, settings: &str) -> Result<()> {
    let write = r#"mkdir -p "$(dirname "$1")"; printf '[Service]\n%s\n' "$2" > "$1""#;
    machine.run(&["sh", "-euc", write, "sh", DROP_IN, settings])?;
    machine.run(&["systemctl", "daemon-reload"])?;
    machine.run(&["systemctl", "restart", SERVICE]).map(drop)
}

fn main_pid(machine: &Machine) -> Result<String> {
    machine.property(SERVICE, "MainPID")
}

fn assert_has_movie(machine: &Machine) -> Result<()> {
    let movies = machine.run(&["movie-client", "list"])?;
    ensure!(movies.contains(TITLE), "the movie is not there: {movies}");
    Ok(())
}
