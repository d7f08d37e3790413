//! The exercise's call, over a real connection.

use std::path::Path;
use std::sync::Arc;

use movie_proto::exercise::v1::GetBestMovieRequest;
use movie_proto::exercise::v1::best_movie_client::BestMovieClient;
use movie_proto::exercise::v1::best_movie_server::BestMovieServer;
use movie_service::best_movie::BestMovieServicer;
use movie_service::catalogue::Catalogue;
use movie_service::store::json;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Code;
use tonic::transport::{Endpoint, Server};

#[tokio::test]
async fn the_best_movie_is_found_and_a_director_without_movies_is_not() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../databases/movies.json");
    let catalogue = Catalogue::new(json::load(&file).unwrap());
    let server = BestMovieServer::new(BestMovieServicer::new(Arc::new(catalogue)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(Server::builder().serve_with_incoming(server, TcpListenerStream::new(listener)));
    let mut stub = BestMovieClient::new(Endpoint::from_shared(address).unwrap().connect().await.unwrap());

    let best = stub.get_best_movie(GetBestMovieRequest::default()).await.unwrap().into_inner();
    assert_eq!(best.movie.unwrap().title, "Creed");

    let nobody = GetBestMovieRequest { director: "Nobody".to_owned() };
    let status = stub.get_best_movie(nobody).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}
