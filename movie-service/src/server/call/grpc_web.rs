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
use http::{Request, Response};
use tonic::body::Body;
use tonic_web::GrpcWebLayer;
use tower::{Layer, Service, ServiceExt};

use crate::server::call::transcoding::error::HttpError;
use crate::server::call::transcoding::response::full;

/// Common prefix of the gRPC-Web content types.
const GRPC_WEB: &[u8] = b"application/grpc-web";

/// Their suffixes: binary or base64, with or without `+proto`.
const SUFFIXES: [&[u8]; 4] = [b"", b"+proto", b"-text", b"-text+proto"];

/// The content types, for an error.
const ACCEPTED: [&str; 2] = ["application/grpc-web+proto", "application/grpc-web-text+proto"];

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
    if let Some(suffix) = content_type_suffix(&request)
        && !SUFFIXES.contains(&suffix)
    {
        let given = [GRPC_WEB, suffix].concat();
        let given = String::from_utf8_lossy(&given).into_owned();
        return full(
            HttpError::UnsupportedMediaType { given: Some(given), accepted: &ACCEPTED }.into_response(),
        );
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
