//! Services on threads of this process, and the client program.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use movie_service::access::Access;
use movie_service::catalogue::Catalogue;
use movie_service::found::Found;
use movie_service::server::accept::listener::{Address, Listener};
use movie_service::server::accept::tls::{Tls, TlsFiles};
use movie_service::server::serve::Server;
use movie_service::store::Store;
use movie_service::store::json;
use movie_service::store::sql::Source;
use movie_service::telemetry::store_metrics::StoreMetrics;
use tokio::process::Command;
use tokio::runtime;
use tokio::sync::oneshot;

/// Address without a listener. The operating system never assigns this port.
pub(crate) const UNREACHABLE_ADDRESS: &str = "127.0.0.1:1";

/// The real service. It stops when it is dropped.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Service {
    /// Serves a database of the workspace, read-only.
    pub(crate) fn of(name: &str) -> Self {
        let server = read_only(name);
        Self::start(async || server)
    }

    /// Serves a database of the workspace to callers with these tokens, in the format of a tokens file.
    pub(crate) fn with_tokens(name: &str, lines: &str) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, lines).unwrap();
        let access = Access::open(Some(file.path()), false).unwrap();
        let server = Server { access, ..read_only(name) };
        Self::start(async || server)
    }

    /// Serves a database of the workspace with TLS.
    pub(crate) fn with_tls(name: &str, files: TlsFiles) -> Self {
        let server = Server { tls: Some(Tls::load(files, false).unwrap()), ..read_only(name) };
        Self::start(async || server)
    }

    /// Serves the SQLite store in a directory, which is created if necessary. Every caller may write.
    pub(crate) fn writable(directory: &Path) -> Self {
        let source = Source::Sqlite(directory.join("movies.db"));
        Self::start(async move || {
            let (store, catalogue) = Store::open(&source, 100_000, StoreMetrics::default()).await.unwrap();
            let access = Access::open(None, true).unwrap();
            Server { store, access, ..quiet(catalogue) }
        })
    }

    fn start(server: impl AsyncFnOnce() -> Server + Send + 'static) -> Self {
        let (listening, address) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let serve = async move || {
            let server = server().await;
            let listener = Listener::bind(&Address::Tcp(([127, 0, 0, 1], 0).into())).unwrap();
            let Address::Tcp(address) = listener.address().unwrap() else { panic!("not TCP") };
            listening.send(address).unwrap();
            let stopped = async { stopped.await.unwrap_or_default() };
            server.serve(listener, stopped).await.unwrap();
        };
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let thread = thread::spawn(move || runtime.block_on(serve()));
        Self { address: address.recv().unwrap(), running: Some((stop, thread)) }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            drop(stop);
            thread.join().unwrap();
        }
    }
}

/// A server over a database of the workspace.
fn read_only(name: &str) -> Server {
    let movies = json::load(&workspace("databases").join(name)).unwrap();
    let store = Store::read_only("json");
    // The store rejects writes, not the access control.
    let access = Access::open(None, store.is_read_only()).unwrap();
    Server { store, access, ..quiet(Arc::new(Catalogue::new(movies))) }
}

/// A server that shuts down without waiting for calls.
fn quiet(catalogue: Arc<Catalogue>) -> Server {
    Server { grace: Duration::ZERO, ..Server::new(catalogue, Found::quiet()) }
}

/// Returns the address of a service over a database of the workspace, which all tests share.
pub(crate) fn over(name: &'static str) -> SocketAddr {
    static SERVICES: Mutex<BTreeMap<&str, Service>> = Mutex::new(BTreeMap::new());
    SERVICES.lock().unwrap().entry(name).or_insert_with(|| Service::of(name)).address
}

/// Returns the path of a file of the workspace.
pub(crate) fn workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Returns the command that runs the client, without environment variables of the test run.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_movie-client"));
    let names = env::vars_os().map(|(name, _)| name);
    for name in names.filter(|name| name == "NO_COLOR" || name.to_string_lossy().starts_with("MOVIE_")) {
        command.env_remove(name);
    }
    command.kill_on_drop(true);
    command
}

/// Returns the command that runs the client against an address.
pub(crate) fn client(address: &impl ToString) -> Command {
    let mut command = program();
    command.args(["--address", &address.to_string()]);
    command
}

/// Output and exit code of a command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a command to its end.
pub(crate) async fn outcome(command: &mut Command) -> Outcome {
    // Only guards against hanging.
    let output = tokio::time::timeout(Duration::from_secs(30), command.output()).await;
    let output = output.expect("the client did not end").unwrap();
    Outcome {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
