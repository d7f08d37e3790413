//! A call as a future, from its headers to its response.
//!
//! Requests that are not gRPC get an HTTP error. A gRPC call is admitted and gets a deadline ([`CallContext::begin`]).
//! Then the fast path or the generated code handles it.

use std::convert::Infallible;
use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use tonic::Status;
use tonic::codegen::StdError;
use tracing::debug;

use crate::rpc::Rpc;
use crate::server::call::body::{Content, RequestBody, ResponseBody};
use crate::server::call::connection_state::ConnectionState;
use crate::server::call::context::CallContext;
use crate::server::call::dispatch::ResponseFuture;
use crate::server::call::fast_path::{FastCall, FastPathResult, WriteFuture};
use crate::server::call::origin::FromAnySite;
use crate::server::call::refusal::{self, Refusal};
use crate::server::call::web::{WebHandler, is_grpc};
use crate::servicer::catalog::MayWrite;

/// Handles the calls of a connection.
#[derive(Clone)]
pub(crate) struct CallHandler(Arc<ConnectionState>);

impl CallHandler {
    pub(crate) fn new(connection: Arc<ConnectionState>) -> Self {
        Self(connection)
    }

    /// Handles a request over HTTP/2.
    pub(crate) fn handle(&self, request: Request<RequestBody>) -> Call {
        match self.web(&request) {
            Some(web) => self.call_web(web, request),
            None => self.call_grpc(request),
        }
    }

    /// Returns the layer for requests that are not in gRPC, if this is one.
    fn web<B>(&self, request: &Request<B>) -> Option<&WebHandler> {
        self.0.server.web.as_ref().filter(|web| web.handles(request))
    }

    /// Handles a request that is not in gRPC.
    fn call_web<B>(&self, web: &WebHandler, request: Request<B>) -> Call
    where
        B: Body<Data = Bytes, Error: Into<StdError> + Display> + Send + Unpin + 'static,
    {
        let began = Instant::now();
        // Also for requests that become no call, such as health checks.
        self.0.calls.mark_used(began);
        // The inner gRPC call reports a malformed header.
        let deadline = self.0.deadline(began, &request).unwrap_or(began + self.0.server.limits.deadline);
        let response = Box::pin(web.clone().call(request, self.clone()));
        Call { context: None, handler: Handler::Web { response, deadline } }
    }

    /// Handles a call in gRPC.
    fn call_grpc(&self, request: Request<RequestBody>) -> Call {
        self.call_fast(request, |fast, _| Handler::FastCall(Box::new(fast)))
    }

    /// Handles a call in gRPC that stands for another request.
    fn call_translated<B>(&self, request: Request<B>) -> Call
    where
        B: Body<Data = Bytes, Error: Into<StdError> + Send + Unpin> + Send + Unpin + 'static,
    {
        // The request has not arrived completely, which is rare: most have no body to wait for.
        self.call_fast(request, |fast, deadline| {
            let rpc = fast.rpc();
            Handler::Generated(self.0.server.dispatcher.call(rpc, fast.decline(), Some(deadline)))
        })
    }

    /// Handles a call on the fast path if that supports it, or else by the generated code. `wait` handles a call whose
    /// request has not arrived completely.
    fn call_fast<B>(&self, request: Request<B>, wait: impl FnOnce(FastCall<B>, Instant) -> Handler) -> Call
    where
        B: Body<Data = Bytes, Error: Into<StdError> + Send + Unpin> + Send + Unpin + 'static,
    {
        let server = &*self.0.server;
        let dispatcher = &server.dispatcher;
        self.begin(request, |rpc, request, deadline| {
            let mut fast = match FastCall::try_new(rpc, request, dispatcher.compresses()) {
                Ok(fast) => fast,
                Err(request) => return Handler::Generated(dispatcher.call(rpc, request, Some(deadline))),
            };
            // No-op waker: a pending call is polled again by its task.
            match fast.poll_result(server.responders(), &mut Context::from_waker(Waker::noop())) {
                Poll::Ready(FastPathResult::Response(response)) => Handler::Answered(response),
                Poll::Ready(FastPathResult::PendingWrite(response)) => Handler::Writing(response),
                Poll::Ready(FastPathResult::Declined(request)) => {
                    Handler::Generated(dispatcher.call(rpc, request, Some(deadline)))
                }
                Poll::Pending => wait(fast, deadline),
            }
        })
    }

    /// Answers a request that is for no call.
    fn refuse(&self, response: Response<Content>) -> Call {
        let status = response.status();
        self.0.server.metrics.http_refused(status);
        debug!(%status, "refused a request that is no call");
        Call { context: None, handler: Handler::Answered(response) }
    }

    /// Admits a call and chooses its handler.
    fn begin<B: Body>(
        &self,
        mut request: Request<B>,
        choose_handler: impl FnOnce(Rpc, Request<B>, Instant) -> Handler,
    ) -> Call {
        if let Some(response) = http_error(&request) {
            return self.refuse(response);
        }
        let (mut context, admitted) = CallContext::begin(&self.0, &request);
        let handler = match admitted {
            Ok(rpc) => {
                if rpc.reports_access() {
                    let connection = &self.0;
                    let access = &connection.server.access;
                    let is_from_any_site = request.extensions().get::<FromAnySite>().is_some();
                    let may_write = access.may_write(request.headers(), &connection.peer_subject_names)
                        && (access.identifies_callers() || !is_from_any_site);
                    request.extensions_mut().insert(MayWrite(may_write));
                }
                choose_handler(rpc, request, context.deadline())
            }
            Err(refusal) => {
                context.blame_caller();
                Handler::Answered(refused(refusal))
            }
        };
        Call { context: Some(context), handler }
    }
}

/// Requests over HTTP/1.1: any but calls in gRPC, which need HTTP/2.
impl hyper::service::Service<Request<hyper::body::Incoming>> for CallHandler {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Http1Call;

    fn call(&self, request: Request<hyper::body::Incoming>) -> Http1Call {
        let call = if let Some(web) = self.web(&request) {
            self.call_web(web, request)
        } else {
            let hint = "over HTTP/1.1, it serves gRPC-Web, and JSON unless --http is off";
            self.refuse(refusal::http_version_not_supported(hint).map(Content::Generated))
        };
        Http1Call { call, connection: self.0.clone() }
    }
}

/// A request over HTTP/1.1, until its response begins.
pub(crate) struct Http1Call {
    call: Call,
    connection: Arc<ConnectionState>,
}

impl Future for Http1Call {
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut response = ready!(self.call.poll_response(cx));
        if self.connection.is_draining() {
            // The last response of the connection (RFC 9112, section 9.6).
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Poll::Ready(Ok(response))
    }
}

/// Calls in gRPC that stand for other requests.
impl<B> tower::Service<Request<B>> for CallHandler
where
    B: Body<Data = Bytes, Error: Into<StdError> + Send + Unpin> + Send + Unpin + 'static,
{
    type Response = Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let call = self.call_translated(request);
        Box::pin(async move {
            let (mut parts, mut body) = call.await?.into_parts();
            // The translated response is written after this body is consumed, so pass the permit on.
            if let Some(permit) = body.share_permit() {
                parts.extensions.insert(permit);
            }
            let body = body.map_frame(|frame| frame.map_data(Bytes::from));
            Ok(Response::from_parts(parts, tonic::body::Body::new(body)))
        })
    }
}

/// A call until its response begins.
pub(crate) struct Call {
    /// `None` for an HTTP error, and for a request that is not in gRPC: the inner gRPC call has the context.
    context: Option<CallContext>,
    handler: Handler,
}

enum Handler {
    /// The response is ready.
    Answered(Response<Content>),
    /// The request has not arrived completely.
    FastCall(Box<FastCall>),
    Generated(ResponseFuture),
    /// A write on the fast path.
    Writing(WriteFuture),
    /// A request that is not in gRPC.
    Web {
        response: Pin<Box<dyn Future<Output = Response<tonic::body::Body>> + Send>>,
        deadline: Instant,
    },
}

impl Call {
    /// Returns the deadline; `None` if the response is ready and needs none.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.handler {
            Handler::Web { deadline, .. } => Some(*deadline),
            Handler::Answered(_) | Handler::FastCall(_) | Handler::Generated(_) | Handler::Writing(_) => {
                self.context.as_ref().map(CallContext::deadline)
            }
        }
    }

    /// Returns whether the response is ready, so that no more of the request is read.
    pub(crate) fn is_answered(&self) -> bool {
        matches!(self.handler, Handler::Answered(_))
    }

    /// Polls for the response.
    pub(crate) fn poll_response(&mut self, cx: &mut Context<'_>) -> Poll<Response<ResponseBody>> {
        let Self { context, handler } = self;
        let mut response = match handler.poll_response(context.as_mut(), cx) {
            Poll::Ready(response) => response,
            Poll::Pending => match context.as_ref().and_then(CallContext::refusal) {
                Some(refusal) => refused(refusal),
                None => return Poll::Pending,
            },
        };
        let Some(context) = context.take() else {
            let permit = response.extensions_mut().remove();
            return Poll::Ready(response.map(|content| ResponseBody::detached(content, permit)));
        };
        // Responses of the generated code may be trailers-only; encoded frames never are.
        let is_trailers_only = !matches!(response.body(), Content::Encoded(_) | Content::Watch(_))
            && refusal::status_code(response.headers()).is_some();
        if is_trailers_only {
            context.end(response.headers());
            return Poll::Ready(response.map(|_| ResponseBody::default()));
        }
        Poll::Ready(response.map(|content| ResponseBody::for_call(context, content)))
    }
}

impl Future for Call {
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_response(cx).map(Ok)
    }
}

impl Handler {
    fn poll_response(
        &mut self,
        context: Option<&mut CallContext>,
        cx: &mut Context<'_>,
    ) -> Poll<Response<Content>> {
        loop {
            match self {
                Self::Answered(response) => return Poll::Ready(std::mem::take(response)),
                Self::FastCall(fast) => {
                    let Some(context) = context.as_deref() else { return Poll::Pending };
                    let Some(server) = context.server() else { return Poll::Pending };
                    match ready!(fast.poll_result(server.responders(), cx)) {
                        FastPathResult::Response(response) => return Poll::Ready(response),
                        FastPathResult::PendingWrite(response) => *self = Self::Writing(response),
                        FastPathResult::Declined(request) => {
                            let deadline = Some(context.deadline());
                            *self = Self::Generated(server.dispatcher.call(fast.rpc(), request, deadline));
                        }
                    }
                }
                Self::Generated(response) => {
                    let Ok(response) = ready!(response.as_mut().poll(cx));
                    let mut response = response.map(Content::Generated);
                    if let Some(context) = context {
                        context.hide_internals(response.headers_mut());
                    }
                    return Poll::Ready(response);
                }
                Self::Writing(response) => return response.as_mut().poll(cx),
                Self::Web { response, .. } => {
                    return response.as_mut().poll(cx).map(|response| response.map(Content::Generated));
                }
            }
        }
    }
}

fn refused(refusal: Refusal) -> Response<Content> {
    Status::from(refusal).into_http()
}

/// Returns the HTTP error for a request that is not gRPC: with another method than POST, or another content type.
fn http_error<B>(request: &Request<B>) -> Option<Response<Content>> {
    let error = |status, allow: Option<&'static str>| {
        let mut response = Response::new(Content::Empty);
        *response.status_mut() = status;
        if let Some(allow) = allow {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
        }
        Some(response)
    };
    if request.method() != Method::POST {
        return error(StatusCode::METHOD_NOT_ALLOWED, Some("POST"));
    }
    if is_grpc(request) { None } else { error(StatusCode::UNSUPPORTED_MEDIA_TYPE, None) }
}
