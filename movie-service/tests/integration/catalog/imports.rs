//! `ImportMovies`.

use std::time::Duration;

use prost::Message;

use super::*;
use crate::raw::{Call, Peer, framed};

/// Sends messages of an import.
async fn send(stub: &mut Stub, messages: Vec<Vec<Movie>>) -> Result<ImportMoviesResponse, Status> {
    let messages = messages.into_iter().map(|movies| ImportMoviesRequest { movies });
    let messages = tokio_stream::iter(messages.collect::<Vec<_>>());
    Ok(stub.import_movies(messages).await?.into_inner())
}

#[tokio::test]
async fn an_import_counts_what_became_of_each_movie() {
    let mut fixture = Fixture::with_movies(&["there", "other"]).await;
    let messages = vec![
        vec![movie("new", "A title"), movie("", "No id"), movie("there", "A title")],
        vec![movie("other", "Another title"), movie("untitled", ""), movie("new", "A title")],
        vec![],
    ];
    let answer = send(&mut fixture.stub, messages).await.unwrap();
    let ImportMoviesResponse { created, updated, unchanged, rejected, rejections } = answer;
    assert_eq!((created, updated, unchanged, rejected), (1, 1, 2, 2));
    let named: Vec<_> = rejections.iter().map(|one| (one.index, one.id.as_str())).collect();
    assert_eq!(named, [(1, ""), (4, "untitled")]);
    assert!(rejections[0].reason.contains("movie.id") && rejections[1].reason.contains("movie.title"));
    assert_eq!(get(&mut fixture.stub, "other").await.unwrap().title, "Another title");
}

#[tokio::test]
async fn an_import_that_is_sent_again_changes_nothing() {
    let mut fixture = Fixture::start().await;
    // The last one of those with the same id stays.
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
async fn an_import_may_be_longer_than_a_peer_may_send_ahead() {
    let mut fixture = Fixture::start().await;
    // Twice the default of `window`, and more.
    let messages = (0..6).map(|id| vec![large_movie(&id.to_string())]).collect();
    let sent = send(&mut fixture.stub, messages);
    let answer = tokio::time::timeout(Duration::from_secs(20), sent).await.expect("it is not stuck");
    assert_eq!(answer.unwrap().created, 6);
}

#[tokio::test]
async fn a_hundred_movies_that_cannot_be_taken_are_named_and_all_are_counted() {
    let mut fixture = Fixture::start().await;
    let answer = send(&mut fixture.stub, vec![vec![movie("a", ""); 60], vec![movie("a", ""); 60]]).await;
    let answer = answer.unwrap();
    assert_eq!((answer.rejected, answer.rejections.len()), (120, 100));
    assert!(answer.rejections.iter().map(|one| one.index).eq(0..100));
}

#[tokio::test]
async fn a_message_has_at_most_ten_thousand_movies_and_those_before_it_stay_written() {
    let mut fixture = Fixture::start().await;
    let all = vec![movie("a", "A title"); 10_000];
    let answer = send(&mut fixture.stub, vec![all.clone()]).await.unwrap();
    assert_eq!((answer.created, answer.unchanged), (1, 9_999));
    let more = [all, vec![movie("c", "A title")]].concat();
    let invalid = Failure::new(Code::InvalidArgument, "INVALID_FIELDS").field("movies");
    assert_failed(send(&mut fixture.stub, vec![vec![movie("b", "B")], more]).await, &invalid);
    get(&mut fixture.stub, "b").await.unwrap();
    get(&mut fixture.stub, "c").await.unwrap_err();
}

#[tokio::test]
async fn an_import_that_is_cut_off_has_written_whole_messages_only() {
    let mut fixture = Fixture::start().await;
    let message = |ids: [&str; 2]| {
        let movies = ids.map(|id| movie(id, "A title")).into();
        framed(&ImportMoviesRequest { movies }.encode_to_vec())
    };
    let (whole, cut) = (message(["a", "b"]), message(["c", "d"]));
    let call = Call::new("/movie.catalog.v1.MovieCatalog/ImportMovies", b"");
    let call = call.frames(&[&whole, &cut[..cut.len() - 3]]);
    let answer = Peer::connect(fixture.service.address).await.call(&call).await.unwrap();
    let status = answer.trailers.unwrap_or(answer.headers);
    assert_ne!(status["grpc-status"], "0");
    assert_eq!(catalog(&mut fixture.stub).await.movie_count, 2);
    get(&mut fixture.stub, "b").await.unwrap();
}
