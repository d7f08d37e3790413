//! What all calls share, and the phase that the server is in.

use std::sync::Arc;

use crate::access::Access;
use crate::catalogue::Catalogue;
use crate::found::FoundPrinter;
use crate::server::accept::tls::Tls;
use crate::server::call::dispatch::Dispatcher;
use crate::server::call::grpc_web::Web;
use crate::server::limits::Limits;
use crate::server::usage::Usage;
use crate::telemetry::calls::Observer;
use crate::telemetry::metrics::Metrics;

/// What connections have in common.
pub(crate) struct Shared {
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) found: FoundPrinter,
    pub(crate) limits: Limits,
    pub(crate) access: Access,
    pub(crate) tls: Option<Tls>,
    pub(crate) observer: Observer,
    pub(crate) metrics: Metrics,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) web: Option<Web>,
    /// Calls and lists in flight.
    pub(crate) usage: Usage,
}

impl Shared {
    /// Returns whether there are too many calls, with one more than `here` of one worker.
    pub(crate) fn is_busy(&self, here: usize) -> bool {
        self.usage.calls.exceeds(here, self.limits.calls)
    }
}

/// Lifecycle phase of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It serves.
    Serving,
    /// Draining: accepts no connections, lets calls in flight finish.
    Draining,
    /// It waited long enough: calls end now.
    Ending,
}
