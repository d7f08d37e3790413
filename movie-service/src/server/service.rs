//! What is done with a call.

use std::convert::Infallible;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::Service;
use movie_proto::movie_server::MovieServer;
use tonic::body::Body;

use crate::catalogue::Catalogue;
use crate::found::Found;
use crate::servicer::MovieServicer;

/// All that can be called.
#[derive(Clone)]
pub(super) struct Services {
    movie: MovieServer<MovieServicer>,
}

impl Services {
    pub(super) fn new(catalogue: Arc<Catalogue>, found: Found) -> Self {
        Self { movie: MovieServer::new(MovieServicer::new(catalogue, found)) }
    }
}

impl Service<Request<Incoming>> for Services {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = <MovieServer<MovieServicer> as tower::Service<Request<Incoming>>>::Future;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        tower::Service::call(&mut self.movie.clone(), request)
    }
}
