//! Answers that are compressed for those who ask.

use movie_proto::{Empty, MovieData, MovieId};
use tokio_stream::StreamExt;
use tonic::codec::CompressionEncoding;

use crate::process::{Service, command, database};

/// Returns the list, and how it was encoded.
async fn list(service: &Service) -> (Vec<MovieData>, Option<String>) {
    let mut stub = service.stub().await.accept_compressed(CompressionEncoding::Gzip);
    let response = stub.get_list_movies(Empty {}).await.unwrap();
    let encoding = response.metadata().get("grpc-encoding").map(|name| name.to_str().unwrap().to_owned());
    (response.into_inner().map(Result::unwrap).collect().await, encoding)
}

#[tokio::test]
async fn a_list_is_compressed_if_the_operator_allows_it() {
    let (plain, encoding) = list(&Service::start("films.json")).await;
    assert_eq!(encoding, None);
    let service = Service::run(command(&database("films.json")).arg("--gzip"));
    assert_eq!(list(&service).await, (plain, Some("gzip".into())));
}

#[tokio::test]
async fn a_movie_never_is() {
    let service = Service::run(command(&database("movies.json")).arg("--gzip"));
    let mut stub = service.stub().await.accept_compressed(CompressionEncoding::Gzip);
    let response = stub.get_movie_by_id(MovieId::default()).await.unwrap();
    assert_eq!(response.metadata().get("grpc-encoding"), None);
}

#[tokio::test]
async fn a_list_for_those_who_do_not_ask_is_not() {
    let service = Service::run(command(&database("movies.json")).arg("--gzip"));
    let response = service.stub().await.get_list_movies(Empty {}).await.unwrap();
    assert_eq!(response.metadata().get("grpc-encoding"), None);
}
