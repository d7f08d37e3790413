//! The two calls of the course's contract.

use std::time::{Duration, SystemTime};

use movie_proto::{Empty, MovieData, MovieId};
use tokio_stream::StreamExt;

use crate::support::databases::database;
use crate::support::peer::{GET, LIST, Peer};
use crate::support::process::{Service, command};

#[tokio::test]
async fn a_known_id_returns_its_movie() {
    let service = Service::start("movies.json");
    let id = "a8034f44-aee4-44cf-b32c-74cf452aaaae".to_owned();
    let movie = service.stub().await.get_movie_by_id(MovieId { id: id.clone() }).await.unwrap().into_inner();
    let martian = MovieData { title: "The Martian".into(), rating: 8.2, director: "Ridley Scott".into(), id };
    assert_eq!(movie, martian);
}

#[tokio::test]
async fn an_unknown_id_returns_an_empty_movie_and_status_ok() {
    let service = Service::start("movies.json");
    for id in ["", "nope", "a8034f44-aee4-44cf-b32c-74cf452aaaa", "é😀"] {
        let response = service.stub().await.get_movie_by_id(MovieId { id: id.into() }).await;
        assert_eq!(response.unwrap().into_inner(), MovieData::default(), "{id:?}");
    }
}

#[tokio::test]
async fn the_list_has_every_movie_in_file_order() {
    for name in ["movies.json", "films.json"] {
        let service = Service::start(name);
        let movies = service.stub().await.get_list_movies(Empty {}).await.unwrap().into_inner();
        let movies: Vec<MovieData> = movies.map(Result::unwrap).collect().await;
        assert_eq!(movies, expected(name));
    }
}

#[tokio::test]
async fn listed_movies_are_found_by_their_ids() {
    let service = Service::start("films.json");
    let mut stub = service.stub().await;
    for movie in expected("films.json").into_iter().step_by(170) {
        let found = stub.get_movie_by_id(MovieId { id: movie.id.clone() }).await.unwrap();
        assert_eq!(found.into_inner(), movie);
    }
}

#[test]
fn a_response_has_a_date_header() {
    let service = Service::start("movies.json");
    let mut peer = Peer::connect(service.address);
    for path in [GET, LIST, "/no.Such/Call"] {
        let stream = peer.call(path, b"");
        let response = peer.response(stream);
        let made = httpdate::parse_http_date(response.field("date").unwrap()).unwrap();
        // The date is up to two seconds old; the rest is for a busy machine.
        let ago = SystemTime::now().duration_since(made).unwrap();
        assert!(ago < Duration::from_secs(10), "{path}: {ago:?}");
    }
}

#[tokio::test]
async fn a_database_without_movies_returns_an_empty_list() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty.json");
    std::fs::write(&empty, r#"{"movies": []}"#).unwrap();
    let service = Service::run(&mut command(&empty));
    let mut movies = service.stub().await.get_list_movies(Empty {}).await.unwrap().into_inner();
    assert_eq!(movies.message().await.unwrap(), None);
}

/// Reads a database with another parser than that of the service.
fn expected(name: &str) -> Vec<MovieData> {
    let text = std::fs::read_to_string(database(name)).unwrap();
    let file: serde_json::Value = serde_json::from_str(&text).unwrap();
    let movies = file["movies"].as_array().unwrap().iter();
    movies
        .map(|movie| MovieData {
            title: movie["title"].as_str().unwrap().into(),
            #[expect(clippy::cast_possible_truncation, reason = "the contract's rating is a float")]
            rating: movie["rating"].as_f64().unwrap_or_default() as f32,
            director: movie["director"].as_str().unwrap_or_default().into(),
            id: movie["id"].as_str().unwrap().into(),
        })
        .collect()
}
