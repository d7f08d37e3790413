//! The servicer of `BestMovie`.

use std::sync::Arc;

use movie_proto::exercise::v1::best_movie_server::BestMovie;
use movie_proto::exercise::v1::{GetBestMovieRequest, GetBestMovieResponse};
use tonic::{Request, Response, Status};

use crate::catalogue::Catalogue;

/// Serves the calls of `BestMovie`.
#[derive(Clone, Debug)]
pub struct BestMovieServicer {
    catalogue: Arc<Catalogue>,
}

impl BestMovieServicer {
    /// Returns a servicer that reads from `catalogue`.
    #[must_use]
    pub fn new(catalogue: Arc<Catalogue>) -> Self {
        Self { catalogue }
    }
}

#[tonic::async_trait]
impl BestMovie for BestMovieServicer {
    async fn get_best_movie(
        &self,
        request: Request<GetBestMovieRequest>,
    ) -> Result<Response<GetBestMovieResponse>, Status> {
        let director = request.into_inner().director;
        let snapshot = self.catalogue.snapshot();
        let best = snapshot
            .movies()
            .filter(|movie| director.is_empty() || movie.director == director)
            .filter(|movie| movie.rating > 0.0)
            .reduce(|best, movie| if movie.rating > best.rating { movie } else { best })
            .ok_or_else(|| Status::not_found("no movie that counts has a rating"))?;
        Ok(Response::new(GetBestMovieResponse { movie: Some(best.into()) }))
    }
}
