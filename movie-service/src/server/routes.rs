//! Which service a call is for.

use std::convert::Infallible;
use std::pin::Pin;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use movie_proto::movie_server::MovieServer;
use tonic::Status;
use tonic::codegen::StdError;

use super::frames::Bounded;
use crate::servicer::MovieServicer;

/// The services, as generated code answers them.
pub(super) struct Routes {
    movie: MovieServer<MovieServicer>,
    /// Bytes that a request message may have.
    most: usize,
}

/// An answer of generated code, in the making.
pub(super) type Generated =
    Pin<Box<dyn Future<Output = Result<Response<tonic::body::Body>, Infallible>> + Send>>;

impl Routes {
    pub(super) fn new(servicer: MovieServicer, most: usize) -> Self {
        // What is too large is refused before it gets there, see `Bounded`.
        let movie = MovieServer::new(servicer).max_decoding_message_size(most);
        Self { movie, most }
    }

    /// Has the service answer that the path names.
    pub(super) fn call<B>(&self, request: Request<B>) -> Generated
    where
        B: Body<Data = Bytes, Error: Into<StdError>> + Send + Unpin + 'static,
    {
        let request = request.map(|body| tonic::body::Body::new(Bounded::new(body, self.most)));
        match request.uri().path().split('/').nth(1) {
            Some("Movie") => tower::Service::call(&mut self.movie.clone(), request),
            _ => Box::pin(async { Ok(Status::unimplemented("").into_http()) }),
        }
    }
}
