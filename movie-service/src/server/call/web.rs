//! Requests that are not in gRPC: gRPC-Web, JSON over HTTP, the page, and CORS preflights.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt::Display;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_REQUEST_METHOD, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_TYPE, ORIGIN, VARY,
};
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use tokio::sync::watch;
use tonic::body::Body;
use tonic::codegen::StdError;
use tower::{Layer, ServiceExt, service_fn};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;
use tracing::debug;

use crate::server::call::dispatch::Features;
use crate::server::call::grpc_web;
use crate::server::call::origin::{FromAnySite, OriginPolicy, Sender};
use crate::server::call::page::files::PageFiles;
use crate::server::call::task::CallHandler;
use crate::server::call::transcoding::conditional;
use crate::server::call::transcoding::error::HttpError;
use crate::server::call::transcoding::request::preferred_coding;
use crate::server::call::transcoding::response::{full, options, with_etag};
use crate::server::call::transcoding::routes::RoutesError;
use crate::server::call::transcoding::transcoder::Transcoder;
use crate::server::limits::Limits;
use crate::telemetry::metrics::{HttpRequest, Metrics};

/// Minimum size of a body that is compressed, in bytes.
const MIN_COMPRESSED_BYTES: u64 = 1024;

type IsCompressed = fn(StatusCode, Version, &HeaderMap, &Extensions) -> bool;

/// Streams have no length and are not compressed: the compressor of each would take up to 3 MB, and a long list would occupy
/// the thread that serves other calls, too.
const IS_COMPRESSED: IsCompressed = |_, _, headers, _| {
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    length.is_some_and(|length| length >= MIN_COMPRESSED_BYTES)
};

/// Handles requests that are not in gRPC. Clones share everything.
#[derive(Clone)]
pub(crate) struct WebHandler(Arc<Inner>);

struct Inner {
    policy: OriginPolicy,
    cors: CorsLayer,
    metrics: Metrics,
    /// `None` if only gRPC-Web is on.
    json: Option<Arc<JsonHandler>>,
}

struct JsonHandler {
    transcoder: Transcoder,
    page: PageFiles,
    compression: CompressionLayer<IsCompressed>,
    /// Whether the service is serving, and its store available.
    serving: watch::Receiver<bool>,
}

/// What the requests that are not in gRPC depend on.
pub(crate) struct WebOptions<'a> {
    pub(crate) features: &'a Features,
    pub(crate) limits: &'a Limits,
    pub(crate) metrics: Metrics,
    /// Whether the service uses TLS.
    pub(crate) is_secure: bool,
    /// Whether the service listens on the loopback interface only.
    pub(crate) is_loopback: bool,
    /// Whether the service is serving, and its store available.
    pub(crate) serving: watch::Receiver<bool>,
}

impl WebHandler {
    /// Returns `None` if neither JSON nor gRPC-Web is on.
    ///
    /// # Errors
    ///
    /// [`RoutesError`] if an annotation of the contract is not supported.
    pub(crate) fn new(options: WebOptions<'_>) -> Result<Option<Self>, RoutesError> {
        let WebOptions { features, limits, metrics, is_secure, is_loopback, serving } = options;
        if !features.http && features.web.is_empty() {
            return Ok(None);
        }
        let policy = OriginPolicy::new(&features.web, features.http, is_secure, is_loopback);
        let json = if features.http {
            let compression =
                CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(IS_COMPRESSED);
            let transcoder = Transcoder::new(limits.message, limits.import_message)?;
            let page = PageFiles::new(&features.poster_origins);
            Some(Arc::new(JsonHandler { transcoder, page, compression, serving }))
        } else {
            None
        };
        Ok(Some(Self(Arc::new(Inner { cors: policy.cors(), policy, metrics, json }))))
    }

    /// Returns whether a request is for [`WebHandler::call`], not a call in gRPC or an invalid one.
    pub(crate) fn handles<B>(&self, request: &Request<B>) -> bool {
        grpc_web::is_call(request) || is_preflight(request) || (self.0.json.is_some() && !is_grpc(request))
    }

    /// Handles a request, by calls in plain gRPC.
    pub(crate) async fn call<B>(self, request: Request<B>, calls: CallHandler) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes, Error: Into<StdError> + Display> + Send + Unpin + 'static,
    {
        let is_head = *request.method() == Method::HEAD;
        let (metrics, kind) = (self.0.metrics.clone(), self.kind(&request));
        let mut response = self.checked(request, calls).await;
        if let Some(error) = response.extensions_mut().remove::<HttpError>() {
            let (status, _, reason) = error.status();
            metrics.http_refused(status);
            debug!(%status, reason, %error, "refused a request that is no call");
        }
        metrics.http_responded(kind, response.status());
        vary(response.headers_mut());
        if is_head { response.map(|_| Body::empty()) } else { response }
    }

    /// Returns the kind of a request, for the metrics.
    fn kind<B>(&self, request: &Request<B>) -> HttpRequest {
        if grpc_web::is_call(request) {
            HttpRequest::GrpcWeb
        } else if is_preflight(request) {
            HttpRequest::Preflight
        } else {
            match request.uri().path() {
                "/" => HttpRequest::Page,
                "/healthz" => HttpRequest::Health,
                path if self.has_asset(path) => HttpRequest::Page,
                _ => HttpRequest::Json,
            }
        }
    }

    /// Returns whether the page has an asset with this path.
    fn has_asset(&self, path: &str) -> bool {
        self.0.json.as_ref().is_some_and(|json| json.page.asset(path).is_some())
    }

    /// Handles a request if its host and its origin may be served.
    async fn checked<B>(self, mut request: Request<B>, calls: CallHandler) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes, Error: Into<StdError> + Display> + Send + Unpin + 'static,
    {
        match self.0.policy.check(&request) {
            Ok(Sender::Known) => {}
            Ok(Sender::AnySite) => drop(request.extensions_mut().insert(FromAnySite)),
            // A browser sends the origin for scripts, too. They are the same for everyone, and without them the page could not
            // say that its calls are not allowed.
            Err(HttpError::OriginNotAllowed(_)) if self.has_asset(request.uri().path()) => {}
            Err(error) => return full(error.into_response()),
        }
        if !request.headers().contains_key(ORIGIN) {
            return self.respond(request, calls).await;
        }
        let web = self.clone();
        let service = service_fn(move |request| {
            let response = web.clone().respond(request, calls.clone());
            async move { Ok::<_, Infallible>(response.await) }
        });
        let Ok(response) = self.0.cors.layer(service).oneshot(request).await;
        response
    }

    async fn respond<B>(self, mut request: Request<B>, calls: CallHandler) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes, Error: Into<StdError> + Display> + Send + Unpin + 'static,
    {
        if grpc_web::is_call(&request) {
            return grpc_web::call(request, calls).await;
        }
        let Some(json) = &self.0.json else {
            return full(HttpError::NotFound(request.uri().path().to_owned()).into_response());
        };
        if let Some(asset) = json.page.asset(request.uri().path()) {
            return read_only(&request, || asset.response(request.headers()));
        }
        let coding = preferred_coding(request.headers());
        if coding == "identity" {
            return json.respond(request, calls).await;
        }
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static(coding));
        let inner = json.clone();
        let service = service_fn(move |request| {
            let (json, calls) = (inner.clone(), calls.clone());
            async move { Ok::<_, Infallible>(json.respond(request, calls).await) }
        });
        let Ok(response) = json.compression.layer(service).oneshot(request).await;
        let mut response = response.map(Body::new);
        if response.headers().contains_key(CONTENT_ENCODING) {
            conditional::weaken(response.headers_mut());
        }
        response
    }
}

impl JsonHandler {
    async fn respond<B>(&self, request: Request<B>, calls: CallHandler) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes, Error: Into<StdError>> + Send + Unpin + 'static,
    {
        match request.uri().path() {
            "/" => read_only(&request, || self.page.document(request.headers())),
            "/healthz" => read_only(&request, || full(self.health())),
            "/openapi.json" => read_only(&request, || contract(request.headers())),
            _ => self.transcoder.call(request, calls).await,
        }
    }

    /// Answers a health check: 200 if the service is serving, else 503.
    fn health(&self) -> Response<Vec<u8>> {
        let (status, text) = if *self.serving.borrow() {
            (StatusCode::OK, "serving\n")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "not serving\n")
        };
        let mut response = Response::new(text.as_bytes().to_vec());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

/// Returns the OpenAPI document of the contract.
fn contract(headers: &HeaderMap) -> Response<Body> {
    static ETAG_OF_CONTRACT: LazyLock<Option<HeaderValue>> =
        LazyLock::new(|| conditional::etag(None, movie_proto::OPENAPI.as_bytes()));
    let mut response = Response::new(Bytes::from_static(movie_proto::OPENAPI.as_bytes()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    with_etag(response, ETAG_OF_CONTRACT.clone(), headers)
}

/// Answers a request for something that can only be read.
fn read_only<B>(request: &Request<B>, read: impl FnOnce() -> Response<Body>) -> Response<Body> {
    const METHODS: [Method; 3] = [Method::GET, Method::HEAD, Method::OPTIONS];
    match *request.method() {
        Method::GET | Method::HEAD => read(),
        Method::OPTIONS => options(&METHODS),
        _ => full(HttpError::MethodNotAllowed(METHODS.to_vec()).into_response()),
    }
}

/// Adds the request headers that every response depends on.
fn vary(headers: &mut HeaderMap) {
    let given = headers.get_all(VARY).iter().filter_map(|names| names.to_str().ok());
    let given = given.flat_map(|names| names.split(',')).map(|name| name.trim().to_ascii_lowercase());
    let names: BTreeSet<_> = given.chain([ACCEPT_ENCODING, ORIGIN].map(|name| name.to_string())).collect();
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    if let Ok(names) = HeaderValue::try_from(names) {
        headers.insert(VARY, names);
    }
}

/// Returns whether a request is in gRPC, by its content type.
pub(super) fn is_grpc<B>(request: &Request<B>) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    matches!(content_type.strip_prefix(b"application/grpc"), Some([] | [b'+' | b';', ..]))
}

/// Returns whether a request is a CORS preflight.
fn is_preflight<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    request.method() == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}
