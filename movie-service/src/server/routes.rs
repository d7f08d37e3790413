//! Which service a call is for.

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
use tonic_health::pb::health_server::SERVICE_NAME as HEALTH;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use super::frames::{Bounded, MessageLimits};
use super::gzip::{self, Packed, Pool, Unpacked};
use super::{Limits, Offers, refusal};
use crate::health::Health;
use crate::reflection;
use crate::servicer::catalog::CatalogServicer;
use crate::servicer::course::MovieServicer;

/// The path of the call whose messages may be large.
const IMPORT: &str = "/movie.catalog.v1.MovieCatalog/ImportMovies";

/// The services, as generated code answers them.
pub(super) struct Routes {
    movie: MovieServer<MovieServicer>,
    /// All others, by name.
    others: Vec<(&'static str, Other)>,
    /// Bytes that a request message may have.
    most: usize,
    /// The same of an import.
    most_of_import: usize,
    /// Whether long messages are compressed for callers that accept that.
    compresses: bool,
    pool: Pool,
}

type Other = BoxCloneSyncService<Request<tonic::body::Body>, Response<tonic::body::Body>, Infallible>;

/// An answer of generated code, in the making.
pub(super) type Generated =
    Pin<Box<dyn Future<Output = Result<Response<tonic::body::Body>, Infallible>> + Send>>;

impl Routes {
    pub(super) fn new(
        movie: MovieServicer,
        catalog: CatalogServicer,
        health: &Health,
        offers: &Offers,
        limits: &Limits,
    ) -> Result<Self, DescriptorError> {
        // What is too large is refused before it gets there, see `Bounded`.
        let (most, most_of_import) = (limits.message, limits.import_message);
        let movie = MovieServer::new(movie).max_decoding_message_size(most);
        let catalog = MovieCatalogServer::new(catalog).max_decoding_message_size(most.max(most_of_import));
        let others = vec![(CATALOG, BoxCloneSyncService::new(catalog))];
        let (compresses, pool) = (offers.gzip, Pool::new());
        let mut routes = Self { movie, others, most, most_of_import, compresses, pool };
        if offers.health {
            let server = health.server(&[MOVIE], &[CATALOG]);
            routes.others.push((HEALTH, BoxCloneSyncService::new(server)));
        }
        if offers.reflection {
            routes.others.extend(reflection::services(offers.health)?);
        }
        Ok(routes)
    }

    /// Returns whether long messages are compressed for callers that accept that.
    pub(super) fn compresses(&self) -> bool {
        self.compresses
    }

    /// Has the service answer that the path names; it cannot wait for the request for longer than the deadline.
    pub(super) fn call<B>(&self, mut request: Request<B>, deadline: Option<Instant>) -> Generated
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
        let is_import = request.uri().path() == IMPORT;
        let max_bytes = if is_import { self.most_of_import } else { self.most };
        let limits = MessageLimits { max_bytes, is_import };
        let request = if is_compressed {
            request.headers_mut().remove(gzip::GRPC_ENCODING);
            request.map(|body| bounded(Unpacked::new(body, max_bytes, self.pool.clone()), limits, deadline))
        } else {
            request.map(|body| bounded(body, limits, deadline))
        };
        let answer = self.answer(request);
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
            // A response that is nothing but a status has no messages.
            if compresses && refusal::code(headers).is_none() {
                headers.insert(gzip::GRPC_ENCODING, gzip::GZIP);
                response = response.map(|body| tonic::body::Body::new(Packed::new(body, pool)));
            }
            Ok(response)
        })
    }

    /// Has the service answer that the path names.
    fn answer(&self, request: Request<tonic::body::Body>) -> Generated {
        let name = request.uri().path().split('/').nth(1).unwrap_or_default();
        if name == MOVIE {
            return tower::Service::call(&mut self.movie.clone(), request);
        }
        match self.others.iter().find(|(other, _)| *other == name) {
            Some((_, service)) => Box::pin(service.clone().oneshot(request)),
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
