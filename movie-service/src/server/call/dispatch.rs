//! Dispatch of calls to the generated code.

use std::convert::Infallible;
use std::pin::Pin;
use std::time::Instant;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use movie_proto::catalog::v1::movie_catalog_server::SERVICE_NAME as CATALOG;
use movie_proto::movie_server::{MovieServer, SERVICE_NAME as MOVIE};
use prost_reflect::DescriptorError;
use tonic::Status;
use tonic::codegen::StdError;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use crate::blocking_pool::BlockingPool;
use crate::catalogue::Catalogue;
use crate::found::FoundPrinter;
use crate::rpc::{Kind, Rpc, Service};
use crate::server::call::compression::negotiation::{self, ACCEPTED_ENCODINGS, GRPC_ACCEPT_ENCODING, GZIP};
use crate::server::call::compression::request::DecompressedBody;
use crate::server::call::compression::response::CompressedBody;
use crate::server::call::fast_path::Responders;
use crate::server::call::message::limited_body::{LimitedBody, MessageLimits};
use crate::server::call::origin::Origin;
use crate::server::call::page::poster_origin::PosterOrigin;
use crate::server::call::refusal::{self, Refusal};
use crate::server::limits::Limits;
use crate::servicer::catalog::CatalogServicer;
use crate::servicer::catalog::server::CatalogServer;
use crate::servicer::course::MovieServicer;
use crate::servicer::health::Health;
use crate::servicer::reflection;

/// Optional services and features of a server.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
#[derive(Clone, Debug)]
pub struct Features {
    /// Serves `grpc.health.v1`.
    pub health: bool,
    /// Serves `grpc.reflection.v1` and `grpc.reflection.v1alpha`.
    pub reflection: bool,
    /// Serves `SearchMovies`, for which an index is built.
    pub search: bool,
    /// Compresses messages of 1 KiB or more for callers that accept gzip.
    pub gzip: bool,
    /// Serves the page, JSON over HTTP, and gRPC-Web for pages of the service itself.
    pub http: bool,
    /// Origins whose pages may call, with gRPC-Web and JSON.
    pub web: Vec<Origin>,
    /// Origins that the page may load posters from.
    pub poster_origins: Vec<PosterOrigin>,
}

impl Default for Features {
    fn default() -> Self {
        Self {
            health: true,
            reflection: true,
            search: true,
            gzip: false,
            http: true,
            web: Vec::new(),
            poster_origins: Vec::new(),
        }
    }
}

/// Dispatches calls to the generated services.
pub(crate) struct Dispatcher {
    movie: MovieServer<MovieServicer>,
    catalog: BoxedService,
    /// The servicer of `catalog`, for the fast path.
    catalog_servicer: CatalogServicer,
    health: Option<BoxedService>,
    /// v1 and v1alpha.
    reflection: Option<BoxedService>,
    /// Maximum size of a request message in bytes.
    max_message_bytes: usize,
    /// Maximum size of a message of an import in bytes.
    max_import_message_bytes: usize,
    /// Whether long messages are compressed for callers that accept gzip.
    compresses: bool,
    pool: BlockingPool,
}

type BoxedService = BoxCloneSyncService<Request<tonic::body::Body>, Response<tonic::body::Body>, Infallible>;

/// A future response of the generated code.
pub(crate) type ResponseFuture =
    Pin<Box<dyn Future<Output = Result<Response<tonic::body::Body>, Infallible>> + Send>>;

impl Dispatcher {
    pub(crate) fn new(
        movie: MovieServicer,
        catalog: CatalogServicer,
        health: &Health,
        features: &Features,
        limits: &Limits,
    ) -> Result<Self, DescriptorError> {
        // `LimitedBody` refuses larger messages before tonic decodes them.
        let (max_message_bytes, max_import_message_bytes) = (limits.message, limits.import_message);
        let movie = MovieServer::new(movie).max_decoding_message_size(max_message_bytes);
        let catalog_servicer = catalog.clone();
        let catalog = CatalogServer::new(catalog, max_message_bytes.max(max_import_message_bytes));
        let health = features.health.then(|| BoxCloneSyncService::new(health.server(&[MOVIE], &[CATALOG])));
        let reflection = features.reflection.then(|| reflection::service(features.health)).transpose()?;
        Ok(Self {
            movie,
            catalog: BoxCloneSyncService::new(catalog),
            catalog_servicer,
            health,
            reflection,
            max_message_bytes,
            max_import_message_bytes,
            compresses: features.gzip,
            pool: BlockingPool::new(),
        })
    }

    /// Returns whether long messages are compressed for callers that accept gzip.
    pub(crate) fn compresses(&self) -> bool {
        self.compresses
    }

    /// Returns the handlers of the fast path.
    pub(crate) fn responders<'a>(
        &'a self,
        catalogue: &'a Catalogue,
        found: &'a FoundPrinter,
    ) -> Responders<'a> {
        let Self { catalog_servicer: servicer, max_message_bytes, .. } = self;
        Responders { catalogue, found, servicer, max_message_bytes: *max_message_bytes }
    }

    /// Calls the service of the RPC. Reading the request fails after `deadline`.
    pub(crate) fn call<B>(
        &self,
        rpc: Rpc,
        mut request: Request<B>,
        deadline: Option<Instant>,
    ) -> ResponseFuture
    where
        B: Body<Data = Bytes, Error: Into<StdError>> + Send + Unpin + 'static,
    {
        let is_compressed = match negotiation::is_request_compressed(request.headers()) {
            Ok(is_compressed) => is_compressed,
            Err(refusal) => {
                let mut response = Status::from(refusal).into_http();
                response.headers_mut().insert(GRPC_ACCEPT_ENCODING, ACCEPTED_ENCODINGS);
                return Box::pin(async { Ok(response) });
            }
        };
        let compresses = self.compresses && negotiation::accepts_gzip(request.headers());
        let is_import = rpc.kind == Kind::Import;
        let max_bytes = if is_import { self.max_import_message_bytes } else { self.max_message_bytes };
        let limits = MessageLimits { max_bytes, is_import };
        let request = if is_compressed {
            request.headers_mut().remove(negotiation::GRPC_ENCODING);
            request.map(|body| {
                limited(DecompressedBody::new(body, max_bytes, self.pool.clone()), limits, deadline)
            })
        } else {
            request.map(|body| limited(body, limits, deadline))
        };
        let response = self.call_service(rpc, request);
        if !is_compressed && !compresses {
            return response;
        }
        let pool = self.pool.clone();
        Box::pin(async move {
            let Ok(mut response) = response.await;
            let headers = response.headers_mut();
            if is_compressed {
                headers.insert(GRPC_ACCEPT_ENCODING, ACCEPTED_ENCODINGS);
            }
            // A trailers-only response has no messages.
            if compresses && refusal::status_code(headers).is_none() {
                headers.insert(negotiation::GRPC_ENCODING, GZIP);
                response = response.map(|body| tonic::body::Body::new(CompressedBody::new(body, pool)));
            }
            Ok(response)
        })
    }

    /// Calls the generated service of the RPC.
    fn call_service(&self, rpc: Rpc, request: Request<tonic::body::Body>) -> ResponseFuture {
        let service = match rpc.service {
            Service::Movie => return tower::Service::call(&mut self.movie.clone(), request),
            Service::Catalog => Some(&self.catalog),
            Service::Health => self.health.as_ref(),
            Service::Reflection | Service::ReflectionAlpha => self.reflection.as_ref(),
        };
        if let Some(service) = service {
            return Box::pin(service.clone().oneshot(request));
        }
        let refusal = Refusal::NoSuchRpc(request.uri().path().to_owned());
        Box::pin(async { Ok(Status::from(refusal).into_http()) })
    }
}

/// Enforces the limits of messages, and the deadline, on the body of a request.
fn limited<B>(body: B, limits: MessageLimits, deadline: Option<Instant>) -> tonic::body::Body
where
    B: Body<Data = Bytes, Error: Into<StdError>> + Send + Unpin + 'static,
{
    tonic::body::Body::new(LimitedBody::new(body, limits, deadline))
}
