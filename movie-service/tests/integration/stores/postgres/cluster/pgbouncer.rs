//! A pooler in front of a cluster.

use std::net::TcpStream;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use super::daemon::{Daemon, WorkDir, free_port};
use super::primary::{Cluster, USER};
use crate::support::skipped::skip;

/// How long a client keeps its connection to the server.
#[derive(Clone, Copy, Debug)]
pub(in crate::stores) enum PoolMode {
    /// While the client is connected: the default.
    Session,
    /// For one transaction.
    Transaction,
}

/// A PgBouncer that ends with the test process at the latest.
pub(in crate::stores) struct PgBouncer {
    port: u16,
    daemon: Option<Daemon>,
    _dir: WorkDir,
}

impl PgBouncer {
    /// Starts a PgBouncer with the configuration of Debian's package, except for the address, the passwords, the mode and
    /// the size of the pool; `None`, which skips the test, if it is not installed.
    pub(in crate::stores) fn start(cluster: &Cluster, mode: PoolMode, pool_size: usize) -> Option<Self> {
        let Some(program) = program() else {
            skip("PgBouncer is missing (Debian: pgbouncer)");
            return None;
        };
        let (dir, port) = (WorkDir::new(), free_port());
        let mode = match mode {
            PoolMode::Session => "session",
            PoolMode::Transaction => "transaction",
        };
        let configuration = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = users\npool_mode = {mode}\n\
             default_pool_size = {pool_size}\n",
            cluster.port()
        );
        dir.write("pgbouncer.ini", &configuration);
        dir.write("users", &format!("\"{USER}\" \"\"\n"));
        // It has no state, and its versions differ in the signal for an immediate shutdown.
        let daemon = dir.spawn(&program, &["pgbouncer.ini"], "KILL");
        for _ in 0..1_200 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(Self { port, daemon: Some(daemon), _dir: dir });
            }
            thread::sleep(Duration::from_millis(25));
        }
        panic!("PgBouncer did not start: {}", dir.log());
    }

    /// Returns the URL of a database of the cluster through the pooler.
    pub(in crate::stores) fn url(&self, database: &str) -> String {
        let name = database.rsplit('/').next().unwrap();
        format!("postgres://{USER}@127.0.0.1:{}/{name}", self.port)
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        self.daemon.take().unwrap().end("KILL");
    }
}

/// Returns the program. Debian installs it in a folder that is not in the `PATH` of every user.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join("pgbouncer")).find(|program| program.exists())
}
