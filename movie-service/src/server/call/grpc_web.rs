//! gRPC-Web: calls from the pages of a browser, over HTTP/1.1 and HTTP/2.
//!
//! Browsers cannot read trailers, so gRPC-Web sends them as the last frame of the body
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md>). The inner service sees plain gRPC, and its responses,
//! including trailers-only errors, reach the page.

use std::convert::Infallible;
use std::error::Error;
use std::fmt::Display;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, Response, StatusCode};
use tonic::body::Body;
use tonic_web::GrpcWebLayer;
use tower::{Layer, Service, ServiceExt};

/// Common prefix of the gRPC-Web content types.
const GRPC_WEB: &[u8] = b"application/grpc-web";

/// Their suffixes: binary or base64, with or without `+proto`.
const SUFFIXES: [&[u8]; 4] = [b"", b"+proto", b"-text", b"-text+proto"];

/// Returns whether a request is a call in gRPC-Web.
pub(crate) fn is_call<B>(request: &Request<B>) -> bool {
    content_type_suffix(request).is_some()
}

/// Calls `service` in plain gRPC, and translates its response.
pub(crate) async fn call<S, B>(request: Request<B>, service: S) -> Response<Body>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>> + Display,
{
    if content_type_suffix(&request).is_some_and(|suffix| !SUFFIXES.contains(&suffix)) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return response;
    }
    let Ok(response) = GrpcWebLayer::new().layer(service).oneshot(request).await;
    response
}

/// Returns the suffix of a gRPC-Web content type; `None` for other requests.
fn content_type_suffix<B>(request: &Request<B>) -> Option<&[u8]> {
    request.headers().get(CONTENT_TYPE)?.as_bytes().strip_prefix(GRPC_WEB)
}

#[cfg(test)]
mod tests;
