//! The way of a connection, from the listener to the calls. In the order of that way:
//!
//! * [`listen`] — opens the listener and accepts;
//! * [`limits`] — what a peer may do; `admission` — how many connections there may be, and which makes room for another;
//! * [`Server`] — hands each connection to the worker that has fewest;
//! * `worker` — a thread with a runtime of its own, one a core, that serves the connections it is handed;
//! * `connection` — the life of one of them; [`tls`] — its certificates; `sniff` — what it speaks; `gather` — its writes, in few system calls;
//! * `serving` — what all that serve calls can do; `http2` and `http1` — those that do; [`web`] — calls of browsers, over either;
//! * `service` — the way of a call; `reply` — the way of its answer into its stream; `executor` — runs both;
//! * `call` — what a call counts for, and its [`deadline`]; `usage` — how many there are; [`frames`] — its messages;
//! * `fast` — the fast way of the two calls of the `Movie` service; `routes` — the generated code for all others,
//!   and `gzip` — compressed messages, which it does not see;
//! * `body` — bodies of requests and answers, `data` — what the latter are made of; [`refusal`] — what a caller is told when a call fails;
//! * [`single`] — calls without a connection, for those who try what requests may hold.

mod admission;
mod authority;
mod body;
mod call;
mod connection;
mod data;
pub mod deadline;
mod executor;
mod fast;
pub mod frames;
mod gather;
mod gzip;
mod http1;
mod http2;
pub mod limits;
pub mod listen;
pub mod refusal;
mod reply;
mod routes;
mod service;
mod serving;
pub mod single;
mod sniff;
pub mod tls;
mod usage;
pub mod web;
mod worker;

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::{info, warn};

use self::admission::Admission;
pub use self::limits::Limits;
use self::listen::Listener;
use self::routes::Routes;
use self::tls::Tls;
use self::usage::Usage;
use self::web::{Origin, Web};
use self::worker::Worker;
use crate::access::Access;
use crate::catalogue::Catalogue;
use crate::found::Found;
use crate::health::Health;
use crate::servicer::catalog::CatalogServicer;
use crate::servicer::course::MovieServicer;
use crate::store::{Store, StoreStatus};
use crate::telemetry::calls::Observer;
use crate::telemetry::metrics::Metrics;

/// How long to wait before accepting again when the operating system refuses.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Open files that are not connections: logs, databases, the listener, what the runtimes need.
const OTHER_FILES: u64 = 64;

/// What is served, and how.
pub struct Server {
    /// The movies.
    pub catalogue: Arc<Catalogue>,
    /// Where they are kept.
    pub store: Store,
    /// Told of each movie that is found.
    pub found: Found,
    /// What a peer may do.
    pub limits: Limits,
    /// Who may call what.
    pub access: Access,
    /// How TLS is spoken, if it is.
    pub tls: Option<Tls>,
    /// Observes each call.
    pub observer: Observer,
    /// Counts the rest.
    pub metrics: Metrics,
    /// Says whether the service can be called.
    pub health: Health,
    /// What is offered beside the movies.
    pub offers: Offers,
    /// How long calls in flight may take to end once the service is asked to stop.
    pub grace: Duration,
    /// How long to go on accepting then, so that whoever spreads the load notices first.
    pub pause: Duration,
}

/// What a server offers beside the movies.
#[derive(Clone, Debug)]
pub struct Offers {
    /// Answers `grpc.health.v1`.
    pub health: bool,
    /// Answers `grpc.reflection.v1` and `grpc.reflection.v1alpha`.
    pub reflection: bool,
    /// Compresses messages of 1 KiB or more for callers that accept gzip.
    pub gzip: bool,
    /// Answers gRPC-Web to the pages of these; if there are none, not at all.
    pub web: Vec<Origin>,
}

/// What connections have in common.
struct Shared {
    catalogue: Arc<Catalogue>,
    found: Found,
    limits: Limits,
    access: Access,
    tls: Option<Tls>,
    observer: Observer,
    metrics: Metrics,
    routes: Routes,
    web: Option<Web>,
    /// Calls and lists in flight.
    usage: Usage,
}

impl Shared {
    /// Returns whether there are too many calls, with one more than `here` of one worker.
    fn is_busy(&self, here: usize) -> bool {
        self.usage.calls.exceeds(here, self.limits.calls)
    }
}

/// What the server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It serves.
    Serving,
    /// It is asked to stop: no more connections, and those there are finish their calls.
    Draining,
    /// It waited long enough: calls end now.
    Ending,
}

impl Server {
    /// A server with the defaults of everything, which is neither logged nor counted.
    #[must_use]
    pub fn new(catalogue: Arc<Catalogue>, found: Found) -> Self {
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

    /// Serves calls until `shutdown` completes; then accepts no more connections, lets the calls in flight end for as
    /// long as they may, and returns.
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
        let routes = Routes::new(movie, catalog, &health, &offers, &limits);
        let shared = Arc::new(Shared {
            routes: routes.map_err(io::Error::other)?,
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
        // Ends the streams of those who watch it.
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

impl Default for Offers {
    fn default() -> Self {
        Self { health: true, reflection: true, gzip: false, web: Vec::new() }
    }
}

/// Says that the service can be called, and whether its store can. Never ends.
async fn follow(mut store: watch::Receiver<StoreStatus>, health: &Health) {
    loop {
        let is_available = !matches!(*store.borrow_and_update(), StoreStatus::Unavailable(_));
        health.set_serving(true, is_available);
        if store.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Hands each connection to the worker that has fewest, so that few connections use all cores, too.
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
                // Among equals, take turns.
                workers.rotate_left(next);
                next = 1;
                if let Some(worker) = workers.iter().min_by_key(|worker| worker.connections()) {
                    worker.serve(accepted, ticket);
                }
            }
            // What is wrong here, such as too many open files, does not go away by trying harder.
            Err(error) => {
                if !std::mem::replace(&mut refused, true) {
                    warn!(%error, "cannot accept connections for now");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Returns how many connections the limit on open files leaves room for, once it is raised as far as it may be.
fn files() -> usize {
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1024);
    usize::try_from(files.saturating_sub(OTHER_FILES).max(1)).unwrap_or(usize::MAX)
}
