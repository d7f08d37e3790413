//! `MovieCatalog` as a service: the generated one, but for RPCs that return many movies.

use std::convert::Infallible;
use std::future::ready;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use movie_proto::catalog::v1::movie_catalog_server::MovieCatalogServer;
use movie_proto::catalog::v1::{
    BatchGetMoviesRequest, ListMoviesRequest, LookupMoviesRequest, LookupMoviesResponse, SearchMoviesRequest,
};
use prost::Message;
use tonic::codegen::StdError;
use tonic::server::Grpc;
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

use crate::rpc::{BATCH_GET_MOVIES, LIST_MOVIES, LOOKUP_MOVIES, SEARCH_MOVIES};
use crate::servicer::catalog::CatalogServicer;
use crate::servicer::catalog::lookups::Lookups;
use crate::servicer::encoded::Encoded;

/// Serves `MovieCatalog`.
#[derive(Clone, Debug)]
pub struct CatalogServer {
    servicer: CatalogServicer,
    generated: MovieCatalogServer<CatalogServicer>,
    max_message_bytes: usize,
}

type ResponseFuture = Pin<Box<dyn Future<Output = Result<Response<tonic::body::Body>, Infallible>> + Send>>;

impl CatalogServer {
    /// Refuses messages of requests that are larger than `max_message_bytes`.
    #[must_use]
    pub fn new(servicer: CatalogServicer, max_message_bytes: usize) -> Self {
        let generated =
            MovieCatalogServer::new(servicer.clone()).max_decoding_message_size(max_message_bytes);
        Self { servicer, generated, max_message_bytes }
    }

    /// Calls a method with one request and one response.
    fn unary<T, M, F>(
        &self,
        request: Request<impl Body<Data = Bytes, Error: Into<StdError> + Send> + Send + 'static>,
        method: impl FnOnce(CatalogServicer, T) -> F + Clone + Send + 'static,
    ) -> ResponseFuture
    where
        T: Message + Default + Send + 'static,
        M: Message + Send + 'static,
        F: Future<Output = Result<Encoded<M>, Status>> + Send + 'static,
    {
        let servicer = self.servicer.clone();
        let method = service_fn(move |request: tonic::Request<T>| {
            let response = (method.clone())(servicer.clone(), request.into_inner());
            async move { response.await.map(tonic::Response::new) }
        });
        let mut grpc = Grpc::new(ProstCodec::<Encoded<M>, T>::default())
            .max_decoding_message_size(self.max_message_bytes);
        Box::pin(async move { Ok(grpc.unary(method, request).await) })
    }

    /// Calls `LookupMovies`.
    fn lookup(
        &self,
        request: Request<impl Body<Data = Bytes, Error: Into<StdError> + Send> + Send + 'static>,
    ) -> ResponseFuture {
        let servicer = self.servicer.clone();
        let method = service_fn(move |request: tonic::Request<Streaming<LookupMoviesRequest>>| {
            let servicer = servicer.clone();
            ready(Ok::<_, Status>(tonic::Response::new(Lookups::new(request.into_inner(), servicer))))
        });
        let mut grpc = Grpc::new(ProstCodec::<Encoded<LookupMoviesResponse>, LookupMoviesRequest>::default())
            .max_decoding_message_size(self.max_message_bytes);
        Box::pin(async move { Ok(grpc.streaming(method, request).await) })
    }
}

impl<B> Service<Request<B>> for CatalogServer
where
    B: Body<Data = Bytes, Error: Into<StdError> + Send> + Send + 'static,
{
    type Response = Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        match request.uri().path() {
            BATCH_GET_MOVIES => self
                .unary(request, |servicer, request: BatchGetMoviesRequest| ready(servicer.batch(&request))),
            LOOKUP_MOVIES => self.lookup(request),
            LIST_MOVIES => self.unary(request, |servicer, request: ListMoviesRequest| async move {
                servicer.list(request).await
            }),
            SEARCH_MOVIES => self.unary(request, |servicer, request: SearchMoviesRequest| async move {
                servicer.search(request).await
            }),
            _ => self.generated.call(request),
        }
    }
}
