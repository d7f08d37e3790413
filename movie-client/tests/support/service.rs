// The real service, in this process. The documentation examples and the unit tests of the library include this file, too.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, LazyLock, mpsc};
use std::thread;
use std::time::Duration;

use movie_client::{Client, Config};
use movie_service::access::Access;
use movie_service::catalogue::{Catalogue, Snapshot};
use movie_service::found::FoundPrinter;
use movie_service::server::accept::listener::{Address, Listener};
use movie_service::server::accept::tls::{Tls, TlsFiles};
use movie_service::server::serve::Server;
use movie_service::store::Store;
use movie_service::store::json;
use movie_service::store::sql::SqlSource;
use movie_service::telemetry::store_metrics::StoreMetrics;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// The runtime of all services and stores, which does not end with the runtime of a test.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// A running service. Dropping it stops it, and waits for its end.
pub(crate) struct Service {
    pub(crate) address: Address,
    /// `None` only while the service is dropped.
    stop: Option<oneshot::Sender<()>>,
    ended: mpsc::Receiver<io::Result<()>>,
    /// Keeps the store's directory.
    _store: Option<SharedStore>,
}

/// A SQLite store in a temporary directory, initially empty, over which several services can be started.
#[derive(Clone)]
pub(crate) struct SharedStore {
    store: Store,
    catalogue: Arc<Catalogue>,
    _dir: Arc<TempDir>,
}

impl Service {
    /// Serves movies, read-only.
    pub(crate) fn of(movies: Snapshot) -> Self {
        Self::start(read_only(movies))
    }

    /// Serves a database of the workspace, read-only.
    pub(crate) fn read_only(database: &str) -> Self {
        Self::of(load(database))
    }

    /// Serves a database of the workspace to callers with these tokens, in the format of a tokens file.
    pub(crate) fn with_tokens(database: &str, lines: &str) -> Self {
        Self::start(Server { access: access(lines), ..read_only(load(database)) })
    }

    /// Serves a database of the workspace with TLS.
    pub(crate) fn with_tls(database: &str, files: TlsFiles) -> Self {
        Self::start(Server { tls: Some(Tls::load(files, false).unwrap()), ..read_only(load(database)) })
    }

    /// Serves an empty store that every caller may write.
    pub(crate) fn writable() -> Self {
        SharedStore::with_change_log(100_000).start()
    }

    /// Starts a server on a free port.
    pub(crate) fn start(server: Server) -> Self {
        Self::start_on(free_port(), server, None)
    }

    /// Starts a server on a Unix socket.
    pub(crate) fn start_on_socket(path: &Path, server: Server) -> Self {
        Self::start_on(Address::Unix(path.to_owned()), server, None)
    }

    fn start_on(address: Address, server: Server, store: Option<SharedStore>) -> Self {
        let (end, ended) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let address = wait(async move {
            let listener = Listener::bind(&address).unwrap();
            let address = listener.address().unwrap();
            let stopped = async { stopped.await.unwrap_or_default() };
            RUNTIME.spawn(async move {
                let ended = server.serve(listener, stopped).await;
                if let Err(error) = &ended {
                    eprintln!("the service ended: {error}");
                }
                end.send(ended)
            });
            address
        });
        Self { address, stop: Some(stop), ended, _store: store }
    }

    /// Returns a client of this service.
    pub(crate) fn client(&self) -> Client {
        Client::connect(&Config::new([self.address.to_string().parse().unwrap()])).unwrap()
    }

    /// Returns the TCP address.
    pub(crate) fn socket_address(&self) -> SocketAddr {
        let Address::Tcp(address) = self.address else { panic!("{} is not a TCP address", self.address) };
        address
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop = None;
        assert!(thread::panicking() || matches!(self.ended.recv(), Ok(Ok(()))), "the service failed");
    }
}

impl SharedStore {
    /// Creates an empty store whose change log has this capacity.
    pub(crate) fn with_change_log(changes: usize) -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let source = SqlSource::Sqlite(dir.path().join("movies.db"));
        let opened = wait(async move { Store::open(&source, changes, StoreMetrics::default()).await });
        let (store, catalogue) = opened.unwrap();
        Self { store, catalogue, _dir: dir }
    }

    /// Starts a service over the store that every caller may write.
    pub(crate) fn start(&self) -> Service {
        self.start_with_access(Access::open(None, true).unwrap())
    }

    /// Starts a service over the store with this access control.
    pub(crate) fn start_with_access(&self, access: Access) -> Service {
        let server = Server { store: self.store.clone(), access, ..server(Arc::clone(&self.catalogue)) };
        Service::start_on(free_port(), server, Some(self.clone()))
    }
}

fn free_port() -> Address {
    Address::Tcp(([127, 0, 0, 1], 0).into())
}

/// A server without movies.
pub(crate) fn empty() -> Server {
    server(Arc::new(Catalogue::new(Snapshot::default())))
}

/// Loads a database of the workspace.
fn load(database: &str) -> Snapshot {
    json::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../databases").join(database)).unwrap()
}

/// A read-only server of movies.
fn read_only(movies: Snapshot) -> Server {
    // The store rejects writes, not the access control.
    let access = Access::open(None, true).unwrap();
    Server { access, store: Store::read_only("json"), ..server(Arc::new(Catalogue::new(movies))) }
}

/// A server that shuts down without waiting for calls.
fn server(catalogue: Arc<Catalogue>) -> Server {
    Server { grace: Duration::ZERO, ..Server::new(catalogue, FoundPrinter::quiet()) }
}

/// Access control with these tokens, in the format of a tokens file.
pub(crate) fn access(lines: &str) -> Access {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, lines).unwrap();
    Access::open(Some(file.path()), false).unwrap()
}

/// Runs a future on the runtime of the services, and waits for its result.
fn wait<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    let (send, result) = mpsc::channel();
    RUNTIME.spawn(async move { send.send(future.await) });
    result.recv().unwrap()
}
