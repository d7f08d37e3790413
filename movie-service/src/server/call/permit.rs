//! Call accounting: a permit held until the last byte of the response is sent.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::rpc::{Kind, Rpc};
use crate::server::call::calls_in_flight::Generation;
use crate::server::call::connection_state::ConnectionState;
use crate::server::call::refusal::Refusal;
use crate::server::limits::half;
use crate::server::usage::Usage;
use crate::telemetry::metrics::ShedReason;

/// Class of a call that has limits of its own.
#[derive(Clone, Copy)]
enum CallClass {
    /// A streaming response.
    List,
    /// Calls that need no credentials.
    Anonymous,
    Other,
}

impl CallClass {
    fn of(rpc: Rpc) -> Self {
        match rpc.kind {
            Kind::List | Kind::Watch => Self::List,
            Kind::Unary | Kind::Import | Kind::Probe if rpc.role.is_none() => Self::Anonymous,
            Kind::Unary | Kind::Import | Kind::Probe => Self::Other,
        }
    }
}

/// Counts a call towards the limits until dropped.
pub(crate) struct Permit {
    connection: Arc<ConnectionState>,
    generation: Generation,
    class: CallClass,
}

impl Permit {
    /// Counts a call; an error if a limit on all calls is exceeded. The call counts even so.
    pub(super) fn acquire(
        connection: Arc<ConnectionState>,
        deadline: Instant,
    ) -> (Self, Result<(), Refusal>) {
        let ConnectionState { server, address_usage, worker, .. } = &*connection;
        let exceeds = |usage: &Usage, limit| usage.calls.increment(*worker, limit);
        let is_service_busy = exceeds(&server.usage, server.limits.calls);
        let is_address_busy = address_usage
            .as_deref()
            .is_some_and(|usage| exceeds(usage, server.limits.max_calls_per_address()));
        let result = if is_service_busy {
            Err((ShedReason::Calls, "calls"))
        } else if is_address_busy {
            Err((ShedReason::CallsPerAddress, "calls from one address"))
        } else {
            Ok(())
        };
        let result = result.map_err(|exceeded| busy(&connection, exceeded));
        let generation = connection.calls.begin(deadline);
        (Self { connection, generation, class: CallClass::Other }, result)
    }

    /// Counts the call towards the limit of its class; an error if the limit is exceeded.
    pub(super) fn acquire_class(&mut self, rpc: Rpc) -> Result<(), Refusal> {
        self.class = CallClass::of(rpc);
        let ConnectionState { server, address_usage, worker, .. } = &*self.connection;
        let (limits, address_usage) = (&server.limits, address_usage.as_deref());
        let result = match self.class {
            CallClass::List => {
                let count = |usage: &Usage| usage.lists.fetch_add(1, Ordering::Relaxed);
                let (of_service, of_address) = (count(&server.usage), address_usage.map_or(0, count));
                if of_service >= limits.lists {
                    Err((ShedReason::Lists, "lists"))
                } else if of_address >= limits.max_lists_per_address() {
                    Err((ShedReason::ListsPerAddress, "lists to one address"))
                } else {
                    Ok(())
                }
            }
            // Calls without credentials get half of each limit, so that they cannot crowd out authenticated callers.
            CallClass::Anonymous => {
                let exceeds = |usage: &Usage, limit| usage.anonymous_calls.increment(*worker, half(limit));
                let is_service_busy = exceeds(&server.usage, limits.calls);
                let is_address_busy =
                    address_usage.is_some_and(|usage| exceeds(usage, limits.max_calls_per_address()));
                if is_service_busy {
                    Err((ShedReason::Calls, "calls without credentials"))
                } else if is_address_busy {
                    Err((ShedReason::CallsPerAddress, "calls without credentials from one address"))
                } else {
                    Ok(())
                }
            }
            CallClass::Other => Ok(()),
        };
        result.map_err(|exceeded| busy(&self.connection, exceeded))
    }
}

fn busy(connection: &ConnectionState, (shed, subject): (ShedReason, &'static str)) -> Refusal {
    connection.server.metrics.shed(shed);
    Refusal::Busy(subject)
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Self { connection, generation, class } = self;
        connection.calls.end(*generation);
        let usages = [Some(&connection.server.usage), connection.address_usage.as_deref()];
        for usage in usages.into_iter().flatten() {
            usage.calls.decrement(connection.worker);
            match class {
                CallClass::List => drop(usage.lists.fetch_sub(1, Ordering::Relaxed)),
                CallClass::Anonymous => usage.anonymous_calls.decrement(connection.worker),
                CallClass::Other => {}
            }
        }
    }
}

/// Owner of a permit: the call itself, or the frames of its response.
pub(crate) enum PermitHandle {
    /// For a response of at most one frame; needs no allocation.
    Owned(Permit),
    /// For a streaming response.
    Shared(Arc<Permit>),
}

impl PermitHandle {
    /// Keeps the call's permit until the returned guard is dropped.
    pub(crate) fn share(handle: &mut Option<Self>) -> Option<Arc<Permit>> {
        let shared = match handle.take()? {
            Self::Owned(permit) => Arc::new(permit),
            Self::Shared(permit) => permit,
        };
        *handle = Some(Self::Shared(shared.clone()));
        Some(shared)
    }

    /// Returns a guard for one frame of the response.
    pub(crate) fn unsent_guard(handle: &mut Option<Self>) -> Option<UnsentGuard> {
        Self::share(handle).map(Self::Shared).map(UnsentGuard::new)
    }

    /// Returns whether something else shares the permit: a frame that was not yet sent, or another body.
    pub(super) fn is_held_elsewhere(&self) -> bool {
        matches!(self, Self::Shared(permit) if Arc::strong_count(permit) > 1)
    }

    pub(super) fn connection(&self) -> &ConnectionState {
        match self {
            Self::Owned(permit) => &permit.connection,
            Self::Shared(permit) => &permit.connection,
        }
    }
}

/// Guard of a response frame that h2 has not written yet. While it exists, the call counts, and the peer has data to
/// read.
pub(crate) struct UnsentGuard(PermitHandle);

impl UnsentGuard {
    pub(super) fn new(permit: PermitHandle) -> Self {
        permit.connection().unsent.frames.add(1);
        Self(permit)
    }

    /// Records that flow control let `bytes` bytes of the frame through.
    pub(crate) fn record_sent(&self, bytes: usize) {
        self.0.connection().unsent.sent_bytes.add(bytes);
    }
}

impl Drop for UnsentGuard {
    fn drop(&mut self) {
        self.0.connection().unsent.frames.subtract(1);
    }
}
