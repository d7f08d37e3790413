//! State shared by all connections, and the lifecycle phase of the server.

use std::sync::Arc;

use crate::access::Access;
use crate::catalogue::Catalogue;
use crate::found::FoundPrinter;
use crate::server::accept::tls::Tls;
use crate::server::call::dispatch::Dispatcher;
use crate::server::call::fast_path::Responders;
use crate::server::call::web::WebHandler;
use crate::server::limits::Limits;
use crate::server::usage::Usage;
use crate::telemetry::calls::Observer;
use crate::telemetry::metrics::Metrics;

/// State shared by all connections.
pub(crate) struct ServerState {
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) found: FoundPrinter,
    pub(crate) limits: Limits,
    pub(crate) access: Access,
    pub(crate) tls: Option<Tls>,
    pub(crate) observer: Observer,
    pub(crate) metrics: Metrics,
    pub(crate) dispatcher: Dispatcher,
    /// `None` if only gRPC is on.
    pub(crate) web: Option<WebHandler>,
    /// Calls and lists in flight of the whole service.
    pub(crate) usage: Usage,
}

impl ServerState {
    /// Returns the handlers of the fast path.
    pub(crate) fn responders(&self) -> Responders<'_> {
        self.dispatcher.responders(&self.catalogue, &self.found)
    }
}

/// Lifecycle phase of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Serving calls.
    Serving,
    /// Draining: accepts no connections, lets calls in flight finish.
    Draining,
    /// The grace period is over: calls are ended.
    ForceClosing,
}
