//! Responses of a call, as JSON.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, LOCATION, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tonic::body::Body;
use tonic::{Code, Status};

use crate::server::call::message::prefix::PREFIX_BYTES;
use crate::server::call::refusal::{self, Refusal};
use crate::server::call::transcoding::conditional;
use crate::server::call::transcoding::error::allow;
use crate::server::call::transcoding::json_writer::{Layout, text_field};
use crate::server::call::transcoding::routes::Route;
use crate::server::call::transcoding::stream::{Framing, TranscodedStream};

/// The header with which nginx's buffering is turned off for one response.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Maximum size of a part of a body that is sent, or compressed, in one go, in bytes.
const MAX_CHUNK_BYTES: usize = 64 * 1024;

/// Characters that stay as they are in a segment of a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Returns the response with a message.
pub(crate) fn unary(
    route: &Route,
    message: &[u8],
    layout: Layout,
    headers: &HeaderMap,
) -> Result<Response<Body>, Status> {
    let mut json = Vec::with_capacity(message.len() * 2);
    route.writer.write(message, layout, &mut json).map_err(|_| Status::from(Refusal::Internal))?;
    json.push(b'\n');
    let of_resource = route.etag.and_then(|number| text_field(message, number));
    let is_read = route.method == Method::GET;
    let etag = (is_read || of_resource.is_some()).then(|| conditional::etag(of_resource, &json)).flatten();
    let mut response = Response::new(json);
    let response_headers = response.headers_mut();
    response_headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let caching = if is_read { "no-cache" } else { "no-store" };
    response_headers.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    if is_read {
        return Ok(with_etag(response, etag, headers));
    }
    if let Some(etag) = etag {
        response_headers.insert(ETAG, etag);
    }
    if let Some((prefix, field)) = &route.created {
        let id = text_field(message, field.number()).unwrap_or_default();
        let location = HeaderValue::try_from(format!("{prefix}{}", utf8_percent_encode(id, SEGMENT)));
        // Clients resolve these within a path (RFC 3986, section 5.2.4).
        if let (Ok(location), false) = (location, matches!(id, "." | "..")) {
            response_headers.insert(LOCATION, location);
        }
        *response.status_mut() = StatusCode::CREATED;
    }
    Ok(full(response))
}

/// Returns the response to a GET request, with its etag; 304 if the caller has the body already.
pub(crate) fn with_etag(
    mut response: Response<impl Into<Bytes>>,
    etag: Option<HeaderValue>,
    headers: &HeaderMap,
) -> Response<Body> {
    let Some(etag) = etag else { return full(response) };
    let is_known = conditional::is_known(headers, &etag);
    response.headers_mut().insert(ETAG, etag);
    if !is_known {
        return full(response);
    }
    for name in [CONTENT_TYPE, CONTENT_ENCODING] {
        response.headers_mut().remove(name);
    }
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    response.map(|_| Body::empty())
}

/// Returns the response with a stream of messages. Waits for the first one, so that a call that fails at once has the
/// status of its error.
pub(crate) async fn stream(
    route: &Arc<Route>,
    mut body: Body,
    framing: Framing,
    layout: Layout,
) -> Result<Response<Body>, Status> {
    let first = body.frame().await.ok_or_else(|| Status::from(Refusal::Internal))??;
    if let Some(trailers) = first.trailers_ref()
        && refusal::status_code(trailers) != Some(Code::Ok)
    {
        return Err(status_of(trailers));
    }
    let stream = TranscodedStream::new(first, body, route.clone(), framing, layout);
    let mut response = Response::new(Body::new(stream));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(framing.media_type()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("accept"));
    if framing != Framing::Array {
        // nginx would keep the lines until its buffer is full.
        headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    }
    Ok(response)
}

/// Reads the only message of a response, without its prefix.
pub(crate) async fn message(body: Body) -> Result<Bytes, Status> {
    let response = body.collect().await?;
    let status = response.trailers().map(status_of);
    let message = response.to_bytes();
    match status {
        Some(status) if status.code() != Code::Ok => Err(status),
        Some(_) if message.len() >= PREFIX_BYTES => Ok(message.slice(PREFIX_BYTES..)),
        _ => Err(Refusal::Internal.into()),
    }
}

/// Returns the status in the headers or trailers of a response.
pub(crate) fn status_of(headers: &HeaderMap) -> Status {
    Status::from_header_map(headers).unwrap_or_else(|| Refusal::Internal.into())
}

/// Returns the response to a request for the methods of a path.
pub(crate) fn options(methods: &[Method]) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(ALLOW, allow(methods));
    response
}

/// Returns a response with its length.
pub(crate) fn full(response: Response<impl Into<Bytes>>) -> Response<Body> {
    let mut response = response.map(Into::into);
    let length = HeaderValue::from(response.body().len());
    response.headers_mut().insert(CONTENT_LENGTH, length);
    response.map(|rest| Body::new(Chunks { rest, has_yielded: false }))
}

/// A body in chunks, between which other tasks run: to compress a long one in one go would delay other calls.
struct Chunks {
    rest: Bytes,
    has_yielded: bool,
}

impl http_body::Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        if self.rest.len() > MAX_CHUNK_BYTES && !std::mem::replace(&mut self.has_yielded, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.has_yielded = false;
        let length = self.rest.len().min(MAX_CHUNK_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
