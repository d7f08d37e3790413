//! The servicer of the course's contract, `Movie`.

use std::pin::Pin;
use std::sync::Arc;

use movie_proto::movie_server;
use movie_proto::{Empty, MovieData, MovieId};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use crate::catalogue::encoding::frame;
use crate::catalogue::{Catalogue, MovieView, Snapshot};
use crate::found::FoundPrinter;

/// Implements the service `Movie`: reads from the catalogue.
#[derive(Clone, Debug)]
pub struct MovieServicer {
    catalogue: Arc<Catalogue>,
    found: FoundPrinter,
}

impl MovieServicer {
    /// Serves reads from `catalogue`, and reports each movie that is found by its id to `found`.
    #[must_use]
    pub fn new(catalogue: Arc<Catalogue>, found: FoundPrinter) -> Self {
        Self { catalogue, found }
    }
}

#[tonic::async_trait]
impl movie_server::Movie for MovieServicer {
    async fn get_movie_by_id(&self, request: Request<MovieId>) -> Result<Response<MovieData>, Status> {
        let id = request.into_inner().id;
        let movie = self.catalogue.read(|movies| movies.get(&id).map(MovieData::from));
        if movie.is_some() {
            self.found.announce();
        }
        Ok(Response::new(movie.unwrap_or_default()))
    }

    type GetListMoviesStream = Pin<Box<dyn Stream<Item = Result<MovieData, Status>> + Send>>;

    async fn get_list_movies(
        &self,
        _: Request<Empty>,
    ) -> Result<Response<Self::GetListMoviesStream>, Status> {
        let batches = self.catalogue.read(Snapshot::frames);
        let movies = batches
            .flat_map(|frames| frame::movies(&frames).map(MovieData::from).map(Ok).collect::<Vec<_>>());
        Ok(Response::new(Box::pin(tokio_stream::iter(movies))))
    }
}

impl From<MovieView<'_>> for MovieData {
    fn from(movie: MovieView<'_>) -> Self {
        let MovieView { title, rating, director, id, .. } = movie;
        Self { title: title.to_owned(), rating, director: director.to_owned(), id: id.to_owned() }
    }
}
