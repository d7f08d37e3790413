//! Dispatch of calls to the generated code.

use std::convert::Infallible;
use std::pin::Pin;
use std::time::Instant;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use movie_proto::catalog::v1::movie_catalog_server::{MovieCatalogServer, SERVICE_NAME as CATALOG};
use movie_proto::movie_server::{MovieServer, SERVICE_NAME as MOVIE};
use prost_reflect::DescriptorError;
use tonic::Status;
use tonic::codegen::StdError;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use crate::blocking_pool::BlockingPool;
use crate::rpc::{Kind, Rpc, Service};
use crate::server::call::grpc_web::Origin;
use crate::server::call::gzip::{self, CompressedBody, DecompressedBody};
use crate::server::call::message_limits::{Bounded, MessageLimits};
use crate::server::call::refusal;
use crate::server::limits::Limits;
use crate::servicer::catalog::CatalogServicer;
use crate::servicer::course::MovieServicer;
use crate::servicer::health::Health;
use crate::servicer::reflection;

/// What a server offers beside the movies.
#[derive(Clone, Debug)]
pub struct Offers {
    /// Answers `grpc.health.v1`.
    pub health: bool,
    /// Answers `grpc.reflection.v1` and `grpc.reflection.v1alpha`.
    pub reflection: bool,
    /// Compresses messages of 1 KiB or more for callers that accept gzip.
    pub gzip: bool,
    /// Origins whose pages may call with gRPC-Web; empty turns gRPC-Web off.
    pub web: Vec<Origin>,
}

impl Default for Offers {
    fn default() -> Self {
        Self { health: true, reflection: true, gzip: false, web: Vec::new() }
    }
}

/// Dispatches calls to the generated services.
pub(crate) struct Dispatcher {
    movie: MovieServer<MovieServicer>,
    catalog: Other,
    health: Option<Other>,
    /// Both versions.
    reflection: Option<Other>,
    /// Bytes that a request message may have.
    most: usize,
    /// The same of an import.
    most_of_import: usize,
    /// Whether long messages are compressed for callers that accept that.
    compresses: bool,
    pool: BlockingPool,
}

type Other = BoxCloneSyncService<Request<tonic::body::Body>, Response<tonic::body::Body>, Infallible>;

/// A response of generated code, in the making.
pub(crate) type Generated =
    Pin<Box<dyn Future<Output = Result<Response<tonic::body::Body>, Infallible>> + Send>>;

impl Dispatcher {
    pub(crate) fn new(
        movie: MovieServicer,
        catalog: CatalogServicer,
        health: &Health,
        offers: &Offers,
        limits: &Limits,
    ) -> Result<Self, DescriptorError> {
        // `Bounded` refuses larger messages before tonic decodes them.
        let (most, most_of_import) = (limits.message, limits.import_message);
        let movie = MovieServer::new(movie).max_decoding_message_size(most);
        let catalog = MovieCatalogServer::new(catalog).max_decoding_message_size(most.max(most_of_import));
        let (compresses, pool) = (offers.gzip, BlockingPool::new());
        let health = offers.health.then(|| BoxCloneSyncService::new(health.server(&[MOVIE], &[CATALOG])));
        let reflection = offers.reflection.then(|| reflection::service(offers.health)).transpose()?;
        Ok(Self {
            movie,
            catalog: BoxCloneSyncService::new(catalog),
            health,
            reflection,
            most,
            most_of_import,
            compresses,
            pool,
        })
    }

    /// Returns whether long messages are compressed for callers that accept that.
    pub(crate) fn compresses(&self) -> bool {
        self.compresses
    }

    /// Calls the service of the RPC. Reading the request fails after `deadline`.
    pub(crate) fn call<B>(&self, rpc: Rpc, mut request: Request<B>, deadline: Option<Instant>) -> Generated
    where
        B: Body<Data = Bytes, Error: Into<StdError>> + Send + Unpin + 'static,
    {
        let is_compressed = match gzip::is_named(request.headers()) {
            Ok(is_compressed) => is_compressed,
            Err(refusal) => {
                let mut response = Status::from(refusal).into_http();
                response.headers_mut().insert(gzip::GRPC_ACCEPT_ENCODING, gzip::ACCEPTED);
                return Box::pin(async { Ok(response) });
            }
        };
        let compresses = self.compresses && gzip::is_accepted(request.headers());
        let is_import = rpc.kind == Kind::Import;
        let max_bytes = if is_import { self.most_of_import } else { self.most };
        let limits = MessageLimits { max_bytes, is_import };
        let request = if is_compressed {
            request.headers_mut().remove(gzip::GRPC_ENCODING);
            request.map(|body| {
                bounded(DecompressedBody::new(body, max_bytes, self.pool.clone()), limits, deadline)
            })
        } else {
            request.map(|body| bounded(body, limits, deadline))
        };
        let answer = self.answer(rpc, request);
        if !is_compressed && !compresses {
            return answer;
        }
        let pool = self.pool.clone();
        Box::pin(async move {
            let Ok(mut response) = answer.await;
            let headers = response.headers_mut();
            if is_compressed {
                headers.insert(gzip::GRPC_ACCEPT_ENCODING, gzip::ACCEPTED);
            }
            // A trailers-only response has no messages.
            if compresses && refusal::code(headers).is_none() {
                headers.insert(gzip::GRPC_ENCODING, gzip::GZIP);
                response = response.map(|body| tonic::body::Body::new(CompressedBody::new(body, pool)));
            }
            Ok(response)
        })
    }

    /// Calls the generated service of the RPC.
    fn answer(&self, rpc: Rpc, request: Request<tonic::body::Body>) -> Generated {
        let service = match rpc.service {
            Service::Movie => return tower::Service::call(&mut self.movie.clone(), request),
            Service::Catalog => Some(&self.catalog),
            Service::Health => self.health.as_ref(),
            Service::Reflection | Service::ReflectionAlpha => self.reflection.as_ref(),
        };
        match service {
            Some(service) => Box::pin(service.clone().oneshot(request)),
            None => Box::pin(async { Ok(Status::unimplemented("").into_http()) }),
        }
    }
}

/// Bounds the body of a request: its messages, and how long the generated code waits for it.
fn bounded<B>(body: B, limits: MessageLimits, deadline: Option<Instant>) -> tonic::body::Body
where
    B: Body<Data = Bytes, Error: Into<StdError>> + Send + Unpin + 'static,
{
    tonic::body::Body::new(Bounded::new(body, limits, deadline))
}
