//! The databases of the Compose file without containers: its scripts and its configuration of `PgBouncer`, with two services.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::bench::process;
use crate::build::{self, Build};
use crate::deploy::example;
use crate::postgres::ServerFolder;
use crate::program::{self, Program};
use crate::service::Service;
use crate::{http, wait};

/// Time for a step: a program starts, or a node follows a failover.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Passwords, of the users `films` and `replicator`.
const PASSWORD: &str = "secret1";
const REPLICATION_PASSWORD: &str = "secret2";

/// Tests the databases; returns why not if a program is missing.
///
/// # Errors
///
/// If a step fails.
pub(super) fn test(build: &Build) -> Result<Option<String>> {
    let [pgbouncer] = match build::programs([("pgbouncer", "pgbouncer")]) {
        Ok(found) => found,
        Err(missing) => return Ok(Some(missing.to_string())),
    };
    let mut servers = match ServerFolder::new() {
        Ok(folder) => Servers::new(&build.root.join("deploy/compose"), folder)?,
        Err(missing) => return Ok(Some(missing.to_string())),
    };
    servers.start_primary()?;
    servers.start_standby()?;
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
        program::run(client.args(args).args(["--address", &node.address.to_string()]), TIMEOUT).map(drop)
    };
    // With the id as that of the request, a create whose outcome was lost can be repeated.
    let create = |id: &str| {
        let head = format!("POST /v1/movies\r\ncontent-type: application/json\r\nidempotency-key: {id}");
        let movie = json!({ "id": id, "title": id }).to_string();
        let (status, response) = http::exchange(nodes[0].address, &head, &movie)?;
        ensure!(status == 201, "the status is {status}: {response}");
        Ok(())
    };
    let get = |node: &Service, id: &str| call(node, &["get", id]);

    create("before")?;
    wait::until("another node serves a write", TIMEOUT, || get(&nodes[1], "before"))?;

    servers.stop("primary")?;
    for node in &nodes {
        get(node, "before").context("a node without its primary")?;
    }
    let refused = create("meanwhile").err().context("a write is acknowledged without a primary")?.to_string();
    // Read-only, if the node has found the standby already.
    let reasons = ["STORE_UNAVAILABLE", "STORE_READ_ONLY", "OUTCOME_UNKNOWN"];
    ensure!(
        reasons.iter().any(|reason| refused.contains(reason)),
        "a write without a primary fails for another reason: {refused}"
    );

    servers.control("standby", &["promote"])?;
    let promoted = Instant::now();
    wait::until("a node writes to the new primary", TIMEOUT, || create("after"))?;
    let elapsed = promoted.elapsed().as_millis();
    wait::until("another node serves the write", TIMEOUT, || get(&nodes[1], "after"))?;
    println!(
        "Compose: its databases replicate and fail over; a write succeeds {elapsed} ms after the promotion"
    );

    for node in nodes {
        node.stop()?;
    }
    drop(pgbouncers);
    servers.stop("standby")?;
    Ok(None)
}

/// Two PostgreSQL servers and a `PgBouncer` before each, in a folder. The servers are stopped when this is dropped.
struct Servers {
    folder: ServerFolder,
    /// The servers that run, each with the folder of its data.
    running: Vec<(&'static str, Program)>,
    /// Of the primary and the standby.
    postgres: [SocketAddr; 2],
    pgbouncers: [SocketAddr; 2],
}

impl Servers {
    /// Copies the files of the Compose file to where every user can read them.
    fn new(compose: &Path, folder: ServerFolder) -> Result<Self> {
        for file in ["postgres/primary.sh", "postgres/standby.sh", "pgbouncer.ini"] {
            let name = file.rsplit('/').next().unwrap_or(file);
            fs::copy(compose.join(file), folder.path(name)).with_context(|| format!("copy {file}"))?;
        }
        fs::write(folder.path("password"), PASSWORD)?;
        let [first, second, third, fourth] = process::free_addresses()?;
        Ok(Self { folder, running: Vec::new(), postgres: [first, second], pgbouncers: [third, fourth] })
    }

    /// Creates and starts the primary as the image of PostgreSQL does, with the script of the Compose file.
    fn start_primary(&mut self) -> Result<()> {
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
        postgres.args(self.listening(0));
        self.start("primary", &mut postgres, "ready to accept connections")?;

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
        self.control("primary", &["reload"])
    }

    /// Starts the standby with the script of the Compose file.
    fn start_standby(&mut self) -> Result<()> {
        let mut script = self.command("bash");
        script.arg("standby.sh").env("PGDATA", self.path("standby")).env("PRIMARY", "127.0.0.1");
        script.env("PRIMARY_PORT", self.postgres[0].port().to_string());
        script.env("REPLICATION_PASSWORD", REPLICATION_PASSWORD);
        script.args(self.listening(1));
        self.start("standby", &mut script, "ready to accept read-only connections")
    }

    /// Starts a server, and waits until it says that it is ready.
    fn start(&mut self, data: &'static str, command: &mut Command, ready: &str) -> Result<()> {
        self.running.push((data, Program::start(command)?));
        let [.., (_, server)] = self.running.as_slice() else { return Ok(()) };
        server.wait_for(ready, TIMEOUT).map(drop)
    }

    /// Stops a server, and waits until it has ended.
    fn stop(&mut self, data: &str) -> Result<()> {
        self.control(data, &["stop", "--mode", "fast"])?;
        let index = self.running.iter().position(|(running, _)| *running == data);
        let (_, server) = self.running.remove(index.with_context(|| format!("the {data} does not run"))?);
        server.finish(TIMEOUT).map(drop)
    }

    /// Starts a `PgBouncer` with the configuration of the Compose file.
    fn start_pgbouncer(&self, program: &Path, server: usize) -> Result<Program> {
        let name = format!("pgbouncer{server}");
        let folder = self.folder.create(&name)?;
        let port = self.postgres[server].port();
        fs::write(
            folder.join("databases.ini"),
            format!("[databases]\nfilms = host=127.0.0.1 port={port}\n"),
        )?;
        fs::write(folder.join("users.txt"), format!("\"films\" \"{PASSWORD}\"\n"))?;
        let port = self.pgbouncers[server].port();
        let substitutes = vec![
            ("/etc/pgbouncer/", format!("{}/", folder.display())),
            ("listen_addr = *\nlisten_port = 6432", format!("listen_addr = 127.0.0.1\nlisten_port = {port}")),
        ];
        let settings = folder.join("pgbouncer.ini");
        example::write(&self.folder.path("pgbouncer.ini"), &substitutes, &settings)?;
        let mut pgbouncer = self.command(program);
        let pgbouncer = Program::start(pgbouncer.arg(settings))?;
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
        let programs = self.folder.programs();
        let own = programs.join(program.as_ref());
        let mut path = OsString::from(programs);
        path.push(":");
        path.push(env::var_os("PATH").unwrap_or_default());
        let mut command =
            self.folder.as_user(Command::new(if own.exists() { &own } else { program.as_ref() }));
        command.env("PATH", path);
        command
    }

    /// Returns the options of PostgreSQL for where a server listens.
    fn listening(&self, server: usize) -> [String; 6] {
        let port = self.postgres[server].port().to_string();
        ["-h", "127.0.0.1", "-k", &self.path(""), "-p", &port].map(str::to_owned)
    }

    fn path(&self, name: &str) -> String {
        self.folder.path(name).display().to_string()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for (data, server) in self.running.drain(..).rev() {
            // An error means that it does not run; otherwise it is killed.
            let mut stop = self.folder.command("pg_ctl");
            stop.args(["--silent", "--pgdata", data, "stop", "--mode", "immediate"]);
            let _ = program::run(&mut stop, TIMEOUT);
            drop(server);
        }
    }
}
