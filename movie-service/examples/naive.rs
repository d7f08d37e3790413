//! The baseline of `cargo xtask bench`: the same RPCs with tonic alone. It has the generated server, tonic's transport, the
//! default runtime, and a map of messages.
//!
//! `naive ADDRESS DATABASE`

use std::collections::HashMap;
use std::error::Error;
use std::fs::File;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use movie_proto::movie_server::{Movie, MovieServer};
use movie_proto::{Empty, MovieData, MovieId};
use serde::Deserialize;
use tokio_stream::Stream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

#[derive(Deserialize)]
struct Database {
    movies: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    title: String,
    #[serde(default)]
    rating: f32,
    #[serde(default)]
    director: String,
    id: String,
}

struct Movies {
    list: Vec<MovieData>,
    by_id: HashMap<String, usize>,
}

struct Servicer(Arc<Movies>);

#[tonic::async_trait]
impl Movie for Servicer {
    async fn get_movie_by_id(&self, request: Request<MovieId>) -> Result<Response<MovieData>, Status> {
        let found = self.0.by_id.get(&request.into_inner().id);
        Ok(Response::new(found.map(|index| self.0.list[*index].clone()).unwrap_or_default()))
    }

    type GetListMoviesStream = Box<dyn Stream<Item = Result<MovieData, Status>> + Send + Unpin>;

    async fn get_list_movies(
        &self,
        _: Request<Empty>,
    ) -> Result<Response<Self::GetListMoviesStream>, Status> {
        let movies = self.0.clone();
        let list = (0..movies.list.len()).map(move |index| Ok(movies.list[index].clone()));
        Ok(Response::new(Box::new(tokio_stream::iter(list))))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let address: SocketAddr = args.next().ok_or("expected ADDRESS")?.parse()?;
    let path = PathBuf::from(args.next().ok_or("expected DATABASE")?);

    let database: Database = serde_json::from_reader(BufReader::new(File::open(path)?))?;
    let list: Vec<MovieData> = database
        .movies
        .into_iter()
        .map(|Entry { title, rating, director, id }| MovieData { title, rating, director, id })
        .collect();
    let by_id = list.iter().enumerate().map(|(index, movie)| (movie.id.clone(), index)).collect();

    Server::builder()
        .tcp_nodelay(true)
        .add_service(MovieServer::new(Servicer(Arc::new(Movies { list, by_id }))))
        .serve(address)
        .await?;
    Ok(())
}
