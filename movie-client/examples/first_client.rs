//! The course's client with tonic alone: `first_client [ADDRESS]`

use movie_proto::movie_client::MovieClient;
use movie_proto::{Empty, MovieData, MovieId};
use tonic::transport::Endpoint;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "http://localhost:3001".to_owned());
    let channel = Endpoint::from_shared(address)?.connect().await?;
    let mut stub = MovieClient::new(channel);

    println!("----- GetMovieByID -----");
    let request = MovieId { id: "a8034f44-aee4-44cf-b32c-74cf452aaaae".to_owned() };
    let MovieData { title, rating, director, id } = stub.get_movie_by_id(request).await?.into_inner();
    let rating = f64::from(rating);
    println!("title: {title:?}\nrating: {rating}\ndirector: {director:?}\nid: {id:?}\n");

    println!("----- GetListMovies -----");
    let mut movies = stub.get_list_movies(Empty {}).await?.into_inner();
    while let Some(movie) = movies.message().await? {
        println!("Movie called {}", movie.title);
    }
    Ok(())
}
