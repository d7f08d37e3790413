//! The way of a call, from its headers to its answer.
//!
//! What is no gRPC is refused as HTTP does. A call is taken in if there is room for it, and has a deadline from then
//! on ([`Connection::begin`]). Then it is answered: the fast way, or by the generated code.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::{Body, Incoming};
use tonic::Status;

use super::body::{Answer, Content};
use super::call::{Connection, InFlight};
use super::executor;
use super::fast::{Fast, Outcome};
use super::refusal::{self, Refusal};
use super::routes::Generated;

/// Answers the calls of a connection.
#[derive(Clone)]
pub(super) struct Calls(Arc<Connection>);

impl Calls {
    pub(super) fn of(connection: Arc<Connection>) -> Self {
        Self(connection)
    }

    /// Begins a call, and finds the way in which it is answered.
    fn begin<B: Body>(&self, request: Request<B>, way: impl FnOnce(Request<B>) -> Way) -> Call {
        if let Some(response) = refused_by_http(&request) {
            return Call { in_flight: None, way: Way::Refused(response) };
        }
        let (in_flight, admitted) = self.0.begin(&request);
        executor::next_call_until(in_flight.deadline());
        let way = match admitted {
            Ok(()) => way(request),
            Err(refusal) => Way::Refused(refused(refusal)),
        };
        Call { in_flight: Some(in_flight), way }
    }
}

impl hyper::service::Service<Request<Incoming>> for Calls {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Call;

    fn call(&self, request: Request<Incoming>) -> Call {
        self.begin(request, |request| match Fast::take(request) {
            Ok(fast) => Way::Fast(fast),
            Err(request) => Way::Generated(self.0.shared.routes.call(request)),
        })
    }
}

/// A call that is being answered.
pub(super) struct Call {
    in_flight: Option<InFlight>,
    way: Way,
}

#[expect(clippy::large_enum_variant, reason = "a box is an allocation a call")]
enum Way {
    Refused(Response<Content>),
    Fast(Fast),
    Generated(Generated),
}

impl Future for Call {
    type Output = Result<Response<Answer>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { in_flight, way } = &mut *self;
        let (parts, content) = match way.poll(in_flight.as_ref(), cx) {
            Poll::Ready(response) => response.into_parts(),
            Poll::Pending => match in_flight.as_ref().and_then(InFlight::refusal) {
                Some(refusal) => refused(refusal).into_parts(),
                None => return Poll::Pending,
            },
        };
        let answer = match (in_flight.take(), refusal::code(&parts.headers)) {
            (Some(call), None) => Answer::to(call, content),
            // The headers have the status: nothing follows.
            (Some(call), Some(code)) => {
                call.end(code);
                Answer::default()
            }
            (None, _) => Answer::default(),
        };
        Poll::Ready(Ok(Response::from_parts(parts, answer)))
    }
}

impl Way {
    fn poll(&mut self, call: Option<&InFlight>, cx: &mut Context<'_>) -> Poll<Response<Content>> {
        loop {
            match self {
                Self::Refused(response) => return Poll::Ready(std::mem::take(response)),
                Self::Fast(fast) => {
                    let Some(shared) = call.map(InFlight::shared) else { return Poll::Pending };
                    match ready!(fast.poll_outcome(&shared.catalogue, &shared.found, cx)) {
                        Outcome::Answered(response) => return Poll::Ready(response),
                        Outcome::Declined(request) => *self = Self::Generated(shared.routes.call(request)),
                    }
                }
                Self::Generated(answer) => {
                    let Ok(response) = ready!(answer.as_mut().poll(cx));
                    let mut response = response.map(Content::Generated);
                    super::log_hidden(refusal::hide_internals(response.headers_mut()));
                    return Poll::Ready(response);
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
