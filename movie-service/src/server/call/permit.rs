//! Call accounting: a permit held until the last byte of the response is sent.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::rpc::{self, Rpc};
use crate::server::call::connection_state::ConnectionState;
use crate::server::call::refusal::Refusal;
use crate::server::call::state::Shared;
use crate::server::limits::half;
use crate::server::usage::{Usage, add};
use crate::telemetry::metrics::ShedReason;

/// Classes of calls with limits of their own.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    List,
    /// It needs no credentials.
    Open,
    Other,
}

impl Kind {
    pub(super) fn of(rpc: Rpc) -> Self {
        match rpc.kind {
            rpc::Kind::List | rpc::Kind::Watch => Self::List,
            rpc::Kind::Unary | rpc::Kind::Import | rpc::Kind::Probe if rpc.role.is_none() => Self::Open,
            rpc::Kind::Unary | rpc::Kind::Import | rpc::Kind::Probe => Self::Other,
        }
    }
}

/// Counts a call towards the limits until dropped.
pub(crate) struct Permit {
    pub(super) connection: Arc<ConnectionState>,
    pub(super) generation: usize,
    pub(super) kind: Kind,
}

impl Permit {
    /// Counts the call towards the limit of its class; an error if the limit is exceeded.
    pub(super) fn count_as(&mut self, kind: Kind) -> Result<(), Refusal> {
        self.kind = kind;
        let ConnectionState { shared, usage, worker, .. } = &*self.connection;
        let Shared { limits, usage: of_all, metrics, .. } = &**shared;
        let of_address = usage.as_deref();
        let exceeded = match kind {
            Kind::List => {
                let count = |usage: &Usage| usage.lists.fetch_add(1, Ordering::Relaxed);
                let (all, address) = (count(of_all), of_address.map_or(0, count));
                if all >= limits.lists {
                    Some((ShedReason::Lists, "lists"))
                } else if address >= limits.max_lists_per_address() {
                    Some((ShedReason::ListsPerAddress, "lists to one address"))
                } else {
                    None
                }
            }
            // Calls without credentials get half of each limit, so that they cannot crowd out authenticated callers.
            Kind::Open => {
                let exceeds = |usage: &Usage, limit| {
                    let before = add(usage.open_calls.of(*worker), 1);
                    usage.open_calls.exceeds(before, half(limit))
                };
                let all = exceeds(of_all, limits.calls);
                let address = of_address.is_some_and(|usage| exceeds(usage, limits.max_calls_per_address()));
                if all {
                    Some((ShedReason::Calls, "calls without credentials"))
                } else if address {
                    Some((ShedReason::CallsPerAddress, "calls without credentials from one address"))
                } else {
                    None
                }
            }
            Kind::Other => None,
        };
        if let Some((shed, what)) = exceeded {
            metrics.shed(shed);
            return Err(Refusal::Busy(what));
        }
        Ok(())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Self { connection, generation, kind } = self;
        add(&connection.open[*generation], -1);
        add(connection.calls(), -1);
        connection.calls_of_address().map(|calls| add(calls, -1));
        for usage in [Some(&connection.shared.usage), connection.usage.as_deref()].into_iter().flatten() {
            match kind {
                Kind::List => drop(usage.lists.fetch_sub(1, Ordering::Relaxed)),
                Kind::Open => drop(add(usage.open_calls.of(connection.worker), -1)),
                Kind::Other => {}
            }
        }
    }
}

/// Owner of a permit: the call itself, or the frames of its response.
pub(crate) enum PermitHandle {
    /// Of a response that has one part at most; it costs no allocation.
    Own(Permit),
    /// Of a response that may have many.
    Shared(Arc<Permit>),
}

impl PermitHandle {
    /// Keeps the call's permit until the returned guard is dropped.
    pub(crate) fn share(count: &mut Option<Self>) -> Option<Arc<Permit>> {
        let shared = match count.take()? {
            Self::Own(counted) => Arc::new(counted),
            Self::Shared(shared) => shared,
        };
        *count = Some(Self::Shared(shared.clone()));
        Some(shared)
    }

    /// Returns what goes with a part of the response.
    pub(crate) fn part(count: &mut Option<Self>) -> Option<Unsent> {
        Self::share(count).map(Self::Shared).map(Unsent::new)
    }

    pub(super) fn connection(&self) -> &ConnectionState {
        match self {
            Self::Own(counted) => &counted.connection,
            Self::Shared(counted) => &counted.connection,
        }
    }
}

/// Goes with a part of a response that the peer did not take yet. For as long the call counts, and the peer has
/// something to read.
pub(crate) struct Unsent(PermitHandle);

impl Unsent {
    pub(super) fn new(count: PermitHandle) -> Self {
        add(&count.connection().unsent, 1);
        Self(count)
    }

    /// Records that `bytes` bytes of the response fitted the flow-control windows of the peer.
    pub(crate) fn took(&self, bytes: usize) {
        add(&self.0.connection().taken, bytes.cast_signed());
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        add(&self.0.connection().unsent, -1);
    }
}
