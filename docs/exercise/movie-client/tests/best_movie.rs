//! The client of the exercise calls the service.

use tonic::Code;
use tonic::transport::{Channel, Endpoint};

#[path = "../examples/best_movie.rs"]
#[allow(dead_code, reason = "the example has a `main`")]
mod client;
#[path = "support/service.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod service;

use client::best_movie;
use service::Service;

async fn connect(service: &Service) -> Channel {
    Endpoint::from_shared(format!("http://{}", service.address)).unwrap().connect().await.unwrap()
}

#[tokio::test]
async fn the_best_movie_is_found_and_a_director_without_movies_is_not() {
    let service = Service::read_only("movies.json");
    let channel = connect(&service).await;
    assert_eq!(best_movie(channel.clone(), "").await.unwrap().title, "Creed");
    assert_eq!(best_movie(channel.clone(), "Sam Mendes").await.unwrap().title, "Spectre");
    assert_eq!(best_movie(channel, "Nobody").await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_caller_without_a_token_is_refused_where_tokens_are_needed() {
    let service = Service::with_tokens("movies.json", "");
    let status = best_movie(connect(&service).await, "").await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
}
