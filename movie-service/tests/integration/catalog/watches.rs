//! `WatchMovies`.

use std::fs::{self, File};

use movie_proto::catalog::v1::watch_movies_request::Start;
use movie_proto::catalog::v1::watch_movies_response::Event;
use movie_proto::catalog::v1::{WatchMoviesRequest, WatchMoviesResponse};
use tonic::Streaming;

use super::*;
use crate::support::databases::database;

/// A watch whose events are read as text, and the resume token of the last one.
struct Watch(Streaming<WatchMoviesResponse>, String);

impl Watch {
    async fn begin(stub: &mut Stub, start: Option<Start>) -> Self {
        Self(stub.watch_movies(WatchMoviesRequest { start }).await.unwrap().into_inner(), String::new())
    }

    /// Begins a watch, and reads until it has caught up.
    async fn caught_up(stub: &mut Stub) -> Self {
        Self::begin(stub, None).await.wait_until_caught_up().await
    }

    /// Reads the event that the watch has caught up.
    async fn wait_until_caught_up(mut self) -> Self {
        assert!(self.next().await.ends_with(" caught up"));
        self
    }

    async fn try_next(&mut self) -> Result<String, Status> {
        let WatchMoviesResponse { revision, event, resume_token } = self.0.message().await?.unwrap();
        self.1 = resume_token;
        Ok(match event.unwrap() {
            Event::Upserted(movie) => format!("{revision} {}={}", movie.id, movie.title),
            Event::DeletedId(id) => format!("{revision} -{id}"),
            Event::CaughtUp(caught_up) => {
                assert!(caught_up);
                format!("{revision} caught up")
            }
        })
    }

    async fn next(&mut self) -> String {
        self.try_next().await.unwrap()
    }

    async fn take(&mut self, count: usize) -> Vec<String> {
        let mut sent = Vec::new();
        for _ in 0..count {
            sent.push(self.next().await);
        }
        sent
    }
}

/// Creates, updates and deletes a movie.
async fn three_changes(stub: &mut Stub) {
    create(stub, movie("x", "X")).await.unwrap();
    update(stub, movie("x", "Y")).await.unwrap();
    delete(stub, "x").await.unwrap();
}

#[tokio::test]
async fn without_a_start_a_watch_sends_changes_from_now_on() {
    let mut fixture = Fixture::with_movies(&["a", "b"]).await;
    for start in [None, Some(Start::FullCopy(false))] {
        let now = catalog(&mut fixture.stub).await.revision;
        let mut watch = Watch::begin(&mut fixture.stub, start).await;
        assert_eq!(watch.next().await, format!("{now} caught up"));
        three_changes(&mut fixture.stub).await;
        let expected = [format!("{} x=X", now + 1), format!("{} x=Y", now + 2), format!("{} -x", now + 3)];
        assert_eq!(watch.take(3).await, expected);
    }
}

#[tokio::test]
async fn a_watch_from_a_revision_sends_the_changes_since_then_and_new_ones() {
    let mut fixture = Fixture::with_movies(&["a"]).await;
    three_changes(&mut fixture.stub).await;
    let mut watch = Watch::begin(&mut fixture.stub, Some(Start::FromRevision(1))).await;
    assert_eq!(watch.take(4).await, ["2 x=X", "3 x=Y", "4 -x", "4 caught up"]);
    update(&mut fixture.stub, movie("a", "B")).await.unwrap();
    assert_eq!(watch.next().await, "5 a=B");
    // Also by a service that was started after these changes.
    fixture.restart().await;
    let mut watch = Watch::begin(&mut fixture.stub, Some(Start::FromRevision(3))).await;
    assert_eq!(watch.take(3).await, ["4 -x", "5 a=B", "5 caught up"]);
}

#[tokio::test]
async fn a_full_copy_sends_every_movie_and_then_the_changes() {
    let mut fixture = Fixture::with_movies(&["b", "a"]).await;
    let mut watch = Watch::begin(&mut fixture.stub, Some(Start::FullCopy(true))).await;
    assert_eq!(watch.take(3).await, ["2 b=A title", "2 a=A title", "2 caught up"]);
    three_changes(&mut fixture.stub).await;
    assert_eq!(watch.take(3).await, ["3 x=X", "4 x=Y", "5 -x"]);
}

#[tokio::test]
async fn a_watch_sends_the_movie_as_get_movie_returns_it() {
    let mut fixture = Fixture::start().await;
    let mut watch = Watch::caught_up(&mut fixture.stub).await;
    let made = create(&mut fixture.stub, large_movie("a")).await.unwrap();
    let sent = watch.0.message().await.unwrap().unwrap().event;
    assert_eq!(sent, Some(Event::Upserted(made)));
}

#[tokio::test]
async fn a_watch_from_a_compacted_revision_is_refused() {
    let mut fixture = Fixture::with(&["--keep-changes", "2"]).await;
    three_changes(&mut fixture.stub).await;
    let mut watch = Watch::begin(&mut fixture.stub, Some(Start::FromRevision(0))).await;
    let compacted = Failure::new(Code::OutOfRange, "REVISION_COMPACTED").metadata("oldest_revision", 1);
    assert_failed(watch.try_next().await, &compacted);
    let mut watch = Watch::begin(&mut fixture.stub, Some(Start::FromRevision(1))).await;
    assert_eq!(watch.take(3).await, ["2 x=Y", "3 -x", "3 caught up"]);
}

#[tokio::test]
async fn a_watch_from_an_unknown_revision_is_refused() {
    let mut fixture = Fixture::with_movies(&["a"]).await;
    for revision in [-1, 2] {
        let mut watch = Watch::begin(&mut fixture.stub, Some(Start::FromRevision(revision))).await;
        let unknown = Failure::new(Code::OutOfRange, "REVISION_UNKNOWN").metadata("revision", 1);
        assert_failed(watch.try_next().await, &unknown);
    }
}

#[tokio::test]
async fn a_slow_watcher_is_told_where_to_resume_and_misses_nothing() {
    const ALL: usize = 200;
    let mut fixture = Fixture::with(&["--limit", "watch_behind=20"]).await;
    let mut reader = stub(&fixture.service).await;
    let mut watch = Watch::caught_up(&mut reader).await;
    // Longer than the windows and buffers between the service and a watcher.
    let title = "😀".repeat(1_000);
    for part in 0..ALL / 20 {
        let movies = (1..=20).map(|number| movie(&format!("{}", part * 20 + number), &title));
        import(&mut fixture.stub, movies.collect()).await.unwrap();
    }
    let mut sent = 0;
    let status = loop {
        match watch.0.message().await {
            Ok(message) => {
                sent += 1;
                assert_eq!(message.unwrap().revision, sent);
            }
            Err(status) => break status,
        }
    };
    let slow = Failure::new(Code::Aborted, "WATCHER_TOO_SLOW").metadata("resume_revision", sent);
    assert_eq!(Failure::of(&status), slow, "{status}");
    assert!(sent < 180, "{sent} changes were sent to a watcher that did not read");

    let mut watch = Watch::begin(&mut reader, Some(Start::FromRevision(sent))).await;
    for revision in sent + 1..=i64::try_from(ALL).unwrap() {
        assert!(watch.next().await.starts_with(&format!("{revision} {revision}=")));
    }
    assert_eq!(watch.next().await, format!("{ALL} caught up"));
}

#[tokio::test]
async fn a_watch_ends_with_a_reason_when_the_service_stops() {
    let mut fixture = Fixture::start().await;
    let mut watch = Watch::caught_up(&mut fixture.stub).await;
    fixture.service.signal("TERM");
    let stopping = Failure::new(Code::Unavailable, "SERVICE_STOPPING").retry();
    assert_failed(watch.try_next().await, &stopping);
    assert!(fixture.service.wait().await.success());
}

#[tokio::test]
async fn a_watch_is_resumed_by_the_token_of_any_message_even_after_a_restart() {
    let mut fixture = Fixture::with_movies(&["a"]).await;
    let mut watch = Watch::caught_up(&mut fixture.stub).await;
    let mut tokens = vec![watch.1.clone()];
    three_changes(&mut fixture.stub).await;
    for _ in 0..3 {
        watch.next().await;
        tokens.push(watch.1.clone());
    }
    for restarted in [false, true] {
        if restarted {
            drop(watch);
            fixture.restart().await;
        }
        for (number, token) in tokens.iter().enumerate() {
            let start = Some(Start::ResumeToken(token.clone()));
            watch = Watch::begin(&mut fixture.stub, start).await;
            let expected = ["2 x=X", "3 x=Y", "4 -x", "4 caught up"];
            assert_eq!(watch.take(4 - number).await, expected[number..]);
            assert_eq!(watch.1, tokens[3]);
        }
        watch = Watch::caught_up(&mut fixture.stub).await;
    }
}

#[tokio::test]
async fn a_full_copy_has_no_token_until_it_is_complete() {
    let mut fixture = Fixture::with_movies(&["a", "b"]).await;
    let mut watch = Watch::begin(&mut fixture.stub, Some(Start::FullCopy(true))).await;
    for _ in 0..2 {
        watch.next().await;
        assert_eq!(watch.1, "");
    }
    assert_eq!(watch.next().await, "2 caught up");
    assert_ne!(watch.1, "");
}

#[tokio::test]
async fn resume_tokens_of_another_history_and_invalid_ones_are_refused() {
    let mut fixture = Fixture::with_movies(&["a", "b"]).await;
    let mut other = Fixture::with_movies(&["a", "b"]).await;
    // The same changes and revisions, in another store.
    let mut watch = Watch::caught_up(&mut other.stub).await;
    three_changes(&mut other.stub).await;
    watch.next().await;
    three_changes(&mut fixture.stub).await;
    let start = Some(Start::ResumeToken(watch.1.clone()));
    let changed = Failure::new(Code::OutOfRange, "HISTORY_CHANGED");
    assert_failed(Watch::begin(&mut fixture.stub, start).await.try_next().await, &changed);
    for text in ["", "x", &watch.1[1..], &format!("{}A", watch.1)] {
        let start = Some(Start::ResumeToken(text.into()));
        let invalid = Failure::new(Code::InvalidArgument, "INVALID_FIELDS").field("resume_token");
        assert_failed(Watch::begin(&mut fixture.stub, start).await.try_next().await, &invalid);
    }
}

#[tokio::test]
async fn resume_tokens_are_valid_for_the_same_file_and_refused_for_another_version() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("movies.json"), dir.path().join("other.json"));
    fs::copy(database("movies.json"), &path).unwrap();
    let (one, other) = (Service::run(&mut command(&path)), Service::run(&mut command(&path)));
    let watch = Watch::begin(&mut stub(&one).await, None).await.wait_until_caught_up().await;
    let start = || Some(Start::ResumeToken(watch.1.clone()));
    let resumed = Watch::begin(&mut stub(&other).await, start()).await.wait_until_caught_up().await;
    assert_eq!(resumed.1, watch.1);

    // With the same modification time, so that the revision is the same.
    let text = fs::read_to_string(&path).unwrap().replace("Creed", "Creed II");
    fs::write(&copy, text).unwrap();
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    File::options().append(true).open(&copy).unwrap().set_modified(modified).unwrap();
    let changed = Service::run(&mut command(&copy));
    let status = Watch::begin(&mut stub(&changed).await, start()).await.try_next().await;
    assert_failed(status, &Failure::new(Code::OutOfRange, "HISTORY_CHANGED"));
}
