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
use tonic::codec::CompressionEncoding;
use tonic::codegen::StdError;
use tonic_health::pb::health_server::SERVICE_NAME as HEALTH;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use super::frames::Bounded;
use super::{Limits, Offers, gzip};
use crate::health::Health;
use crate::reflection;
use crate::servicer::catalog::CatalogServicer;
use crate::servicer::course::MovieServicer;

/// The path of the call whose messages may be large.
const IMPORT: &str = "/movie.catalog.v1.MovieCatalog/ImportMovies";

/// The services, as generated code answers them.
pub(super) struct Routes {
    movie: MovieServer<MovieServicer>,
    /// The same, compressing its answers.
    compressed: Option<MovieServer<MovieServicer>>,
    /// All others, by name.
    others: Vec<(&'static str, Other)>,
    /// Bytes that a request message may have.
    most: usize,
    /// The same of an import.
    most_of_import: usize,
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
        let compressed = offers.gzip.then(|| movie.clone().send_compressed(CompressionEncoding::Gzip));
        let others = vec![(CATALOG, BoxCloneSyncService::new(catalog))];
        let mut routes = Self { movie, compressed, others, most, most_of_import };
        if offers.health {
            let server = health.server(&[MOVIE], &[CATALOG]);
            routes.others.push((HEALTH, BoxCloneSyncService::new(server)));
        }
        if offers.reflection {
            routes.others.extend(reflection::services(offers.health)?);
        }
        Ok(routes)
    }

    /// Returns whether the answer to a request is to be compressed.
    pub(super) fn compresses<B>(&self, request: &Request<B>) -> bool {
        self.compressed.is_some() && gzip::is_wanted(request)
    }

    /// Has the service answer that the path names; it cannot wait for the request for longer than the deadline.
    pub(super) fn call<B>(&self, request: Request<B>, deadline: Option<Instant>) -> Generated
    where
        B: Body<Data = Bytes, Error: Into<StdError>> + Send + Unpin + 'static,
    {
        let most = if request.uri().path() == IMPORT { self.most_of_import } else { self.most };
        let request = request.map(|body| tonic::body::Body::new(Bounded::new(body, most, deadline)));
        let name = request.uri().path().split('/').nth(1).unwrap_or_default();
        if name == MOVIE {
            let compressed = self.compressed.as_ref().filter(|_| gzip::is_wanted(&request));
            return tower::Service::call(&mut compressed.unwrap_or(&self.movie).clone(), request);
        }
        match self.others.iter().find(|(other, _)| *other == name) {
            Some((_, service)) => Box::pin(service.clone().oneshot(request)),
            None => Box::pin(async { Ok(Status::unimplemented("").into_http()) }),
        }
    }
}
