//! The databases of the Compose file without containers: its scripts and its configuration of `PgBouncer`, with two services.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::bench::process;
use crate::deploy::build::{self, Build};
use crate::program::{self, Program};
use crate::service::Service;

/// Time for a step: a program starts, or a node follows a failover.
const TIMEOUT: Duration = Duration::from_mins(1);

/// The user `nobody`: PostgreSQL refuses to run as root.
const NOBODY: u32 = 65_534;

/// Passwords, of the users `films` and `replicator`.
const PASSWORD: &str = "secret1";
const REPLICATION_PASSWORD: &str = "secret2";

/// Tests the databases; returns why not if a program is missing.
///
/// # Errors
///
/// If a step fails.
pub(super) fn test(build: &Build) -> Result<Option<String>> {
    let Some(postgres) = newest_postgres()? else {
        return Ok(Some("no PostgreSQL; on Debian, install the package postgresql".to_owned()));
    };
    let Some(pgbouncer) = build::find("pgbouncer") else {
        return Ok(Some("no PgBouncer; on Debian, install the package pgbouncer".to_owned()));
    };
    let servers = Servers::new(&build.root.join("deploy/compose"), postgres)?;
    let primary = servers.start_primary()?;
    let standby = servers.start_standby()?;
    let [first, second] = [0, 1].map(|server| servers.start_pgbouncer(&pgbouncer, server));
    let pgbouncers = [first?, second?];

    let node = || {
        let mut service = Command::new(build.service());
        service.args(["--listen", "127.0.0.1:0", "--allow-anonymous-writes", "--quiet"]);
        Service::start(service.env("MOVIE_DATABASE", servers.url()))
    };
    let nodes = [node()?, node()?];
    let call = |node: &Service, args: &[&str]| {
        let mut client = Command::new(build.client());
        program::run(client.args(args).args(["--address", &node.address]), TIMEOUT)
    };
    let create = |id: &str| call(&nodes[0], &["create", "--id", id, "--title", id, "--tries", "1"]);
    let get = |node: &Service, id: &str| call(node, &["get", id]);

    create("before")?;
    eventually("another node serves a write", || get(&nodes[1], "before").map(drop))?;

    servers.control("primary", &["stop", "--mode", "fast"])?;
    primary.finish(TIMEOUT)?;
    for node in &nodes {
        get(node, "before").context("a node without its primary")?;
    }
    ensure!(create("meanwhile").is_err(), "a write is acknowledged without a primary");

    servers.control("standby", &["promote"])?;
    let promoted = Instant::now();
    eventually("a node writes to the new primary", || create("after").map(drop))?;
    let elapsed = promoted.elapsed().as_millis();
    eventually("another node serves the write", || get(&nodes[1], "after").map(drop))?;
    println!(
        "Compose: its databases replicate and fail over; a write succeeds {elapsed} ms after the promotion"
    );

    for node in nodes {
        node.stop()?;
    }
    drop(pgbouncers);
    servers.control("standby", &["stop", "--mode", "fast"])?;
    standby.finish(TIMEOUT).map(|_| None)
}

/// Two PostgreSQL servers and a `PgBouncer` before each, in a folder. The servers are stopped when this is dropped.
struct Servers {
    folder: TempDir,
    /// Programs of PostgreSQL.
    programs: PathBuf,
    /// Of the primary and the standby.
    postgres: [SocketAddr; 2],
    pgbouncers: [SocketAddr; 2],
}

impl Servers {
    /// Copies the files of the Compose file to where every user can read them.
    fn new(compose: &Path, programs: PathBuf) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        for file in ["postgres/primary.sh", "postgres/standby.sh", "pgbouncer.ini"] {
            let name = Path::new(file).file_name().context("a file without a name")?;
            fs::copy(compose.join(file), folder.path().join(name)).with_context(|| format!("copy {file}"))?;
        }
        fs::write(folder.path().join("password"), PASSWORD)?;
        chown(folder.path(), Some(NOBODY), Some(NOBODY))?;
        let [first, second, third, fourth] = process::free_addresses()?;
        Ok(Self { folder, programs, postgres: [first, second], pgbouncers: [third, fourth] })
    }

    /// Creates and starts the primary as the image of PostgreSQL does, with the script of the Compose file.
    fn start_primary(&self) -> Result<Program> {
        let mut initdb = self.command("initdb");
        initdb.args([
            "--username=films",
            "--auth-local=trust",
            "--auth-host=scram-sha-256",
            "--pwfile=password",
        ]);
        program::run(initdb.arg("primary"), TIMEOUT)?;
        let mut postgres = self.command("postgres");
        postgres.args(["-D", "primary", "-c", "max_slot_wal_keep_size=1GB"]);
        let primary = Program::start(postgres.args(self.listening(0)))?;
        primary.wait_for("ready to accept connections", TIMEOUT)?;

        let socket = [("PGHOST", self.path("")), ("PGPORT", self.postgres[0].port().to_string())];
        program::run(
            self.command("createdb").args(["--username=films", "films"]).envs(socket.clone()),
            TIMEOUT,
        )?;
        let mut script = self.command("bash");
        script.arg("primary.sh").envs(socket).env("PGDATA", self.path("primary"));
        script.env("POSTGRES_USER", "films").env("POSTGRES_DB", "films");
        program::run(script.env("REPLICATION_PASSWORD", REPLICATION_PASSWORD), TIMEOUT)?;
        // The image restarts the server after its scripts.
        self.control("primary", &["reload"])?;
        Ok(primary)
    }

    /// Starts the standby with the script of the Compose file.
    fn start_standby(&self) -> Result<Program> {
        let mut script = self.command("bash");
        script.arg("standby.sh").env("PGDATA", self.path("standby")).env("PRIMARY", "127.0.0.1");
        script.env("PRIMARY_PORT", self.postgres[0].port().to_string());
        script.env("REPLICATION_PASSWORD", REPLICATION_PASSWORD);
        let standby = Program::start(script.args(self.listening(1)))?;
        standby.wait_for("ready to accept read-only connections", TIMEOUT)?;
        Ok(standby)
    }

    /// Starts a `PgBouncer` with the configuration of the Compose file.
    fn start_pgbouncer(&self, program: &Path, server: usize) -> Result<Program> {
        let folder = self.folder.path().join(format!("pgbouncer{server}"));
        fs::create_dir(&folder)?;
        let port = self.postgres[server].port();
        fs::write(
            folder.join("databases.ini"),
            format!("[databases]\nfilms = host=127.0.0.1 port={port}\n"),
        )?;
        fs::write(folder.join("users.txt"), format!("\"films\" \"{PASSWORD}\"\n"))?;
        let settings = fs::read_to_string(self.folder.path().join("pgbouncer.ini"))?;
        let settings = settings.replace("/etc/pgbouncer/", &format!("{}/", folder.display()));
        let here = format!("listen_addr = 127.0.0.1\nlisten_port = {}", self.pgbouncers[server].port());
        let placed = settings.replace("listen_addr = *\nlisten_port = 6432", &here);
        ensure!(placed != settings, "pgbouncer.ini has another address");
        fs::write(folder.join("pgbouncer.ini"), placed)?;
        let mut pgbouncer = self.command(program);
        let pgbouncer = Program::start(pgbouncer.arg(folder.join("pgbouncer.ini")))?;
        pgbouncer.wait_for("process up", TIMEOUT)?;
        Ok(pgbouncer)
    }

    /// Returns the URL of the database, as the Compose file has it.
    fn url(&self) -> String {
        let [first, second] = self.pgbouncers;
        format!("postgres://films:{PASSWORD}@{first},{second}/films")
    }

    /// Runs `pg_ctl` for one of the servers.
    fn control(&self, data: &str, args: &[&str]) -> Result<()> {
        program::run(self.command("pg_ctl").args(["--silent", "--pgdata", data]).args(args), TIMEOUT)
            .map(drop)
    }

    /// Returns a command in the folder, under a user that PostgreSQL accepts.
    fn command(&self, program: impl AsRef<Path>) -> Command {
        let path = env::var_os("PATH").unwrap_or_default();
        let mut programs = OsString::from(&self.programs);
        programs.push(":");
        programs.push(path);
        let own = self.programs.join(program.as_ref());
        let mut command = Command::new(if own.exists() { &own } else { program.as_ref() });
        command.current_dir(self.folder.path()).env("PATH", programs).uid(NOBODY).gid(NOBODY);
        command
    }

    /// Returns the options of PostgreSQL for where a server listens.
    fn listening(&self, server: usize) -> [String; 6] {
        let port = self.postgres[server].port().to_string();
        ["-h", "127.0.0.1", "-k", &self.path(""), "-p", &port].map(str::to_owned)
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for data in ["standby", "primary"] {
            // An error means that it does not run.
            let _ = self.control(data, &["stop", "--mode", "immediate"]);
        }
    }
}

/// Repeats a step until it succeeds.
fn eventually(what: &str, step: impl Fn() -> Result<()>) -> Result<()> {
    let started = Instant::now();
    loop {
        match step() {
            Ok(()) => return Ok(()),
            Err(error) if started.elapsed() > TIMEOUT => return Err(error.context(what.to_owned())),
            Err(_) => thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Returns the folder of the programs of the newest PostgreSQL.
fn newest_postgres() -> Result<Option<PathBuf>> {
    let Ok(versions) = fs::read_dir("/usr/lib/postgresql") else { return Ok(None) };
    let mut found = Vec::new();
    for version in versions {
        let version = version?;
        let number = version.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        found.extend(number.map(|number| (number, version.path().join("bin"))));
    }
    Ok(found
        .into_iter()
        .filter(|(_, programs)| programs.join("initdb").exists())
        .max()
        .map(|(_, programs)| programs))
}
