//! Prints the best movie: `best_movie [DIRECTOR [ADDRESS]]`

use movie_proto::MovieData;
use movie_proto::exercise::v1::GetBestMovieRequest;
use movie_proto::exercise::v1::best_movie_client::BestMovieClient;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

/// Returns the best movie of a director; of all movies if `director` is empty.
pub(crate) async fn best_movie(channel: Channel, director: &str) -> Result<MovieData, Status> {
    let request = GetBestMovieRequest { director: director.to_owned() };
    let response = BestMovieClient::new(channel).get_best_movie(request).await?.into_inner();
    response.movie.ok_or_else(|| Status::internal("the response has no movie"))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let director = std::env::args().nth(1).unwrap_or_default();
    let address = std::env::args().nth(2).unwrap_or_else(|| "http://localhost:3001".to_owned());
    let channel = Endpoint::from_shared(address)?.connect().await?;
    match best_movie(channel, &director).await {
        Ok(movie) => println!("{} ({})", movie.title, movie.rating),
        Err(status) => println!("{:?}: {}", status.code(), status.message()),
    }
    Ok(())
}
