//! The server: accepts connections, hands each to a worker, and drains them when it stops.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::{info, warn};

use crate::access::Access;
use crate::catalogue::{Catalogue, Snapshot};
use crate::found::FoundPrinter;
use crate::server::accept::admission::Admission;
use crate::server::accept::listener::Listener;
use crate::server::accept::retry;
use crate::server::accept::tls::Tls;
use crate::server::call::dispatch::{Dispatcher, Features};
use crate::server::call::server_state::{Phase, ServerState};
use crate::server::call::web::{WebHandler, WebOptions};
use crate::server::connection::heartbeat::Heartbeat;
use crate::server::connection::worker::Worker;
use crate::server::limits::Limits;
use crate::server::usage::Usage;
use crate::servicer::catalog::CatalogServicer;
use crate::servicer::course::MovieServicer;
use crate::servicer::health::Health;
use crate::store::{Store, StoreStatus};
use crate::telemetry::calls::Observer;
use crate::telemetry::metrics::Metrics;

/// File descriptors reserved for logs, databases, listeners and runtimes.
const RESERVED_FILES: u64 = 64;

/// A server with its services and settings.
pub struct Server {
    /// The movies.
    pub catalogue: Arc<Catalogue>,
    /// The store that keeps the movies.
    pub store: Store,
    /// Prints a line for each movie that is found.
    pub found: FoundPrinter,
    /// Resource limits.
    pub limits: Limits,
    /// Access control.
    pub access: Access,
    /// TLS settings; `None` for plaintext.
    pub tls: Option<Tls>,
    /// Observes each call.
    pub observer: Observer,
    /// Metrics of everything but calls.
    pub metrics: Metrics,
    /// Serving status for `grpc.health.v1`.
    pub health: Health,
    /// Optional services and features.
    pub features: Features,
    /// Time that calls in flight have to end once the drain begins.
    pub grace: Duration,
    /// Time for which connections are still accepted after the shutdown was requested, so that load balancers notice the
    /// change of health first.
    pub pause: Duration,
    /// Sign of life, from the start of the workers until the runtime ends.
    pub heartbeat: Option<Heartbeat>,
}

impl Server {
    /// A server with default settings, without logs or metrics.
    #[must_use]
    pub fn new(catalogue: Arc<Catalogue>, found: FoundPrinter) -> Self {
        let metrics = Metrics::off();
        Self {
            catalogue,
            store: Store::read_only("memory"),
            found,
            limits: Limits::default(),
            access: Access::open_to_readers(),
            tls: None,
            observer: Observer::new(metrics.clone(), None),
            metrics,
            health: Health::default(),
            features: Features::default(),
            grace: Duration::from_secs(20),
            pause: Duration::ZERO,
            heartbeat: None,
        }
    }

    /// Serves calls until `shutdown` completes; then accepts no more connections, drains the calls in flight for at
    /// most `grace`, then ends them, and returns.
    ///
    /// # Errors
    ///
    /// If a worker cannot be started.
    pub async fn serve(self, listener: Listener, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let Self {
            catalogue,
            store,
            found,
            mut limits,
            access,
            tls,
            observer,
            metrics,
            health,
            features,
            grace,
            pause,
            heartbeat,
        } = self;
        limits.connections = limits.connections.min(max_connections_by_open_files());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let admission = Admission::new(limits.connections, limits.connections_per_address, cores);
        let movie = MovieServicer::new(catalogue.clone(), found.clone());
        let status = store.status();
        let mut catalog =
            CatalogServicer::new(catalogue.clone(), store, health.subscribe(), limits.watch_behind)
                .with_watch_metrics(metrics.watches());
        if features.search {
            catalog = catalog.with_search(metrics.searches());
        }
        let search = features.search.then(|| catalogue.clone());
        let dispatcher = Dispatcher::new(movie, catalog, &health, &features, &limits);
        let web = WebHandler::new(WebOptions {
            features: &features,
            limits: &limits,
            metrics: metrics.clone(),
            is_secure: tls.is_some(),
            is_loopback: listener.is_loopback(),
            serving: health.subscribe(),
        });
        let state = Arc::new(ServerState {
            dispatcher: dispatcher.map_err(io::Error::other)?,
            web: web.map_err(io::Error::other)?,
            usage: Usage::new(cores),
            catalogue,
            found,
            access,
            tls,
            observer,
            metrics,
            limits,
        });
        let (phase, phases) = watch::channel(Phase::Serving);
        let mut workers = (0..cores)
            .map(|core| Worker::start(core, state.clone(), phases.clone()))
            .collect::<io::Result<Vec<_>>>()?;
        if let Some(heartbeat) = heartbeat {
            tokio::spawn(heartbeat.run(workers.iter().map(Worker::probe).collect()));
        }
        // After the workers, so that calls need not wait for it.
        state.catalogue.start_building_columns()?;
        if let Some(catalogue) = search {
            catalogue.start_indexing()?;
            tokio::spawn(log_index(catalogue, state.metrics.clone(), Instant::now()));
        }

        {
            let mut accepting = pin!(accept(&listener, &admission, &mut workers, &state.metrics));
            tokio::select! {
                () = &mut accepting => {}
                () = update_health(status, &health) => {}
                () = shutdown => {}
            }
            info!("stopping");
            health.set_serving(false, false);
            let _ = tokio::time::timeout(pause, accepting).await;
        }
        drop(listener);
        // Ends the Watch streams of the health service.
        drop(health);
        drain(workers, &phase, grace).await;
        Ok(())
    }
}

/// Lets calls in flight finish for at most `grace`, then ends them.
async fn drain(workers: Vec<Worker>, phase: &watch::Sender<Phase>, grace: Duration) {
    phase.send_replace(Phase::Draining);
    let finished: Vec<_> = workers.into_iter().map(Worker::finish).collect();
    let mut finished = pin!(async {
        for worker in finished {
            worker.await;
        }
    });
    if tokio::time::timeout(grace, &mut finished).await.is_err() {
        warn!(?grace, "ending the calls that are still in flight after the grace period");
        phase.send_replace(Phase::ForceClosing);
        finished.await;
    }
}

/// Logs and records when the search index, whose building began at this time, is built.
async fn log_index(catalogue: Arc<Catalogue>, metrics: Metrics, began: Instant) {
    if catalogue.index_built().wait_for(|is_built| *is_built).await.is_ok() {
        let elapsed = began.elapsed();
        metrics.search_index_built(elapsed);
        let (movies, milliseconds) = (catalogue.read(Snapshot::len), elapsed.as_millis());
        info!("the search index of {movies} movies is ready after {milliseconds} ms");
    }
}

/// Updates the serving status whenever the status of the store changes. Never returns.
async fn update_health(mut store: watch::Receiver<StoreStatus>, health: &Health) {
    loop {
        let is_available = store.borrow_and_update().is_available();
        health.set_serving(true, is_available);
        if store.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Passes each connection to the worker with the fewest connections, so that even a few connections use all cores.
async fn accept(listener: &Listener, admission: &Admission, workers: &mut [Worker], metrics: &Metrics) {
    let (mut offset, mut is_full) = (0, false);
    loop {
        admission.evictions_settled().await;
        let (accepted, address) = retry::accept("connections", || listener.accept()).await;
        let ticket = match admission.admit(address) {
            Ok(ticket) => ticket,
            Err(reason) => {
                metrics.shed(reason);
                if !std::mem::replace(&mut is_full, true) {
                    warn!("refusing connections: the limit is reached, and none can be evicted");
                }
                continue;
            }
        };
        is_full = false;
        // Round robin among workers with equally many connections.
        workers.rotate_left(offset);
        offset = 1;
        if let Some(worker) = workers.iter().min_by_key(|worker| worker.connections()) {
            worker.serve(accepted, ticket);
        }
    }
}

/// Raises the limit on open files to the hard limit, and returns how many connections it allows.
fn max_connections_by_open_files() -> usize {
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1024);
    usize::try_from(files.saturating_sub(RESERVED_FILES).max(1)).unwrap_or(usize::MAX)
}
