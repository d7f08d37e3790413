//! gRPC-Web: calls from the pages of a browser, over HTTP/1.1 and HTTP/2.
//!
//! Browsers cannot read trailers, so gRPC-Web sends them as the last frame of the body
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md>). Browsers also require CORS for calls to another
//! origin (<https://fetch.spec.whatwg.org/#http-cors-protocol>). This module translates both: the inner service sees
//! plain gRPC, and its responses, including trailers-only errors, reach the page.

use std::convert::Infallible;
use std::error::Error;
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCESS_CONTROL_REQUEST_METHOD, CONTENT_TYPE, ORIGIN};
use http::uri::Authority;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use tonic::Status;
use tonic::body::Body;
use tonic_web::GrpcWebLayer;
use tower::{Layer, Service, ServiceExt};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::server::call::compression::negotiation::{GRPC_ACCEPT_ENCODING, GRPC_ENCODING};

/// Common prefix of the gRPC-Web content types.
const GRPC_WEB: &[u8] = b"application/grpc-web";

/// Their suffixes: binary or base64, with or without `+proto`.
const SUFFIXES: [&[u8]; 4] = [b"", b"+proto", b"-text", b"-text+proto"];

/// Response headers that a page may read, in addition to the CORS-safelisted ones.
const EXPOSED_HEADERS: [HeaderName; 5] = [
    Status::GRPC_STATUS,
    Status::GRPC_MESSAGE,
    Status::GRPC_STATUS_DETAILS,
    GRPC_ENCODING,
    GRPC_ACCEPT_ENCODING,
];

/// How long a browser may cache a preflight response; Chromium's maximum.
const PREFLIGHT_LIFETIME: Duration = Duration::from_hours(2);

/// An allowed origin (RFC 6454), or any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Any origin; written `*`.
    Any,
    /// One origin, such as `https://films.example`: scheme, host, and the port unless it is the default of the scheme.
    Site(HeaderValue),
}

/// The text is not a valid [`Origin`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected `*`, or http:// or https:// with a host, an optional port and no path, for example https://films.example or http://localhost:8080"
)]
pub struct InvalidOrigin;

impl FromStr for Origin {
    type Err = InvalidOrigin;

    /// Parses an origin, and normalizes it as browsers do: in lower case, without the default port or a slash at the end.
    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let text = text.to_ascii_lowercase();
        let (scheme, rest) = text.split_once("://").ok_or(InvalidOrigin)?;
        let default_port = match scheme {
            "http" => ":80",
            "https" => ":443",
            _ => return Err(InvalidOrigin),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let authority: Authority = rest.parse().map_err(|_| InvalidOrigin)?;
        let host = authority.host();
        // `Authority` also accepts user info and characters that no host name has.
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte);
        let after = rest.strip_prefix(host).ok_or(InvalidOrigin)?;
        let has_port = after.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
        if host.is_empty() || !host.bytes().all(is_host) || !(after.is_empty() || has_port) {
            return Err(InvalidOrigin);
        }
        // After the check, so that `host:8080:443` is not accepted.
        let rest = rest.strip_suffix(default_port).unwrap_or(rest);
        HeaderValue::try_from(format!("{scheme}://{rest}")).map(Self::Site).map_err(|_| InvalidOrigin)
    }
}

/// Translates gRPC-Web for pages of the allowed origins.
#[derive(Clone)]
pub(crate) struct GrpcWeb {
    origins: Arc<[Origin]>,
    cors: CorsLayer,
}

impl GrpcWeb {
    /// Allows calls from pages of `origins`.
    pub(crate) fn new(origins: &[Origin]) -> Self {
        let allowed = if origins.contains(&Origin::Any) {
            AllowOrigin::any()
        } else {
            AllowOrigin::list(origins.iter().filter_map(|origin| match origin {
                Origin::Any => None,
                Origin::Site(site) => Some(site.clone()),
            }))
        };
        let cors = CorsLayer::new()
            .allow_origin(allowed)
            .allow_methods([Method::POST])
            // Metadata of a call is its headers, so any may be sent.
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers(EXPOSED_HEADERS)
            .max_age(PREFLIGHT_LIFETIME);
        Self { origins: origins.into(), cors }
    }

    /// Returns whether a request is for [`GrpcWeb::call`]: a call in gRPC-Web, or a CORS preflight.
    pub(crate) fn matches<B>(request: &Request<B>) -> bool {
        content_type_suffix(request).is_some() || is_preflight(request)
    }

    /// Calls `service` in plain gRPC, and translates its response.
    ///
    /// A request with an `Origin` that is not allowed is refused before it is read. This stops DNS rebinding: the
    /// browser sees such a call as same-origin and does not enforce CORS.
    pub(crate) fn call<S, B>(
        &self,
        request: Request<B>,
        service: S,
    ) -> impl Future<Output = Response<Body>> + use<S, B>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>> + Display,
    {
        let refused = if request.headers().get(ORIGIN).is_some_and(|origin| !self.allows(origin)) {
            Some(StatusCode::FORBIDDEN)
        } else if content_type_suffix(&request).is_some_and(|suffix| !SUFFIXES.contains(&suffix)) {
            Some(StatusCode::UNSUPPORTED_MEDIA_TYPE)
        } else {
            None
        };
        let service = self.cors.layer(GrpcWebLayer::new().layer(service));
        async move {
            if let Some(status) = refused {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = status;
                return response;
            }
            let Ok(response) = service.oneshot(request).await;
            response
        }
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        self.origins.iter().any(|allowed| match allowed {
            Origin::Any => true,
            Origin::Site(site) => site == origin,
        })
    }
}

/// Returns the suffix of a gRPC-Web content type; `None` for other requests.
fn content_type_suffix<B>(request: &Request<B>) -> Option<&[u8]> {
    request.headers().get(CONTENT_TYPE)?.as_bytes().strip_prefix(GRPC_WEB)
}

/// Returns whether a request is a CORS preflight.
fn is_preflight<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    request.method() == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

#[cfg(test)]
mod tests;
