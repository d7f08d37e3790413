//! `CreateMovie`, `UpdateMovie` and `DeleteMovie`.

use prost_types::FieldMask;

use super::*;

fn invalid() -> Failure {
    Failure::new(Code::InvalidArgument, "INVALID_FIELDS")
}

fn missing(id: &str) -> Failure {
    Failure::new(Code::NotFound, "MOVIE_NOT_FOUND").resource(id)
}

fn stale(id: &str) -> Failure {
    Failure::new(Code::Aborted, "ETAG_STALE").resource(id)
}

/// Updates the fields of a mask.
async fn update_fields(stub: &mut Stub, movie: Movie, paths: &[&str]) -> Result<Movie, Status> {
    let mask = FieldMask { paths: paths.iter().map(|path| (*path).into()).collect() };
    let request =
        UpdateMovieRequest { movie: Some(movie), update_mask: Some(mask), ..UpdateMovieRequest::default() };
    Ok(stub.update_movie(request).await?.into_inner())
}

async fn update_or_create(stub: &mut Stub, movie: Movie) -> Result<Movie, Status> {
    let update_mask = Some(FieldMask { paths: vec!["year".into()] });
    let request = UpdateMovieRequest { movie: Some(movie), update_mask, allow_missing: true };
    Ok(stub.update_movie(request).await?.into_inner())
}

#[tokio::test]
async fn a_movie_is_created_once_under_its_own_id() {
    let mut fixture = Fixture::start().await;
    let sent = Movie { etag: "\"of nothing\"".into(), ..movie("7", "Creed") };
    let made = create(&mut fixture.stub, sent).await.unwrap();
    assert_eq!(get(&mut fixture.stub, "7").await.unwrap(), made);
    let exists = Failure::new(Code::AlreadyExists, "MOVIE_EXISTS").resource("7");
    assert_failed(create(&mut fixture.stub, movie("7", "Other")).await, &exists);
    assert_eq!(get(&mut fixture.stub, "7").await.unwrap(), made);
}

#[tokio::test]
async fn a_movie_without_an_id_gets_a_uuid_that_starts_with_the_time() {
    let mut fixture = Fixture::start().await;
    let made = [
        create(&mut fixture.stub, movie("", "Creed")).await.unwrap(),
        create(&mut fixture.stub, movie("", "Creed")).await.unwrap(),
    ];
    assert_ne!(made[0].id, made[1].id);
    for movie in made {
        let groups: Vec<_> = movie.id.split('-').map(str::len).collect();
        assert_eq!((groups, &movie.id[14..15]), (vec![8, 4, 4, 4, 12], "7"), "{}", movie.id);
        assert_eq!(get(&mut fixture.stub, &movie.id).await.unwrap(), movie);
    }
}

#[tokio::test]
async fn a_repeated_request_adds_nothing_even_after_a_restart() {
    let mut fixture = Fixture::start().await;
    let made = create_once(&mut fixture.stub, movie("", "Creed"), "request").await.unwrap();
    update(&mut fixture.stub, movie(&made.id, "Changed")).await.unwrap();
    let reused = Failure::new(Code::InvalidArgument, "REQUEST_ID_REUSED").field("request_id");
    for _ in 0..2 {
        assert_eq!(create_once(&mut fixture.stub, movie("", "Creed"), "request").await.unwrap(), made);
        assert_failed(create_once(&mut fixture.stub, movie("", "Other"), "request").await, &reused);
        fixture.restart().await;
    }
    assert_eq!(catalog(&mut fixture.stub).await.revision, 2);
}

#[tokio::test]
async fn all_violations_of_a_new_movie_are_reported_at_once() {
    let mut fixture = Fixture::start().await;
    let wrong = Movie {
        rating: Some(10.5),
        year: 1,
        genres: vec!["Drama".into(), "Drama".into()],
        ..movie("a\nb", "")
    };
    let mut expected = invalid();
    for field in ["title", "rating", "id", "year", "genres"] {
        expected = expected.field(&format!("movie.{field}"));
    }
    let result = create_once(&mut fixture.stub, wrong, &"x".repeat(129)).await;
    assert_failed(result, &expected.field("request_id"));
    let none = fixture.stub.create_movie(CreateMovieRequest::default()).await;
    assert_failed(none, &invalid().field("movie.title"));
    assert_eq!(catalog(&mut fixture.stub).await.revision, 0);
}

#[tokio::test]
async fn an_update_without_a_mask_changes_the_fields_that_are_set() {
    let mut fixture = Fixture::start().await;
    let before = Movie { year: 2015, rating: Some(8.0), ..movie("7", "Creed") };
    let before = create(&mut fixture.stub, before).await.unwrap();
    let set = Movie { rating: Some(0.0), ..movie("7", "") };
    let after = update(&mut fixture.stub, set).await.unwrap();
    assert_eq!(get(&mut fixture.stub, "7").await.unwrap(), after);
    assert_ne!(after.etag, before.etag);
    assert_eq!(after.create_time, before.create_time);
    assert_eq!(plain(after), Movie { rating: Some(0.0), ..plain(before) });
}

#[tokio::test]
async fn an_update_with_a_mask_can_also_clear_fields() {
    let mut fixture = Fixture::start().await;
    let before = Movie { year: 2015, rating: Some(8.0), director: "Ryan".into(), ..movie("7", "Creed") };
    create(&mut fixture.stub, before.clone()).await.unwrap();
    let sent = movie("7", "Creed II");
    let after = update_fields(&mut fixture.stub, sent.clone(), &["year", "id", "etag"]).await.unwrap();
    assert_eq!(plain(after), Movie { year: 0, ..before.clone() });
    let after = update_fields(&mut fixture.stub, sent.clone(), &["*"]).await.unwrap();
    assert_eq!(plain(after), sent);

    let unknown = update_fields(&mut fixture.stub, sent.clone(), &["Title", "year", "movie.title"]).await;
    assert_failed(unknown, &invalid().field("update_mask").field("update_mask"));
    let untitled = update_fields(&mut fixture.stub, movie("7", ""), &["title"]).await;
    assert_failed(untitled, &invalid().field("movie.title"));
    assert_eq!(plain(get(&mut fixture.stub, "7").await.unwrap()), sent);
}

#[tokio::test]
async fn an_update_creates_a_missing_movie_only_with_allow_missing() {
    let mut fixture = Fixture::start().await;
    assert_failed(update(&mut fixture.stub, movie("7", "Creed")).await, &missing("7"));
    assert_failed(update(&mut fixture.stub, movie("", "Creed")).await, &invalid().field("movie.id"));
    let of_another = Movie { etag: "\"0\"".into(), ..movie("7", "Creed") };
    assert_failed(update_or_create(&mut fixture.stub, of_another).await, &stale("7"));
    let untitled = update_or_create(&mut fixture.stub, movie("7", "")).await;
    assert_failed(untitled, &invalid().field("movie.title"));
    let made = update_or_create(&mut fixture.stub, movie("7", "Creed")).await.unwrap();
    assert_eq!(plain(made), movie("7", "Creed"));
    let changed = Movie { year: 2015, ..movie("7", "Not of the mask") };
    let changed = update_or_create(&mut fixture.stub, changed).await.unwrap();
    assert_eq!(plain(changed), Movie { year: 2015, ..movie("7", "Creed") });
}

#[tokio::test]
async fn of_two_updates_with_the_same_etag_only_the_first_succeeds() {
    let mut fixture = Fixture::with_movies(&["7"]).await;
    let read = get(&mut fixture.stub, "7").await.unwrap();
    let first = Movie { year: 2015, ..read.clone() };
    let changed = update(&mut fixture.stub, first).await.unwrap();
    assert_failed(update(&mut fixture.stub, Movie { year: 2016, ..read.clone() }).await, &stale("7"));
    let request = |etag: &str| DeleteMovieRequest { id: "7".into(), etag: etag.into(), allow_missing: true };
    assert_failed(fixture.stub.delete_movie(request(&read.etag)).await, &stale("7"));
    assert_eq!(get(&mut fixture.stub, "7").await.unwrap(), changed);
    fixture.stub.delete_movie(request(&changed.etag)).await.unwrap();
    assert_failed(get(&mut fixture.stub, "7").await, &missing("7"));
}

#[tokio::test]
async fn an_update_without_changes_keeps_the_etag_and_the_revision() {
    let mut fixture = Fixture::with_movies(&["7"]).await;
    let before = get(&mut fixture.stub, "7").await.unwrap();
    assert_eq!(update(&mut fixture.stub, before.clone()).await.unwrap(), before);
    assert_eq!(update_fields(&mut fixture.stub, before.clone(), &["*"]).await.unwrap(), before);
    assert_eq!(update_fields(&mut fixture.stub, movie("7", "Other"), &[]).await.unwrap(), before);
    assert_eq!(catalog(&mut fixture.stub).await.revision, 1);
}

#[tokio::test]
async fn a_deleted_movie_is_listed_last_when_it_is_created_again() {
    let mut fixture = Fixture::with_movies(&["a", "b"]).await;
    delete(&mut fixture.stub, "a").await.unwrap();
    assert_failed(delete(&mut fixture.stub, "a").await, &missing("a"));
    assert_failed(delete(&mut fixture.stub, "").await, &invalid().field("id"));
    let request = DeleteMovieRequest { id: "a".into(), allow_missing: true, ..DeleteMovieRequest::default() };
    fixture.stub.delete_movie(request).await.unwrap();
    assert_eq!(catalog(&mut fixture.stub).await.revision, 3);
    create(&mut fixture.stub, movie("a", "Back")).await.unwrap();
    let list = fixture.stub.list_movies(movie_proto::catalog::v1::ListMoviesRequest::default()).await;
    let ids: Vec<_> = list.unwrap().into_inner().movies.into_iter().map(|movie| movie.id).collect();
    assert_eq!(ids, ["b", "a"]);
}
