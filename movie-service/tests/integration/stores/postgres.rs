//! A PostgreSQL server of the tests' own, if its programs are on this machine.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// Who runs the server if the tests are run by root, for whom it does not run: `nobody`.
const NOBODY: u32 = 65_534;

/// A server that ends with this process at the latest.
pub(super) struct Cluster {
    programs: PathBuf,
    dir: TempDir,
    port: u16,
    server: Option<Child>,
}

/// Returns a server that all tests share; `None`, and says so, if there are no programs for one.
pub(super) fn shared() -> Option<&'static Cluster> {
    static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
    SHARED.get_or_init(Cluster::start).as_ref()
}

impl Cluster {
    /// Starts a server; `None`, and says so, if there are no programs for one.
    pub(super) fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            // Past the test harness, which shows what is printed by failed tests only.
            let _ = writeln!(std::io::stderr(), "skipped: there are no programs of a PostgreSQL server");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        if is_root(dir.path()) {
            chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut cluster = Self { programs, dir, port, server: None };
        let mut init = cluster.command("initdb");
        init.args(["--auth=trust", "--username=movies", "--encoding=UTF8", "--locale=C", "--no-sync", "-D"]);
        run(init.arg(cluster.dir.path().join("data")));
        cluster.serve();
        Some(cluster)
    }

    /// Starts the server again, on the same port.
    pub(super) fn serve(&mut self) {
        // The server ends at a line or at the end of the shell's standard input, which is ours: whatever becomes of this
        // process. Only a line keeps the data, since nothing drops what is shared by all tests.
        let script = "\"$@\" & server=$!; read -r _; kept=$?; kill -INT $server; wait $server; \
            [ $kept = 0 ] || rm -rf \"$PWD\"";
        let mut command = self.as_server("sh");
        command.args(["-c", script, "sh"]).arg(self.programs.join("postgres")).arg("-D");
        command.arg(self.dir.path().join("data")).args(["-p", &self.port.to_string()]);
        command.args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]);
        let server = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.server = Some(server.unwrap());
        for _ in 0..600 {
            let mut ready = self.command("pg_isready");
            ready.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
            if ready.status().unwrap().success() {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("PostgreSQL did not start");
    }

    /// Stops the server at once, ending all connections. Its data stay.
    pub(super) fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.stdin.take().unwrap().write_all(b"stop\n").unwrap();
            server.wait().unwrap();
        }
    }

    /// Makes a database, and returns its URL.
    pub(super) fn database(&self) -> String {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("movies_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        format!("postgres://movies@127.0.0.1:{}/{name}", self.port)
    }

    /// Runs statements in a database, which its name or URL says; returns what they print.
    pub(super) fn sql(&self, database: &str, statements: &str) -> String {
        let name = database.rsplit('/').next().unwrap();
        let mut psql = self.command("psql");
        psql.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "movies", "-d", name]);
        run(psql.args(["-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-c", statements]))
    }

    fn command(&self, program: &str) -> Command {
        self.as_server(self.programs.join(program))
    }

    fn as_server(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        if fs::metadata(self.dir.path()).unwrap().uid() == NOBODY {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.current_dir(self.dir.path());
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Returns the folder with the programs of a server.
fn programs() -> Option<PathBuf> {
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let installed = installed.map(|version| version.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let needed = ["initdb", "pg_isready", "postgres", "psql"];
    let mut folders = std::env::split_paths(&path).chain(installed);
    folders.find(|folder| needed.iter().all(|program| folder.join(program).exists()))
}

fn is_root(own: &Path) -> bool {
    fs::metadata(own).unwrap().uid() == 0
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
