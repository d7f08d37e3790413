//! PostgreSQL servers with data of their own.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::bench::process;
use crate::program::{self, Program};
use crate::wait;

/// Time for a command, and for a server to start or stop.
const TIMEOUT: Duration = Duration::from_mins(1);

/// The user `nobody`.
const NOBODY: u32 = 65_534;

/// The superuser of the servers, who needs no password.
const USER: &str = "films";

/// Returns the folder of the programs of the newest PostgreSQL, which Debian does not put on the search path.
///
/// # Errors
///
/// If none is installed, with how to install it.
pub(crate) fn programs() -> Result<PathBuf> {
    newest(Path::new("/usr/lib/postgresql"))
        .with_context(|| program::not_installed("PostgreSQL", "postgresql"))
}

/// Returns the folder of the programs of the highest version, of which each has a folder.
fn newest(versions: &Path) -> Option<PathBuf> {
    let versions = versions.read_dir().into_iter().flatten().flatten();
    let versions = versions.filter_map(|version| {
        let numbers =
            version.file_name().to_str()?.split('.').map(str::parse::<u32>).collect::<Result<Vec<_>, _>>();
        Some((numbers.ok()?, version.path().join("bin")))
    });
    let (_, programs) = versions.filter(|(_, programs)| programs.join("initdb").exists()).max()?;
    Some(programs)
}

/// Returns the user that has to run the servers if this program runs as root: PostgreSQL refuses to.
///
/// # Errors
///
/// If the operating system does not say who runs this program.
pub(crate) fn other_user() -> Result<Option<u32>> {
    let own = fs::metadata("/proc/self").context("read who runs this program")?;
    Ok((own.uid() == 0).then_some(NOBODY))
}

/// A new folder of the data of servers, and of what they write. It is removed when this is dropped.
pub(crate) struct ServerFolder {
    programs: PathBuf,
    folder: TempDir,
    user: Option<u32>,
}

impl ServerFolder {
    /// Creates the folder.
    ///
    /// # Errors
    ///
    /// If PostgreSQL is not installed, or the folder cannot be created.
    pub(crate) fn new() -> Result<Self> {
        let new = Self { programs: programs()?, folder: tempfile::tempdir()?, user: other_user()? };
        new.give_away(new.folder.path())?;
        Ok(new)
    }

    /// Creates a folder that the servers can write to.
    pub(crate) fn create(&self, name: &str) -> Result<PathBuf> {
        let folder = self.path(name);
        fs::create_dir(&folder).with_context(|| format!("create {}", folder.display()))?;
        self.give_away(&folder)?;
        Ok(folder)
    }

    fn give_away(&self, path: &Path) -> Result<()> {
        let Some(user) = self.user else { return Ok(()) };
        chown(path, Some(user), Some(user)).with_context(|| format!("change the owner of {}", path.display()))
    }

    /// Returns the folder of the programs of PostgreSQL.
    pub(crate) fn programs(&self) -> &Path {
        &self.programs
    }

    /// Returns the path of a file or folder in this folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns a command of PostgreSQL that runs in this folder, as the user of its files.
    pub(crate) fn command(&self, program: &str) -> Command {
        self.as_user(Command::new(self.programs.join(program)))
    }

    /// Lets a command run in this folder, as the user of its files.
    pub(crate) fn as_user(&self, mut command: Command) -> Command {
        command.current_dir(self.folder.path());
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }

    /// Creates the data of a new server.
    pub(crate) fn initialise(&self, data: &str) -> Result<()> {
        let mut initdb = self.command("initdb");
        initdb.args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--username", USER, data]);
        program::run(&mut initdb, TIMEOUT).map(drop)
    }
}

/// A running server. It is stopped when it is dropped.
pub(crate) struct Server {
    folder: Arc<ServerFolder>,
    program: Option<Program>,
    id: u32,
    port: String,
}

impl Server {
    /// Starts a server on the data in a folder, and waits until it accepts writes.
    ///
    /// # Errors
    ///
    /// If it does not within a minute, with its log.
    pub(crate) fn start(folder: &Arc<ServerFolder>, data: &str, settings: &[&str]) -> Result<Self> {
        let [address] = process::free_addresses()?;
        let port = address.port().to_string();
        let mut postgres = folder.command("postgres");
        postgres.args(["-D", data, "-h", "127.0.0.1", "-k", "", "-p", &port]).stdin(Stdio::null());
        for setting in settings {
            postgres.args(["-c", setting]);
        }
        let program = Program::start(&mut postgres)?;
        let server = Self { folder: folder.clone(), id: program.id(), program: Some(program), port };
        let accepts_writes = wait::until("PostgreSQL accepts writes", TIMEOUT, || {
            // A server that recovers accepts reads before.
            let answer = server.query("postgres", "SELECT NOT pg_is_in_recovery()")?;
            ensure!(answer == "t", "it recovers");
            Ok(())
        });
        match accepts_writes {
            Ok(()) => Ok(server),
            Err(error) => Err(error.context(server.stop().unwrap_or_default())),
        }
    }

    /// Stops the server at once, as if its machine had failed; returns its log.
    fn stop(mut self) -> Result<String> {
        let Some(program) = self.program.take() else { return Ok(String::new()) };
        stop(program)
    }

    /// Returns the number of the main process.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Returns the URL of a database.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// Returns a command of PostgreSQL with the address of this server; it runs in the folder of the data.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = self.folder.command(program);
        command.args(["-h", "127.0.0.1", "-U", USER, "-p", &self.port]);
        command
    }

    /// Returns a command of PostgreSQL with the address of this server; it runs where and as whom this program does.
    pub(crate) fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.folder.programs().join(program));
        command.args(["-h", "127.0.0.1", "-U", USER, "-p", &self.port]);
        command
    }

    /// Returns a command that executes one command of psql.
    pub(crate) fn psql(&self, database: &str, command: &str) -> Command {
        let mut psql = self.client("psql");
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", command]);
        psql
    }

    /// Returns what a query prints.
    pub(crate) fn query(&self, database: &str, query: &str) -> Result<String> {
        Ok(program::run(self.psql(database, query).arg("-At"), TIMEOUT)?.trim().to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(program) = self.program.take() {
            // An error means that it has ended, or has been killed.
            let _ = stop(program);
        }
    }
}

/// Ends a server by an immediate shutdown: unlike one that is killed, it leaves no shared memory behind.
fn stop(program: Program) -> Result<String> {
    program.signal(Signal::SIGQUIT)?;
    Ok(program.finish(TIMEOUT)?.stderr)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_the_highest_number() {
        let folder = tempfile::tempdir().unwrap();
        for version in ["9.6", "10", "15", "notes"] {
            let programs = folder.path().join(version).join("bin");
            fs::create_dir_all(&programs).unwrap();
            fs::write(programs.join("initdb"), "").unwrap();
        }
        // Only its data is left.
        fs::create_dir(folder.path().join("16")).unwrap();
        assert_eq!(newest(folder.path()), Some(folder.path().join("15/bin")));
        assert_eq!(newest(&folder.path().join("15")), None);
    }
}
