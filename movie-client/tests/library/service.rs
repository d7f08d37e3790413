// The real service, in this process. The documentation examples of the library include this file, too.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use movie_client::{Client, Config};
use movie_service::access::Access;
use movie_service::catalogue::Catalogue;
use movie_service::found::Found;
use movie_service::server::accept::listener::{Address, Listener};
use movie_service::server::serve::Server;
use movie_service::store::Store;
use movie_service::store::json;
use movie_service::store::sql::Source;
use movie_service::telemetry::store_metrics::StoreMetrics;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A movie service. It serves until it is stopped, or until the runtime ends.
pub(crate) struct Service {
    address: Address,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<io::Result<()>>,
}

/// A store, initially empty, over which several services can be started.
#[derive(Clone)]
pub(crate) struct SharedStore {
    store: Store,
    catalogue: Arc<Catalogue>,
    /// Directory of the store.
    _dir: Arc<TempDir>,
}

impl Service {
    /// Serves the seven movies of the workspace, read-only.
    pub(crate) fn read_only() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../databases/movies.json");
        let catalogue = Arc::new(Catalogue::new(json::load(&path).unwrap()));
        // The store rejects writes, not the access control.
        let access = Access::open(None, true).unwrap();
        Self::start(Server { access, ..Server::new(catalogue, Found::quiet()) })
    }

    /// Serves a new store that every caller may write.
    pub(crate) async fn writable() -> Self {
        SharedStore::with_change_log(10_000).await.start()
    }

    /// Starts a server on a free port.
    pub(crate) fn start(server: Server) -> Self {
        Self::listen(server, &Address::Tcp(([127, 0, 0, 1], 0).into()), ())
    }

    /// Starts a server on a Unix socket.
    pub(crate) fn on_socket(server: Server, path: PathBuf) -> Self {
        Self::listen(server, &Address::Unix(path), ())
    }

    /// Starts a server on an address. Keeps `kept` until the server has stopped.
    fn listen(server: Server, address: &Address, kept: impl Send + 'static) -> Self {
        let listener = Listener::bind(address).unwrap();
        let address = listener.address().unwrap();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let serving = tokio::spawn(async move {
            let _kept = kept;
            server.serve(listener, shutdown).await
        });
        Self { address, stop, serving }
    }

    /// Returns the TCP address.
    pub(crate) fn socket_address(&self) -> SocketAddr {
        let Address::Tcp(address) = self.address else { panic!("{} is no port", self.address) };
        address
    }

    /// Returns the address for a client.
    pub(crate) fn address(&self) -> movie_client::Address {
        self.address.to_string().parse().unwrap()
    }

    /// Returns a client of this service.
    pub(crate) fn client(&self) -> Client {
        Client::connect(&Config::new([self.address()])).unwrap()
    }

    /// Stops the service, and waits for its end.
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.serving.await.unwrap().unwrap();
    }
}

impl SharedStore {
    /// Creates an empty store whose change log has this capacity.
    pub(crate) async fn with_change_log(changes: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let source = Source::Sqlite(dir.path().join("movies.db"));
        let (store, catalogue) = Store::open(&source, changes, StoreMetrics::default()).await.unwrap();
        Self { store, catalogue, _dir: Arc::new(dir) }
    }

    /// Starts a service over the store that every caller may write.
    pub(crate) fn start(&self) -> Service {
        self.start_with_access(Access::open(None, true).unwrap())
    }

    /// Starts a service over the store with this access control.
    pub(crate) fn start_with_access(&self, access: Access) -> Service {
        let (store, catalogue) = (self.store.clone(), Arc::clone(&self.catalogue));
        let server = Server { store, access, ..Server::new(catalogue, Found::quiet()) };
        Service::listen(server, &Address::Tcp(([127, 0, 0, 1], 0).into()), self.clone())
    }
}
