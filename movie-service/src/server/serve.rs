//! The server: accepts connections, hands each to a worker, and drains them when it stops.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::{info, warn};

use crate::access::Access;
use crate::catalogue::Catalogue;
use crate::found::FoundPrinter;
use crate::server::accept::admission::Admission;
use crate::server::accept::listener::Listener;
use crate::server::accept::tls::Tls;
use crate::server::call::dispatch::{Dispatcher, Offers};
use crate::server::call::grpc_web::Web;
use crate::server::call::state::{Phase, Shared};
use crate::server::connection::worker::Worker;
use crate::server::limits::Limits;
use crate::server::usage::Usage;
use crate::servicer::catalog::CatalogServicer;
use crate::servicer::course::MovieServicer;
use crate::servicer::health::Health;
use crate::store::{Store, StoreStatus};
use crate::telemetry::calls::Observer;
use crate::telemetry::metrics::Metrics;

/// How long to wait before accepting again when the operating system refuses.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// File descriptors reserved for logs, databases, listeners and runtimes.
const OTHER_FILES: u64 = 64;

/// A server with its services and settings.
pub struct Server {
    /// The movies.
    pub catalogue: Arc<Catalogue>,
    /// The store that keeps the movies.
    pub store: Store,
    /// Prints a line for each movie that is found.
    pub found: FoundPrinter,
    /// What a peer may do.
    pub limits: Limits,
    /// Who may call what.
    pub access: Access,
    /// TLS settings; `None` for plaintext.
    pub tls: Option<Tls>,
    /// Observes each call.
    pub observer: Observer,
    /// Counts everything but calls.
    pub metrics: Metrics,
    /// Serving status for `grpc.health.v1`.
    pub health: Health,
    /// Optional services and features.
    pub offers: Offers,
    /// How long calls in flight may take to end once the service is asked to stop.
    pub grace: Duration,
    /// How long to keep accepting connections after that, so that load balancers notice the change of health first.
    pub pause: Duration,
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
            offers: Offers::default(),
            grace: Duration::from_secs(20),
            pause: Duration::ZERO,
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
            offers,
            grace,
            pause,
        } = self;
        limits.connections = limits.connections.min(files());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let admission = Admission::new(limits.connections, limits.connections_per_address, cores);
        let movie = MovieServicer::new(catalogue.clone(), found.clone());
        let status = store.status();
        let catalog = CatalogServicer::new(catalogue.clone(), store, health.subscribe(), limits.watch_behind);
        let dispatcher = Dispatcher::new(movie, catalog, &health, &offers, &limits);
        let shared = Arc::new(Shared {
            dispatcher: dispatcher.map_err(io::Error::other)?,
            web: (!offers.web.is_empty()).then(|| Web::new(&offers.web)),
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
            .map(|core| Worker::start(core, shared.clone(), phases.clone()))
            .collect::<io::Result<Vec<_>>>()?;

        {
            let mut accepting = pin!(accept(&listener, &admission, &mut workers, &shared.metrics));
            tokio::select! {
                () = &mut accepting => {}
                () = follow(status, &health) => {}
                () = shutdown => {}
            }
            info!("stopping");
            health.set_serving(false, false);
            let _ = tokio::time::timeout(pause, accepting).await;
        }
        drop(listener);
        // Ends the Watch streams of the health service.
        drop(health);
        phase.send_replace(Phase::Draining);
        let finished: Vec<_> = workers.into_iter().map(Worker::finish).collect();
        let mut finished = pin!(async {
            for worker in finished {
                worker.await;
            }
        });
        if tokio::time::timeout(grace, &mut finished).await.is_err() {
            warn!(?grace, "ending calls that are still in flight");
            phase.send_replace(Phase::Ending);
            finished.await;
        }
        Ok(())
    }
}

/// Updates the serving status whenever the status of the store changes. Never returns.
async fn follow(mut store: watch::Receiver<StoreStatus>, health: &Health) {
    loop {
        let is_available = store.borrow_and_update().is_available();
        health.set_serving(true, is_available);
        if store.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Hands each connection to the worker that has fewest, so that even a few connections use all cores.
async fn accept(listener: &Listener, admission: &Admission, workers: &mut [Worker], metrics: &Metrics) {
    let (mut next, mut refused, mut full) = (0, false, false);
    loop {
        admission.settled().await;
        match listener.accept().await {
            Ok((accepted, address)) => {
                refused = false;
                let ticket = match admission.admit(address) {
                    Ok(ticket) => ticket,
                    Err(reason) => {
                        metrics.shed(reason);
                        if !std::mem::replace(&mut full, true) {
                            warn!("refusing connections: there are as many as there may be");
                        }
                        continue;
                    }
                };
                full = false;
                // Round robin among workers with equally many connections.
                workers.rotate_left(next);
                next = 1;
                if let Some(worker) = workers.iter().min_by_key(|worker| worker.connections()) {
                    worker.serve(accepted, ticket);
                }
            }
            // Such errors, for example too many open files, do not go away by retrying at once.
            Err(error) => {
                if !std::mem::replace(&mut refused, true) {
                    warn!(%error, "cannot accept connections for now");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Raises the limit on open files to the hard limit, and returns how many connections it allows.
fn files() -> usize {
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1024);
    usize::try_from(files.saturating_sub(OTHER_FILES).max(1)).unwrap_or(usize::MAX)
}
