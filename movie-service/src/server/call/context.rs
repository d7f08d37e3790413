//! Context of a call: its deadline, its permit and its observation.

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, Request};
use tonic::{Code, Status};

use crate::access::Denial;
use crate::rpc::{Role, Rpc};
use crate::server::call::connection_state::ConnectionState;
use crate::server::call::origin::FromAnySite;
use crate::server::call::permit::{Permit, PermitHandle, UnsentGuard};
use crate::server::call::refusal::{self, Refusal};
use crate::server::call::server_state::{Phase, ServerState};
use crate::telemetry::calls::CallObservation;
use crate::text::Escaped;

/// Context of a call, from its headers to its final status.
pub(crate) struct CallContext {
    /// `None` after it moved to the last frame of the response.
    permit: Option<PermitHandle>,
    deadline: Instant,
    observed: CallObservation,
}

impl CallContext {
    /// Begins a call: counts it, sets its deadline and checks access. Returns the RPC if the call is admitted, or the
    /// refusal. Even a refused call counts until its response is sent.
    pub(crate) fn begin<B>(
        connection: &Arc<ConnectionState>,
        request: &Request<B>,
    ) -> (Self, Result<Rpc, Refusal>) {
        let began = Instant::now();
        let rpc = Rpc::find(request.uri().path());
        let mut observed = connection.observer.begin(rpc, request.headers(), began);
        if rpc.is_none() {
            observed.set_unknown_path(Escaped(request.uri().path()).to_string());
        }
        let (deadline, timeout) = match connection.deadline(began, request) {
            Ok(deadline) => (deadline, Ok(())),
            Err(refusal) => (began + connection.server.limits.deadline, Err(refusal)),
        };
        connection.calls.mark_used(began);
        let (mut permit, acquired) = Permit::acquire(connection.clone(), deadline);
        let admitted = acquired
            .and(timeout)
            .and_then(|()| authorize(connection, rpc, request, &mut observed))
            .and_then(|rpc| permit.acquire_class(rpc).map(|()| rpc));
        (Self { permit: Some(PermitHandle::Owned(permit)), deadline, observed }, admitted)
    }

    pub(crate) fn server(&self) -> Option<&ServerState> {
        self.permit.as_ref().map(|permit| &*permit.connection().server)
    }

    /// Returns the permit, for sharing with frames of the response.
    pub(crate) fn permit(&mut self) -> &mut Option<PermitHandle> {
        &mut self.permit
    }

    /// Takes the permit for the only frame of the response.
    pub(crate) fn take_unsent_guard(&mut self) -> Option<UnsentGuard> {
        self.permit.take().map(UnsentGuard::new)
    }

    /// Returns the deadline of the call.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Returns why the call cannot go on, if it cannot.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        if Instant::now() >= self.deadline {
            Some(Refusal::DeadlineExceeded)
        } else {
            let phase = &self.permit.as_ref()?.connection().phase;
            (*phase.borrow() == Phase::ForceClosing).then_some(Refusal::Stopping)
        }
    }

    /// Marks any failure of the call as the caller's fault, for the log level.
    pub(crate) fn blame_caller(&mut self) {
        self.observed.blame_caller();
    }

    /// Replaces an internal error of a library with a refusal.
    pub(crate) fn hide_internals(&mut self, headers: &mut HeaderMap) {
        if refusal::hide_internals(headers) == Some(Refusal::MalformedRequest) {
            self.blame_caller();
        }
    }

    /// Records that the call succeeded.
    pub(crate) fn end_ok(self) {
        self.observed.end(Code::Ok, "");
    }

    /// Records how the call ended: the status in `headers`, which may be trailers.
    pub(crate) fn end(self, headers: &HeaderMap) {
        match refusal::status_code(headers) {
            Some(Code::Ok) => self.end_ok(),
            Some(code) => {
                let status = Status::from_header_map(headers);
                self.observed.end(code, status.as_ref().map_or("", Status::message));
            }
            None => self.observed.end(Code::Unknown, "the response has no status"),
        }
    }
}

/// Checks that the caller may call this RPC, and records its name.
fn authorize<B>(
    connection: &ConnectionState,
    rpc: Option<Rpc>,
    request: &Request<B>,
    observed: &mut CallObservation,
) -> Result<Rpc, Refusal> {
    let rpc = rpc.ok_or_else(|| Refusal::NoSuchRpc(request.uri().path().to_owned()))?;
    let caller = connection.server.access.check(rpc, request.headers(), &connection.peer_subject_names)?;
    let writes_anonymously = caller.is_none() && rpc.role == Some(Role::Writer);
    if writes_anonymously && request.extensions().get::<FromAnySite>().is_some() {
        return Err(Denial::WriteFromAnySite.into());
    }
    if let Some(caller) = caller {
        observed.set_caller(caller);
    }
    Ok(rpc)
}
