//! A movie service with tonic alone: `first_service [ADDRESS]`

use std::collections::HashMap;
use std::fs::File;

use anyhow::Context;
use movie_proto::movie_server::{Movie, MovieServer};
use movie_proto::{Empty, MovieData, MovieId};
use serde::Deserialize;
use tonic::codegen::BoxStream;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// A movie of the database.
#[derive(Deserialize)]
struct Entry {
    title: String,
    rating: f32,
    director: String,
    id: String,
}

struct MovieServicer(Vec<MovieData>);

#[tonic::async_trait]
impl Movie for MovieServicer {
    async fn get_movie_by_id(&self, request: Request<MovieId>) -> Result<Response<MovieData>, Status> {
        let MovieId { id } = request.into_inner();
        let movie = self.0.iter().find(|movie| movie.id == id);
        Ok(Response::new(movie.cloned().unwrap_or_default()))
    }

    type GetListMoviesStream = BoxStream<MovieData>;

    async fn get_list_movies(&self, _: Request<Empty>) -> Result<Response<BoxStream<MovieData>>, Status> {
        let movies = self.0.clone().into_iter().map(Ok);
        Ok(Response::new(Box::pin(tokio_stream::iter(movies))))
    }
}

/// Reads the movies of a database.
fn load(path: &str) -> anyhow::Result<Vec<MovieData>> {
    let mut database: HashMap<String, Vec<Entry>> = serde_json::from_reader(File::open(path)?)?;
    let movies = database.remove("movies").context("the database has no movies")?.into_iter();
    let movies =
        movies.map(|Entry { title, rating, director, id }| MovieData { title, rating, director, id });
    Ok(movies.collect())
}

/// Serves the movies of a database.
async fn serve(path: &str, incoming: TcpIncoming) -> anyhow::Result<()> {
    let movies = load(path).with_context(|| format!("cannot load {path}"))?;
    let servicer = MovieServer::new(MovieServicer(movies));
    Server::builder().add_service(servicer).serve_with_incoming(incoming).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let address = std::env::args().nth(1).as_deref().unwrap_or("127.0.0.1:3001").parse()?;
    let incoming = TcpIncoming::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    eprintln!("serving movies on {}", incoming.local_addr()?);
    serve("databases/movies.json", incoming).await
}
