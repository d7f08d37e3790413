//! State of a connection that its calls share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use http::{HeaderName, Request};
use tokio::sync::watch;

use crate::server::accept::admission::Activity;
use crate::server::call::calls_in_flight::CallsInFlight;
use crate::server::call::refusal::Refusal;
use crate::server::call::server_state::{Phase, ServerState};
use crate::server::call::timeout;
use crate::server::usage::{LocalCounter, Usage};
use crate::telemetry::calls::Observer;

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// State of a connection that its calls share.
pub(crate) struct ConnectionState {
    pub(crate) server: Arc<ServerState>,
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) calls: CallsInFlight,
    pub(crate) unsent: UnsentData,
    /// The number of its worker.
    pub(super) worker: usize,
    /// Usage counters of its address; `None` for a local peer, which has no address.
    pub(super) address_usage: Option<Arc<Usage>>,
    pub(super) observer: Observer,
    /// Subject names of the verified peer certificate.
    pub(super) peer_subject_names: Vec<String>,
    /// Whether the graceful shutdown has begun.
    is_draining: AtomicBool,
}

/// Response data of a connection.
#[derive(Default)]
pub(crate) struct UnsentData {
    /// Response frames that h2 has not written yet.
    pub(super) frames: LocalCounter,
    /// Response bytes that flow control let through, wrapping around.
    pub(super) sent_bytes: LocalCounter,
}

impl UnsentData {
    /// Returns whether response data waits to be written.
    pub(crate) fn is_waiting(&self) -> bool {
        self.frames.get() > 0
    }

    /// Returns a number that changes whenever flow control lets response bytes through.
    pub(crate) fn sent_bytes(&self) -> usize {
        self.sent_bytes.get()
    }
}

impl ConnectionState {
    pub(crate) fn new(
        server: Arc<ServerState>,
        phase: watch::Receiver<Phase>,
        worker: usize,
        peer: Option<SocketAddr>,
        address_usage: Option<Arc<Usage>>,
        peer_subject_names: Vec<String>,
    ) -> Self {
        let observer = server.observer.connection(peer);
        Self {
            server,
            phase,
            calls: CallsInFlight::new(),
            unsent: UnsentData::default(),
            worker,
            address_usage,
            observer,
            peer_subject_names,
            is_draining: AtomicBool::new(false),
        }
    }

    /// Records that the graceful shutdown has begun.
    pub(crate) fn drain_began(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }

    /// Returns whether the graceful shutdown has begun.
    pub(super) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    /// Returns the deadline of a call: the shorter of `grpc-timeout` and the limit `deadline`.
    pub(crate) fn deadline<B>(&self, began: Instant, request: &Request<B>) -> Result<Instant, Refusal> {
        let latest = began + self.server.limits.deadline;
        let Some(value) = request.headers().get(GRPC_TIMEOUT) else { return Ok(latest) };
        let timeout = timeout::parse(value.as_bytes()).ok_or(Refusal::MalformedTimeout)?;
        // A timeout that overflows is longer than the limit.
        Ok(began.checked_add(timeout).map_or(latest, |deadline| deadline.min(latest)))
    }
}

impl Activity for ConnectionState {
    fn idle_since(&self) -> Option<Instant> {
        self.calls.idle_since()
    }
}
