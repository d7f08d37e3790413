//! `ImportMovies`.

use std::time::Duration;

use prost::Message;

use super::*;
use crate::support::h2_client::{Call, Client};
use crate::support::messages::framed;

/// Imports movies, in several messages.
async fn send(stub: &mut Stub, messages: Vec<Vec<Movie>>) -> Result<ImportMoviesResponse, Status> {
    let messages = messages.into_iter().map(|movies| ImportMoviesRequest { movies });
    let messages = tokio_stream::iter(messages.collect::<Vec<_>>());
    Ok(stub.import_movies(messages).await?.into_inner())
}

#[tokio::test]
async fn an_import_counts_created_updated_unchanged_and_rejected_movies() {
    let mut fixture = Fixture::with_movies(&["there", "other"]).await;
    let messages = vec![
        vec![movie("new", "A title"), movie("", "No id"), movie("there", "A title")],
        vec![movie("other", "Another title"), movie("untitled", ""), movie("new", "A title")],
        vec![],
    ];
    let response = send(&mut fixture.stub, messages).await.unwrap();
    let ImportMoviesResponse { created, updated, unchanged, rejected, rejections } = response;
    assert_eq!((created, updated, unchanged, rejected), (1, 1, 2, 2));
    let named: Vec<_> = rejections.iter().map(|one| (one.index, one.id.as_str())).collect();
    assert_eq!(named, [(1, ""), (4, "untitled")]);
    assert!(rejections[0].reason.contains("movie.id") && rejections[1].reason.contains("movie.title"));
    assert_eq!(get(&mut fixture.stub, "other").await.unwrap().title, "Another title");
}

#[tokio::test]
async fn a_repeated_import_changes_nothing() {
    let mut fixture = Fixture::start().await;
    // The last of several movies with the same id is kept.
    let messages = vec![vec![movie("a", "First"), movie("a", "Last")], vec![movie("b", "B")]];
    send(&mut fixture.stub, messages.clone()).await.unwrap();
    let (a, revision) =
        (get(&mut fixture.stub, "a").await.unwrap(), catalog(&mut fixture.stub).await.revision);
    assert_eq!(a.title, "Last");
    let again = send(&mut fixture.stub, vec![vec![movie("a", "Last")], vec![movie("b", "B")]]).await.unwrap();
    assert_eq!((again.created, again.updated, again.unchanged), (0, 0, 2));
    assert_eq!(get(&mut fixture.stub, "a").await.unwrap(), a);
    assert_eq!(catalog(&mut fixture.stub).await.revision, revision);
}

#[tokio::test]
async fn an_import_may_be_longer_than_the_flow_control_window() {
    let mut fixture = Fixture::start().await;
    // More than twice the default of `window`.
    let messages = (0..6).map(|id| vec![large_movie(&id.to_string())]).collect();
    let sent = send(&mut fixture.stub, messages);
    let response = tokio::time::timeout(Duration::from_secs(20), sent).await.expect("the import is stuck");
    assert_eq!(response.unwrap().created, 6);
}

#[tokio::test]
async fn the_first_hundred_rejected_movies_are_named_and_all_are_counted() {
    let mut fixture = Fixture::start().await;
    let response = send(&mut fixture.stub, vec![vec![movie("a", ""); 60], vec![movie("a", ""); 60]]).await;
    let response = response.unwrap();
    assert_eq!((response.rejected, response.rejections.len()), (120, 100));
    assert!(response.rejections.iter().map(|one| one.index).eq(0..100));
}

#[tokio::test]
async fn a_message_beyond_ten_thousand_movies_is_refused_and_earlier_messages_stay_written() {
    let mut fixture = Fixture::start().await;
    let all = vec![movie("a", "A title"); 10_000];
    let response = send(&mut fixture.stub, vec![all.clone()]).await.unwrap();
    assert_eq!((response.created, response.unchanged), (1, 9_999));
    let more = [all, vec![movie("c", "A title")]].concat();
    let invalid = Failure::new(Code::InvalidArgument, "INVALID_FIELDS").field("movies");
    assert_failed(send(&mut fixture.stub, vec![vec![movie("b", "B")], more]).await, &invalid);
    get(&mut fixture.stub, "b").await.unwrap();
    get(&mut fixture.stub, "c").await.unwrap_err();
}

#[tokio::test]
async fn a_truncated_import_has_written_complete_messages_only() {
    let mut fixture = Fixture::start().await;
    let message = |ids: [&str; 2]| {
        let movies = ids.map(|id| movie(id, "A title")).into();
        framed(&ImportMoviesRequest { movies }.encode_to_vec())
    };
    let (whole, cut) = (message(["a", "b"]), message(["c", "d"]));
    let call = Call::new("/movie.catalog.v1.MovieCatalog/ImportMovies", b"");
    let call = call.frames(&[&whole, &cut[..cut.len() - 3]]);
    let response = Client::connect(fixture.service.address).await.call(&call).await.unwrap();
    let status = response.trailers.unwrap_or(response.headers);
    assert_ne!(status["grpc-status"], "0");
    assert_eq!(catalog(&mut fixture.stub).await.movie_count, 2);
    get(&mut fixture.stub, "b").await.unwrap();
}
