//! A PostgreSQL server with its own data directory.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::daemon::{Daemon, WorkDir, free_port, run, try_run};
use crate::support::skipped::skip;

/// The superuser, without a password.
pub(super) const USER: &str = "movies";

/// The name of a role that needs a password. A test creates it.
pub(in crate::stores) const PROTECTED: &str = "protected";

/// Settings of every cluster. Shared memory is in the data directory, so that it is removed after a kill, too. Tests kill
/// servers, but not the operating system, so nothing has to be synced: with fsync, a standby would take seconds to start.
const SETTINGS: [&str; 5] = [
    "fsync=off",
    "listen_addresses=127.0.0.1,::1",
    "unix_socket_directories=",
    "dynamic_shared_memory_type=mmap",
    "wal_retrieve_retry_interval=100ms",
];

/// Interval and maximum number of checks of a condition.
const POLL_INTERVAL: Duration = Duration::from_millis(25);
const MAX_POLLS: usize = 1_200;

/// A server and its data directory; both end with the test process at the latest.
pub(in crate::stores) struct Cluster {
    pub(super) programs: PathBuf,
    pub(super) dir: WorkDir,
    pub(super) port: u16,
    server: Option<Daemon>,
}

/// Returns the server that the tests share, each with its own databases; `None`, which skips the test, if PostgreSQL is
/// missing.
pub(in crate::stores) fn shared() -> Option<&'static Cluster> {
    static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
    let cluster = SHARED.get_or_init(Cluster::initialize).as_ref();
    if cluster.is_none() {
        skip("the programs of a PostgreSQL server are missing (Debian: postgresql)");
    }
    cluster
}

impl Cluster {
    /// Starts a server over new data; `None`, which skips the test, if PostgreSQL is missing.
    pub(in crate::stores) fn start() -> Option<Self> {
        // Copying is several times as fast as initdb.
        let template = shared()?;
        let mut cluster = template.another();
        run(cluster.dir.command("cp").arg("-a").arg(template.dir.path().join("template")).arg("data"));
        cluster.serve();
        Some(cluster)
    }

    /// Initializes a data directory, the template of all others, and starts a server over a copy.
    fn initialize() -> Option<Self> {
        let mut cluster = Self::new(programs()?);
        let mut initdb = cluster.command("initdb");
        initdb.args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]);
        run(initdb.args(["--username", USER, "template"]));
        // The first line that matches a role decides how it is authenticated.
        let rules = cluster.dir.path().join("template/pg_hba.conf");
        let others = fs::read_to_string(&rules).unwrap();
        fs::write(rules, format!("host all {PROTECTED} all scram-sha-256\n{others}")).unwrap();
        run(cluster.dir.command("cp").args(["-a", "template", "data"]));
        cluster.serve();
        Some(cluster)
    }

    fn new(programs: PathBuf) -> Self {
        Self { programs, dir: WorkDir::new(), port: free_port(), server: None }
    }

    /// Returns another cluster, without data.
    pub(super) fn another(&self) -> Self {
        Self::new(self.programs.clone())
    }

    /// Starts the server, always on the same port.
    pub(in crate::stores) fn serve(&mut self) {
        let port = self.port.to_string();
        let mut args = vec!["-D", "data", "-p", &port];
        args.extend(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
        // SIGQUIT: immediate shutdown, which kills hanging child processes after five seconds.
        self.server = Some(self.dir.spawn(&self.programs.join("postgres"), &args, "QUIT"));
        let is_ready = || {
            let mut ready = self.command("pg_isready");
            ready.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
            ready.status().unwrap().success()
        };
        assert!(poll(is_ready), "PostgreSQL did not start: {}", self.dir.log());
    }

    /// Stops the server, which ends all connections. Its data stay.
    pub(in crate::stores) fn stop(&mut self) {
        self.server.take().unwrap().end("INT");
    }

    /// Kills all processes of the server.
    pub(in crate::stores) fn kill(&mut self) {
        self.server.take().unwrap().kill();
        // The id of the shared memory segment with which a server detects another server on the same data. It outlives a
        // killed server, unless another server has removed it.
        let state = fs::read_to_string(self.dir.path().join("data/postmaster.pid")).unwrap();
        let segment = state.lines().nth(6).and_then(|line| line.split_whitespace().last());
        let _ = try_run(self.dir.command("ipcrm").args(["-m", segment.unwrap()]));
    }

    /// Stops all processes of the server with SIGSTOP: connections stay open, and get no response.
    pub(in crate::stores) fn suspend(&self) {
        self.server.as_ref().unwrap().suspend();
    }

    /// Continues a suspended server.
    pub(in crate::stores) fn resume(&self) {
        self.server.as_ref().unwrap().resume();
    }

    /// Creates a database, and returns its URL.
    pub(in crate::stores) fn database(&self) -> String {
        self.database_with("")
    }

    /// Creates a database with options of `CREATE DATABASE`, and returns its URL.
    pub(in crate::stores) fn database_with(&self, options: &str) -> String {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("movies_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name} {options}"));
        format!("postgres://{USER}@{}/{name}", self.address())
    }

    /// Returns the host and the port, as in a URL.
    pub(in crate::stores) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns the port.
    pub(in crate::stores) fn port(&self) -> u16 {
        self.port
    }

    /// Copies a database, which may be in use; returns the URL of the copy.
    pub(in crate::stores) fn copy(&self, url: &str) -> String {
        let copy = self.database();
        let dump = run(self.client("pg_dump").arg(name(url)));
        let mut psql = self.client("psql");
        psql.args(["-q", "-v", "ON_ERROR_STOP=1", "-d", name(&copy)]);
        let mut psql = psql.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        psql.stdin.take().unwrap().write_all(dump.as_bytes()).unwrap();
        assert!(psql.wait().unwrap().success());
        copy
    }

    /// Ends all connections to two databases and exchanges their names.
    pub(in crate::stores) fn exchange(&self, one: &str, other: &str) {
        let names = [name(one), name(other)];
        for name in names {
            // A database with connections cannot be renamed.
            self.sql("postgres", &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"));
            let end = format!(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{name}'"
            );
            self.sql("postgres", &end);
        }
        let [one, other] = names;
        let spare = format!("{one}_spare");
        for (from, to) in [(one, &*spare), (other, one), (&spare, other)] {
            self.sql("postgres", &format!("ALTER DATABASE {from} RENAME TO {to}"));
        }
        for name in names {
            self.sql("postgres", &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true"));
        }
    }

    /// Runs a statement in a database, given by its name or URL; returns what it prints.
    pub(in crate::stores) fn sql(&self, database: &str, statement: &str) -> String {
        self.try_sql(database, statement).unwrap_or_else(|errors| panic!("{statement}: {errors}"))
    }

    /// Runs a statement that may fail; the error is the message of the server.
    pub(in crate::stores) fn try_sql(&self, database: &str, statement: &str) -> Result<String, String> {
        let mut psql = self.client("psql");
        psql.args(["-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-d", name(database), "-c", statement]);
        try_run(&mut psql)
    }

    /// Waits until a query returns `expected`.
    pub(super) fn wait_until(&self, query: &str, expected: &str) {
        assert!(poll(|| self.sql("postgres", query).trim() == expected), "{query} is not {expected}");
    }

    /// Returns a command that runs a program of PostgreSQL.
    fn command(&self, program: &str) -> Command {
        self.dir.command(self.programs.join(program))
    }

    /// Returns a command that runs a client program, connected to the server.
    pub(super) fn client(&self, program: &str) -> Command {
        let mut command = self.command(program);
        command.args(["-h", "127.0.0.1", "-U", USER, "-p", &self.port.to_string()]);
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.resume();
            server.end("QUIT");
        }
    }
}

/// Checks a condition until it is met; returns whether it was.
fn poll(mut condition: impl FnMut() -> bool) -> bool {
    (0..MAX_POLLS).any(|_| {
        condition() || {
            thread::sleep(POLL_INTERVAL);
            false
        }
    })
}

/// Returns the name of a database, given by its name or URL.
fn name(database: &str) -> &str {
    database.rsplit('/').next().unwrap()
}

/// Returns the folder with the programs of PostgreSQL.
fn programs() -> Option<PathBuf> {
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let installed = installed.map(|version| version.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let needed = ["initdb", "pg_basebackup", "pg_dump", "pg_isready", "postgres", "psql"];
    let mut folders = std::env::split_paths(&path).chain(installed);
    folders.find(|folder: &PathBuf| needed.iter().all(|program| Path::join(folder, program).exists()))
}
