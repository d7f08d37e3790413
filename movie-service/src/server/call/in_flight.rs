//! A call that was admitted: its RPC, its deadline, its permit and its observation.

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, Request};
use tonic::{Code, Status};

use crate::access::Denial;
use crate::rpc::Rpc;
use crate::server::call::connection_state::ConnectionState;
use crate::server::call::permit::{Kind, Permit, PermitHandle, Unsent};
use crate::server::call::refusal::{self, Refusal};
use crate::server::call::state::{Phase, Shared};
use crate::server::usage::add;
use crate::telemetry::calls::CallObservation;
use crate::telemetry::metrics::ShedReason;

impl ConnectionState {
    /// Admits a call: counts it, sets its deadline and checks access. Returns the RPC, or the refusal.
    pub(crate) fn begin<B>(self: &Arc<Self>, request: &Request<B>) -> (InFlight, Result<Rpc, Refusal>) {
        let Shared { limits, metrics, .. } = &*self.shared;
        let begun = Instant::now();
        let rpc = Rpc::find(request.uri().path());
        let mut observed = self.observer.begin(rpc, request.headers(), begun);
        let (deadline, timely) = match self.deadline(begun, request) {
            Ok(deadline) => (deadline, Ok(())),
            Err(refusal) => (begun + limits.deadline, Err(refusal)),
        };
        self.mark_used(begun);
        let here = add(self.calls(), 1);
        let here_of_address = self.calls_of_address().map(|calls| add(calls, 1));
        let mut counted =
            Permit { generation: self.enter(deadline), kind: Kind::Other, connection: self.clone() };

        let admitted = if self.shared.is_busy(here) {
            metrics.shed(ShedReason::Calls);
            Err(Refusal::Busy("calls"))
        } else if self.is_address_busy(here_of_address) {
            metrics.shed(ShedReason::CallsPerAddress);
            Err(Refusal::Busy("calls from one address"))
        } else {
            timely
                .and_then(|()| self.authorize(rpc, request.headers(), &mut observed))
                .and_then(|rpc| counted.count_as(Kind::of(rpc)).map(|()| rpc))
        };
        (InFlight { count: Some(PermitHandle::Own(counted)), deadline, observed }, admitted)
    }

    /// Returns whether the limit of calls of its address is exceeded. `here` is this worker's count before the call.
    fn is_address_busy(&self, here: Option<usize>) -> bool {
        let (Some(usage), Some(here)) = (&self.usage, here) else { return false };
        usage.calls.exceeds(here, self.shared.limits.max_calls_per_address())
    }

    /// Checks that the caller may call this RPC, and records its name.
    fn authorize(
        &self,
        rpc: Option<Rpc>,
        headers: &HeaderMap,
        observed: &mut CallObservation,
    ) -> Result<Rpc, Refusal> {
        let caller = self.shared.access.check(rpc, headers, &self.names)?;
        let rpc = rpc.ok_or(Denial::NoSuchRpc)?;
        if let Some(caller) = caller {
            observed.set_caller(caller);
        }
        Ok(rpc)
    }
}

/// A call that is being answered.
pub(crate) struct InFlight {
    /// `None` after it moved to the last frame of the response.
    count: Option<PermitHandle>,
    deadline: Instant,
    observed: CallObservation,
}

impl InFlight {
    pub(crate) fn shared(&self) -> Option<&Shared> {
        self.count.as_ref().map(|count| &*count.connection().shared)
    }

    /// Returns the permit, for sharing with frames of the response.
    pub(crate) fn count(&mut self) -> &mut Option<PermitHandle> {
        &mut self.count
    }

    /// Returns what goes with the last part of the response, before which there was none.
    pub(crate) fn only_part(&mut self) -> Option<Unsent> {
        self.count.take().map(Unsent::new)
    }

    /// Returns the deadline of the call.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Returns why the call cannot go on, if it cannot.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        if Instant::now() >= self.deadline {
            Some(Refusal::Late)
        } else {
            let phase = &self.count.as_ref()?.connection().phase;
            (*phase.borrow() == Phase::Ending).then_some(Refusal::Stopping)
        }
    }

    /// Says that the call ended well.
    pub(crate) fn end_well(self) {
        self.observed.end(Code::Ok, "");
    }

    /// Marks any failure of the call as the caller's fault, for the log level.
    pub(crate) fn blame_caller(&mut self) {
        self.observed.blame_caller();
    }

    /// Replaces an internal error of a library with a refusal.
    pub(crate) fn hide_internals(&mut self, headers: &mut HeaderMap) {
        if refusal::hide_internals(headers) == Some(Refusal::Malformed) {
            self.blame_caller();
        }
    }

    /// Says how the call ended: by the status in `headers`, which may be trailers.
    pub(crate) fn end(self, headers: &HeaderMap) {
        match refusal::code(headers) {
            Some(Code::Ok) => self.observed.end(Code::Ok, ""),
            Some(code) => {
                let status = Status::from_header_map(headers);
                self.observed.end(code, status.as_ref().map_or("", Status::message));
            }
            None => self.observed.end(Code::Unknown, "the answer has no status"),
        }
    }
}
