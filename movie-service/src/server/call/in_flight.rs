//! A call that was taken in: its RPC, its deadline, its permit and its observation.

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, Request};
use tonic::{Code, Status};

use crate::access::Denied;
use crate::rpc::Rpc;
use crate::server::call::connection_state::ConnectionState;
use crate::server::call::permit::{Kind, Permit, PermitHandle, Unsent};
use crate::server::call::refusal::{self, Refusal};
use crate::server::call::state::{Phase, Shared};
use crate::server::usage::add;
use crate::telemetry::calls::Observed;
use crate::telemetry::metrics::Shed;

impl ConnectionState {
    /// Takes a call in: returns its RPC, or why it is refused.
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
            metrics.shed(Shed::Calls);
            Err(Refusal::Busy("calls"))
        } else if self.is_address_busy(here_of_address) {
            metrics.shed(Shed::CallsOfAddress);
            Err(Refusal::Busy("calls from one address"))
        } else {
            timely
                .and_then(|()| self.authorize(rpc, request.headers(), &mut observed))
                .and_then(|rpc| counted.count_as(Kind::of(rpc)).map(|()| rpc))
        };
        (InFlight { count: Some(PermitHandle::Own(counted)), deadline, observed }, admitted)
    }

    /// Returns whether there are too many calls of its address, with one more than `here` of its worker.
    fn is_address_busy(&self, here: Option<usize>) -> bool {
        let (Some(usage), Some(here)) = (&self.usage, here) else { return false };
        usage.calls.exceeds(here, self.shared.limits.calls_of_address())
    }

    /// Checks whether the caller may do this.
    fn authorize(
        &self,
        rpc: Option<Rpc>,
        headers: &HeaderMap,
        observed: &mut Observed,
    ) -> Result<Rpc, Refusal> {
        let caller = self.shared.access.check(rpc, headers, &self.names)?;
        let rpc = rpc.ok_or(Denied::NoSuchRpc)?;
        if let Some(caller) = caller {
            observed.caller(caller);
        }
        Ok(rpc)
    }
}

/// A call that is being answered.
pub(crate) struct InFlight {
    /// `None` once the last part of the response has it.
    count: Option<PermitHandle>,
    deadline: Instant,
    observed: Observed,
}

impl InFlight {
    pub(crate) fn shared(&self) -> Option<&Shared> {
        self.count.as_ref().map(|count| &*count.connection().shared)
    }

    /// What the call counts for, to be shared.
    pub(crate) fn count(&mut self) -> &mut Option<PermitHandle> {
        &mut self.count
    }

    /// Returns what goes with the last part of the response, before which there was none.
    pub(crate) fn only_part(&mut self) -> Option<Unsent> {
        self.count.take().map(Unsent::new)
    }

    /// Returns when the call has to be done.
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

    /// Says that whatever comes of the call is not our fault.
    pub(crate) fn blame_caller(&mut self) {
        self.observed.blame_caller();
    }

    /// Replaces a status that generated code answers if it was not made for callers.
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
