//! `GetMovie`, `BatchGetMovies`, `LookupMovies` and `GetCatalog`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use movie_proto::catalog::v1::LookupMoviesRequest;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use super::*;

#[tokio::test]
async fn a_movie_is_returned_with_all_its_fields() {
    let Fixture { mut stub, service: _service, dir: _dir } = Fixture::start().await;
    let sent = Movie {
        rating: Some(0.0),
        director: "Ryan Coogler".into(),
        year: 2015,
        genres: vec!["Drama".into(), "Sport".into()],
        runtime_minutes: 133,
        countries: vec!["USA".into()],
        languages: vec!["English".into(), "Español".into()],
        original_title: "Creed: nacido para ganar".into(),
        cast: vec!["Michael B. Jordan".into(), "Sylvester Stallone".into()],
        writers: vec!["Ryan Coogler".into(), "Aaron Covington".into()],
        rating_count: 5_000_000_000,
        overview: "A boxer trains\nanother.".into(),
        poster_uri: "https://posters.example/creed.jpg?size=large".into(),
        ..movie("7", "Creed")
    };
    let made = create(&mut stub, sent.clone()).await.unwrap();
    let got = get(&mut stub, "7").await.unwrap();
    assert_eq!(got, made);
    assert!(got.create_time.is_some() && got.create_time == got.update_time);
    assert!(!got.etag.is_empty());
    assert_eq!(plain(got), sent);
}

#[tokio::test]
async fn a_batch_has_the_order_of_its_ids_including_duplicates() {
    let mut fixture = Fixture::with_movies(&["a", "b", "c"]).await;
    let ids: Vec<String> = ["c", "a", "c", "b"].map(Into::into).into();
    let movies = batch(&mut fixture.stub, ids.clone()).await.unwrap();
    assert_eq!(movies.iter().map(|movie| &movie.id).collect::<Vec<_>>(), ids.iter().collect::<Vec<_>>());
    assert_eq!(movies[0], get(&mut fixture.stub, "c").await.unwrap());
    assert_eq!(batch(&mut fixture.stub, vec![]).await.unwrap(), []);
}

#[tokio::test]
async fn a_batch_takes_a_thousand_ids_and_names_the_missing_ones() {
    let mut fixture = Fixture::with_movies(&["a"]).await;
    assert_eq!(batch(&mut fixture.stub, vec!["a".into(); 1_000]).await.unwrap().len(), 1_000);
    let invalid = Failure::new(Code::InvalidArgument, "INVALID_FIELDS").field("ids");
    assert_failed(batch(&mut fixture.stub, vec!["a".into(); 1_001]).await, &invalid);

    let missing = Failure::new(Code::NotFound, "MOVIE_NOT_FOUND").metadata("missing", 2);
    let ids = ["x", "a", "y"].map(Into::into).into();
    assert_failed(batch(&mut fixture.stub, ids).await, &missing.resource("x").resource("y"));

    let status = batch(&mut fixture.stub, vec!["x".into(); 1_000]).await.unwrap_err();
    assert_eq!(Failure::of(&status).metadata["missing"], "1000");
}

#[tokio::test]
async fn each_id_is_looked_up_when_it_arrives() {
    let mut fixture = Fixture::with_movies(&["a", "b"]).await;
    let (sender, sent) = mpsc::channel(1);
    let responses = fixture.stub.lookup_movies(ReceiverStream::new(sent)).await.unwrap();
    let mut responses = responses.into_inner();
    for (id, is_there) in [("a", true), ("nope", false), ("b", true), ("a", true), ("", false)] {
        sender.send(LookupMoviesRequest { id: id.into() }).await.unwrap();
        let response = responses.message().await.unwrap().unwrap();
        assert_eq!((response.id.as_str(), response.movie.is_some()), (id, is_there));
        assert!(response.movie.is_none_or(|movie| movie.id == id));
    }
    delete(&mut fixture.stub, "a").await.unwrap();
    sender.send(LookupMoviesRequest { id: "a".into() }).await.unwrap();
    assert_eq!(responses.message().await.unwrap().unwrap().movie, None);
    drop(sender);
    assert_eq!(responses.message().await.unwrap(), None);
}

#[tokio::test]
async fn requests_wait_while_their_responses_are_not_read() {
    const ALL: usize = 2_000;
    // Few requests fit into the window.
    let mut fixture = Fixture::with(&["--limit", "window=1024"]).await;
    import(&mut fixture.stub, vec![Movie { title: "😀".repeat(1_000), ..movie("a", "") }]).await.unwrap();
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = sent.clone();
    let requests = tokio_stream::iter(0..ALL).map(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        LookupMoviesRequest { id: "a".into() }
    });
    let responses = fixture.stub.clone().lookup_movies(requests).await.unwrap();
    let mut responses = responses.into_inner();
    // Calls of another client give the service time to read requests that it should not read.
    let mut other = stub(&fixture.service).await;
    for _ in 0..50 {
        get(&mut other, "a").await.unwrap();
    }
    assert!(sent.load(Ordering::Relaxed) < ALL, "all requests were read before any response");
    let mut answered = 0;
    while let Some(response) = responses.message().await.unwrap() {
        assert!(response.movie.is_some());
        answered += 1;
    }
    assert_eq!(answered, ALL);
}

#[tokio::test]
async fn each_change_increments_the_revision() {
    let mut fixture = Fixture::start().await;
    let empty = catalog(&mut fixture.stub).await;
    let expected =
        Catalog { store: "sqlite".into(), version: env!("CARGO_PKG_VERSION").into(), ..empty.clone() };
    assert_eq!(empty, expected);
    assert_eq!((empty.revision, empty.movie_count, empty.read_only), (0, 0, false));
    import(&mut fixture.stub, vec![movie("a", "A"), movie("b", "B")]).await.unwrap();
    delete(&mut fixture.stub, "a").await.unwrap();
    let after = catalog(&mut fixture.stub).await;
    assert_eq!((after.revision, after.movie_count), (3, 1));
    fixture.restart().await;
    assert_eq!(catalog(&mut fixture.stub).await, after);
}

#[tokio::test]
async fn an_empty_id_is_refused() {
    let mut fixture = Fixture::start().await;
    let invalid = Failure::new(Code::InvalidArgument, "INVALID_FIELDS").field("id");
    assert_failed(get(&mut fixture.stub, "").await, &invalid);
    assert_failed(delete(&mut fixture.stub, "").await, &invalid);
}
