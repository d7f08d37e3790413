//! A call as a future, from its headers to its response.
//!
//! A request that is not gRPC is refused with an HTTP status. A call is admitted within the limits, and has a deadline
//! from then on ([`ConnectionState::begin`]). The fast path or the generated code answers it.

use std::convert::Infallible;
use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use tonic::Status;
use tonic::codegen::StdError;

use crate::rpc::Rpc;
use crate::server::call::body::{Content, RequestBody, ResponseBody};
use crate::server::call::connection_state::ConnectionState;
use crate::server::call::dispatch::Generated;
use crate::server::call::fast_path::{FastCall, Outcome};
use crate::server::call::grpc_web::Web;
use crate::server::call::in_flight::InFlight;
use crate::server::call::refusal::{self, Refusal};
use crate::server::call::state::Shared;

/// Answers the calls of a connection.
#[derive(Clone)]
pub(crate) struct Calls(Arc<ConnectionState>);

impl Calls {
    pub(crate) fn of(connection: Arc<ConnectionState>) -> Self {
        Self(connection)
    }

    /// Answers a call of HTTP/2.
    pub(crate) fn answer(&self, request: Request<RequestBody>) -> Call {
        match self.web(&request) {
            Some(web) => self.translate(web, request),
            None => self.call(request),
        }
    }

    /// Returns what answers a request if it is in gRPC-Web.
    fn web<B>(&self, request: &Request<B>) -> Option<&Web> {
        self.0.shared.web.as_ref().filter(|_| Web::takes(request))
    }

    /// Answers a call in gRPC-Web.
    fn translate<B>(&self, web: &Web, request: Request<B>) -> Call
    where
        B: Body<Data = Bytes, Error: Into<StdError> + Display> + Send + 'static,
    {
        let begun = Instant::now();
        // The inner gRPC call reports a malformed header.
        let deadline = self.0.deadline(begun, &request).unwrap_or(begun + self.0.shared.limits.deadline);
        let answer = Box::pin(web.answer(request, self.clone()));
        Call { in_flight: None, way: Handler::Web { answer, deadline } }
    }

    /// Answers a call in gRPC.
    fn call(&self, request: Request<RequestBody>) -> Call {
        let Shared { catalogue, found, dispatcher, .. } = &*self.0.shared;
        self.begin(request, |rpc, request, deadline| {
            let mut fast = match FastCall::take(rpc, request, dispatcher.compresses()) {
                Ok(fast) => fast,
                Err(request) => return Handler::Generated(dispatcher.call(rpc, request, Some(deadline))),
            };
            // No-op waker: a pending call is polled again by its task.
            match fast.poll_outcome(catalogue, found, &mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Outcome::Answered(response)) => Handler::Answered(response),
                Poll::Ready(Outcome::Declined(request)) => {
                    Handler::Generated(dispatcher.call(rpc, request, Some(deadline)))
                }
                Poll::Pending => Handler::FastCall(Box::new(fast)),
            }
        })
    }

    /// Admits a call and chooses its handler.
    fn begin<B: Body>(
        &self,
        request: Request<B>,
        way: impl FnOnce(Rpc, Request<B>, Instant) -> Handler,
    ) -> Call {
        if let Some(response) = refused_by_http(&request) {
            return Call::answered(response);
        }
        let (mut in_flight, admitted) = self.0.begin(&request);
        let way = match admitted {
            Ok(rpc) => way(rpc, request, in_flight.deadline()),
            Err(refusal) => {
                in_flight.blame_caller();
                Handler::Answered(refused(refusal))
            }
        };
        Call { in_flight: Some(in_flight), way }
    }
}

/// Requests over HTTP/1.1: calls of browsers, or requests that need HTTP/2.
impl hyper::service::Service<Request<hyper::body::Incoming>> for Calls {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Call;

    fn call(&self, request: Request<hyper::body::Incoming>) -> Call {
        if let Some(web) = self.web(&request) {
            return self.translate(web, request);
        }
        Call::answered(refusal::signpost("over HTTP/1.1, it takes gRPC-Web").map(Content::Generated))
    }
}

/// The calls of a browser, translated to gRPC.
impl tower::Service<Request<tonic::body::Body>> for Calls {
    type Response = Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let call = self.begin(request, |rpc, request, deadline| {
            Handler::Generated(self.0.shared.dispatcher.call(rpc, request, Some(deadline)))
        });
        let bytes =
            |body: ResponseBody| tonic::body::Body::new(body.map_frame(|frame| frame.map_data(Bytes::from)));
        Box::pin(async move {
            let (mut parts, mut answer) = call.await?.into_parts();
            // The translated response is written after this body is consumed, so pass the permit on.
            if let Some(counted) = answer.share() {
                parts.extensions.insert(counted);
            }
            Ok(Response::from_parts(parts, bytes(answer)))
        })
    }
}

/// A call that is being answered.
pub(crate) struct Call {
    in_flight: Option<InFlight>,
    way: Handler,
}

enum Handler {
    /// The response is ready.
    Answered(Response<Content>),
    /// The request has not arrived completely.
    FastCall(Box<FastCall>),
    Generated(Generated),
    /// A call of a browser; the call that it is translated to is the one that is in flight.
    Web {
        answer: Pin<Box<dyn Future<Output = Response<tonic::body::Body>> + Send>>,
        deadline: Instant,
    },
}

impl Call {
    /// A call that was answered without being admitted.
    fn answered(response: Response<Content>) -> Self {
        Self { in_flight: None, way: Handler::Answered(response) }
    }

    /// Returns the deadline; `None` if the response is complete.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.way {
            Handler::Web { deadline, .. } => Some(*deadline),
            Handler::Answered(_) | Handler::FastCall(_) | Handler::Generated(_) => {
                self.in_flight.as_ref().map(InFlight::deadline)
            }
        }
    }

    /// Returns whether the response is there, so that nothing of the request is read any more.
    pub(crate) fn is_answered(&self) -> bool {
        matches!(self.way, Handler::Answered(_))
    }

    /// Polls for the response.
    pub(crate) fn poll_response(&mut self, cx: &mut Context<'_>) -> Poll<Response<ResponseBody>> {
        let Self { in_flight, way } = self;
        let mut response = match way.poll(in_flight.as_mut(), cx) {
            Poll::Ready(response) => response,
            Poll::Pending => match in_flight.as_ref().and_then(InFlight::refusal) {
                Some(refusal) => refused(refusal),
                None => return Poll::Pending,
            },
        };
        let Some(call) = in_flight.take() else {
            let counted = response.extensions_mut().remove();
            return Poll::Ready(response.map(|content| ResponseBody::to_none(content, counted)));
        };
        // Responses of the generated code may be trailers-only; encoded frames never are.
        let is_over =
            !matches!(response.body(), Content::Ready(_)) && refusal::code(response.headers()).is_some();
        if is_over {
            call.end(response.headers());
            return Poll::Ready(response.map(|_| ResponseBody::default()));
        }
        Poll::Ready(response.map(|content| ResponseBody::to(call, content)))
    }
}

impl Future for Call {
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_response(cx).map(Ok)
    }
}

impl Handler {
    fn poll(&mut self, call: Option<&mut InFlight>, cx: &mut Context<'_>) -> Poll<Response<Content>> {
        loop {
            match self {
                Self::Answered(response) => return Poll::Ready(std::mem::take(response)),
                Self::FastCall(fast) => {
                    let Some(call) = call.as_deref() else { return Poll::Pending };
                    let Some(shared) = call.shared() else { return Poll::Pending };
                    match ready!(fast.poll_outcome(&shared.catalogue, &shared.found, cx)) {
                        Outcome::Answered(response) => return Poll::Ready(response),
                        Outcome::Declined(request) => {
                            let rpc = fast.rpc();
                            *self =
                                Self::Generated(shared.dispatcher.call(rpc, request, Some(call.deadline())));
                        }
                    }
                }
                Self::Generated(answer) => {
                    let Ok(response) = ready!(answer.as_mut().poll(cx));
                    let mut response = response.map(Content::Generated);
                    if let Some(call) = call {
                        call.hide_internals(response.headers_mut());
                    }
                    return Poll::Ready(response);
                }
                Self::Web { answer, .. } => {
                    return answer.as_mut().poll(cx).map(|answer| answer.map(Content::Generated));
                }
            }
        }
    }
}

fn refused(refusal: Refusal) -> Response<Content> {
    Status::from(refusal).into_http()
}

/// Refuses what is not a gRPC request: another method than POST, or another type of content.
fn refused_by_http<B>(request: &Request<B>) -> Option<Response<Content>> {
    let status = |status, allow: Option<&'static str>| {
        let mut response = Response::new(Content::Empty);
        *response.status_mut() = status;
        if let Some(allow) = allow {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
        }
        Some(response)
    };
    if request.method() != Method::POST {
        return status(StatusCode::METHOD_NOT_ALLOWED, Some("POST"));
    }
    let content_type = request.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    match content_type.strip_prefix(b"application/grpc") {
        Some([] | [b'+' | b';', ..]) => None,
        _ => status(StatusCode::UNSUPPORTED_MEDIA_TYPE, None),
    }
}
