// The real service, in this process. The examples in the library's documentation include this file, too.

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

/// A movie service. It serves until it is stopped or the runtime ends.
pub(crate) struct Service {
    address: Address,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<io::Result<()>>,
}

/// A store of its own, empty at first, that services can be started over.
#[derive(Clone)]
pub(crate) struct SharedStore {
    store: Store,
    catalogue: Arc<Catalogue>,
    /// Where the store is.
    _dir: Arc<TempDir>,
}

impl Service {
    /// Serves the seven movies of the workspace, which cannot be changed.
    pub(crate) fn read_only() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../databases/movies.json");
        let catalogue = Arc::new(Catalogue::new(json::load(&path).unwrap()));
        // What says that the movies cannot be changed is the store.
        let access = Access::open(None, true).unwrap();
        Self::start(Server { access, ..Server::new(catalogue, Found::quiet()) })
    }

    /// Serves a store of its own that everybody may change.
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

    /// Serves for as long as it may, and keeps what has to be kept as long.
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

    /// Returns where it listens, if that is no Unix socket.
    pub(crate) fn socket_address(&self) -> SocketAddr {
        let Address::Tcp(address) = self.address else { panic!("{} is no port", self.address) };
        address
    }

    /// Returns where it listens, as a client names it.
    pub(crate) fn address(&self) -> movie_client::Address {
        self.address.to_string().parse().unwrap()
    }

    /// Returns a client of it.
    pub(crate) fn client(&self) -> Client {
        Client::connect(&Config::new([self.address()])).unwrap()
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.serving.await.unwrap().unwrap();
    }
}

impl SharedStore {
    /// Makes an empty store that keeps so many changes for watchers.
    pub(crate) async fn with_change_log(changes: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let source = Source::Sqlite(dir.path().join("movies.db"));
        let (store, catalogue) = Store::open(&source, changes, StoreMetrics::default()).await.unwrap();
        Self { store, catalogue, _dir: Arc::new(dir) }
    }

    /// Starts a service of them that everybody may change.
    pub(crate) fn start(&self) -> Service {
        self.start_with_access(Access::open(None, true).unwrap())
    }

    /// Starts a service of them for whoever may call it.
    pub(crate) fn start_with_access(&self, access: Access) -> Service {
        let (store, catalogue) = (self.store.clone(), Arc::clone(&self.catalogue));
        let server = Server { store, access, ..Server::new(catalogue, Found::quiet()) };
        Service::listen(server, &Address::Tcp(([127, 0, 0, 1], 0).into()), self.clone())
    }
}
