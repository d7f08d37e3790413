//! Calls of `movie.catalog.v1.MovieCatalog`.

use movie_proto::catalog::v1::movie_catalog_client::MovieCatalogClient;
use movie_proto::catalog::v1::{
    Catalog, CreateMovieRequest, DeleteMovieRequest, GetCatalogRequest, ImportMoviesRequest,
    ImportMoviesResponse, Movie, UpdateMovieRequest,
};
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use super::process::Service;

pub(crate) type Stub = MovieCatalogClient<Channel>;

/// Connects a stub that reads no further ahead than the protocol's first window.
pub(crate) async fn stub(service: &Service) -> Stub {
    let endpoint = Endpoint::from_shared(format!("http://{}", service.address)).unwrap();
    let endpoint = endpoint.initial_stream_window_size(65_535).initial_connection_window_size(65_535);
    MovieCatalogClient::new(endpoint.connect().await.unwrap())
}

pub(crate) fn movie(id: &str, title: &str) -> Movie {
    Movie { id: id.into(), title: title.into(), ..Movie::default() }
}

pub(crate) async fn create(stub: &mut Stub, movie: Movie) -> Result<Movie, Status> {
    create_once(stub, movie, "").await
}

/// Creates a movie with a request id, by which a repeated request is recognized.
pub(crate) async fn create_once(stub: &mut Stub, movie: Movie, request_id: &str) -> Result<Movie, Status> {
    let request = CreateMovieRequest { movie: Some(movie), request_id: request_id.into() };
    Ok(stub.create_movie(request).await?.into_inner())
}

/// Updates the fields of a movie that are set.
pub(crate) async fn update(stub: &mut Stub, movie: Movie) -> Result<Movie, Status> {
    let request = UpdateMovieRequest { movie: Some(movie), ..UpdateMovieRequest::default() };
    Ok(stub.update_movie(request).await?.into_inner())
}

pub(crate) async fn delete(stub: &mut Stub, id: &str) -> Result<(), Status> {
    let request = DeleteMovieRequest { id: id.into(), ..DeleteMovieRequest::default() };
    stub.delete_movie(request).await.map(drop)
}

/// Imports movies in one message.
pub(crate) async fn import(stub: &mut Stub, movies: Vec<Movie>) -> Result<ImportMoviesResponse, Status> {
    let messages = tokio_stream::iter([ImportMoviesRequest { movies }]);
    Ok(stub.import_movies(messages).await?.into_inner())
}

pub(crate) async fn catalog(stub: &mut Stub) -> Catalog {
    stub.get_catalog(GetCatalogRequest {}).await.unwrap().into_inner()
}
