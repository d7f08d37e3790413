//! Watches over connections that are lost.

use std::collections::{BTreeMap, HashSet};

use movie_client::{Change, Client, Error, Event, Field, Movie, Query, ResponseStream, Start};
use movie_proto::catalog::v1::{self, WatchMoviesRequest, watch_movies_request, watch_movies_response};
use tokio::task::JoinHandle;
use tokio_stream::StreamExt;
use tonic::{Code, Status};

use crate::support::proxy::Proxy;
use crate::support::scripted::{RecordedCall, ScriptedServer, Step};
use crate::support::service::{Service, SharedStore};
use crate::support::{client, failure, movie, next, until};

/// Id of the movie that is added last.
const LAST_ID: &str = "the last";

type Model = BTreeMap<String, Movie>;

/// A deterministic sequence of pseudorandom numbers.
struct Random(u64);

impl Random {
    /// Returns a number below `end`.
    fn below(&mut self, end: u64) -> u64 {
        // xorshift64
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Makes `count` effective changes, and then adds the last movie.
async fn make_changes(client: &Client, count: usize, mut between: impl FnMut(&mut Random)) {
    let mut random = Random(0x5eed);
    let mut there = HashSet::new();
    for number in 0..count {
        let (id, title) = (format!("id {}", random.below(60)), format!("title {number}"));
        if there.insert(id.clone()) {
            client.put(movie(&id, &title)).await.unwrap();
        } else if random.below(3) == 0 {
            there.remove(&id);
            client.delete(id, None).await.unwrap();
        } else {
            client.update(movie(&id, &title), &[Field::Title]).await.unwrap();
        }
        between(&mut random);
    }
    client.create(movie(LAST_ID, LAST_ID)).await.unwrap();
}

/// Returns all movies of the catalogue.
async fn all_movies(client: &Client) -> Model {
    let mut list = client.list(Query::default());
    let mut movies = Model::new();
    while let Some(movie) = list.next().await {
        let movie = movie.unwrap();
        assert!(movies.insert(movie.id.clone(), movie).is_none());
    }
    movies
}

/// Applies changes to a model. Each change must change the model, so that duplicates are detected.
fn apply(model: &mut Model, received: &[Change]) {
    for Change { event, .. } in received {
        match event {
            Event::Upserted(movie) => {
                let before = model.insert(movie.id.clone(), movie.clone());
                assert_ne!(before.as_ref(), Some(movie), "received twice");
            }
            Event::Deleted(id) => assert!(model.remove(id).is_some(), "{id} was not there"),
            Event::CaughtUp => {}
        }
    }
}

/// Asserts that the changes have consecutive revisions after `revision`.
fn assert_in_order(revision: u64, received: &[Change]) {
    let received: Vec<_> = received
        .iter()
        .filter(|change| change.event != Event::CaughtUp)
        .map(|change| change.revision)
        .collect();
    let all: Vec<_> = (revision + 1..).take(received.len()).collect();
    assert_eq!(received, all);
}

fn is_last(change: &Change) -> bool {
    matches!(&change.event, Event::Upserted(movie) if movie.id == LAST_ID)
}

fn is_caught_up(change: &Change) -> bool {
    change.event == Event::CaughtUp
}

fn count_caught_up(received: &[Change]) -> usize {
    received.iter().filter(|change| is_caught_up(change)).count()
}

/// Collects all changes up to the last movie.
fn collect(mut changes: ResponseStream<Change>) -> JoinHandle<Vec<Change>> {
    tokio::spawn(async move { until(&mut changes, is_last).await })
}

/// Adds movies of about 200 bytes each. `make_changes` changes the movies that come first.
async fn fill(client: &Client, count: usize) {
    let movies = (0..count).map(|number| {
        let director = "A Director with a long name, ".repeat(5);
        Movie { director, ..movie(&format!("old {number}"), "old") }
    });
    client.import(movies).await.unwrap();
}

#[tokio::test]
async fn each_change_is_delivered_once_and_in_order_across_lost_connections() {
    let service = Service::writable();
    let proxy = Proxy::to(service.socket_address()).await;
    let direct = service.client();
    fill(&direct, 60).await;
    let (before, revision) = (all_movies(&direct).await, direct.catalog().await.unwrap().revision);

    // Every connection is closed after some bytes, often within a message.
    let mut random = Random(42);
    proxy.limit_bytes(move || usize::try_from(500 + random.below(16_000)).unwrap());
    let mut now = client([proxy.address]).watch(Start::Now).await.unwrap();
    let from_now = next(&mut now).await.unwrap();
    assert_eq!((from_now.revision, from_now.event), (revision, Event::CaughtUp));
    let now = collect(now);
    let after = collect(client([proxy.address]).watch(Start::After(revision)).await.unwrap());
    let mut copy = client([proxy.address]).watch(Start::FullCopy).await.unwrap();
    let copy = tokio::spawn(async move {
        // If the copy was interrupted often, it may contain the last movie.
        let mut received = until(&mut copy, is_caught_up).await;
        if !received.iter().any(is_last) {
            received.extend(until(&mut copy, is_last).await);
        }
        received
    });
    make_changes(&direct, 300, |random| {
        if random.below(20) == 0 {
            proxy.disconnect();
        }
    })
    .await;
    proxy.limit_bytes(|| usize::MAX);
    proxy.disconnect();

    let (now, after, copy) = (now.await.unwrap(), after.await.unwrap(), copy.await.unwrap());
    let expected = all_movies(&direct).await;
    assert!(proxy.connections() > 20, "{}", proxy.connections());
    for received in [&now, &after] {
        assert_eq!(received.len() - count_caught_up(received), 301);
        assert_in_order(revision, received);
        let mut model = before.clone();
        apply(&mut model, received);
        assert_eq!(model, expected);
    }
    assert_eq!((count_caught_up(&now), count_caught_up(&after), count_caught_up(&copy)), (0, 1, 1));
    let mut model = Model::new();
    apply(&mut model, &copy);
    assert_eq!(model, expected);
    let caught_up = copy.iter().position(is_caught_up).unwrap();
    assert_in_order(copy[caught_up].revision, &copy[caught_up..]);
}

#[tokio::test]
async fn an_interrupted_copy_is_completed_and_delivers_later_deletions() {
    let service = Service::writable();
    let proxy = Proxy::to(service.socket_address()).await;
    let direct = service.client();
    fill(&direct, 1000).await;
    // A part of the copy arrives, and nothing more for now. A DATA frame has up to 16 KiB.
    let mut limit = Some(30_000);
    proxy.limit_bytes(move || limit.take().unwrap_or(0));
    let mut copy = client([proxy.address]).watch(Start::FullCopy).await.unwrap();
    let mut received = vec![next(&mut copy).await.unwrap()];
    assert!(matches!(&received[0].event, Event::Upserted(movie) if movie.id == "old 0"), "{received:?}");

    direct.delete("old 0", None).await.unwrap();
    direct.delete("old 999", None).await.unwrap();
    direct.update(movie("old 1", "new"), &[Field::Title]).await.unwrap();
    direct.create(movie("new", "new")).await.unwrap();
    proxy.limit_bytes(|| usize::MAX);
    received.extend(until(&mut copy, is_caught_up).await);

    let mut model = Model::new();
    apply(&mut model, &received);
    assert_eq!(model, all_movies(&direct).await);
    assert!(received.iter().any(|change| change.event == Event::Deleted("old 0".to_owned())));
    let is_removed =
        |change: &&Change| matches!(&change.event, Event::Upserted(movie) if movie.id == "old 999");
    assert_eq!(received.iter().filter(is_removed).count(), 0);
    assert_eq!(received.last().unwrap().revision, direct.catalog().await.unwrap().revision);
    assert!(proxy.connections() >= 2);
}

#[tokio::test]
async fn a_watch_resumes_with_the_service_that_replaces_a_stopped_one() {
    let movies = SharedStore::with_change_log(1000);
    let (old, new) = (movies.start(), movies.start());
    let proxy = Proxy::to(old.socket_address()).await;
    let mut changes = client([proxy.address]).watch(Start::Now).await.unwrap();
    let mut received = vec![next(&mut changes).await.unwrap()];
    let revision = received[0].revision;
    let direct = old.client();
    direct.create(movie("a", "A")).await.unwrap();
    received.push(next(&mut changes).await.unwrap());
    proxy.set_target(new.socket_address());
    let received = tokio::spawn(async move {
        received.extend(until(&mut changes, is_last).await);
        received
    });
    drop(old);
    make_changes(&new.client(), 20, |_| {}).await;
    let received = received.await.unwrap();
    assert_in_order(revision, &received);
    assert_eq!(received.len(), 1 + 1 + 21);
}

/// A message without a resume token, as from an earlier version of the service.
fn watch_message(revision: i64, event: watch_movies_response::Event) -> Step {
    watch_message_with_token("", revision, event)
}

fn watch_message_with_token(resume_token: &str, revision: i64, event: watch_movies_response::Event) -> Step {
    let resume_token = resume_token.to_owned();
    Step::message(&v1::WatchMoviesResponse { revision, event: Some(event), resume_token })
}

fn deleted(revision: i64) -> Step {
    watch_message(revision, watch_movies_response::Event::DeletedId(revision.to_string()))
}

fn caught_up(revision: i64) -> Step {
    watch_message(revision, watch_movies_response::Event::CaughtUp(true))
}

fn failed(code: Code, reason: &str) -> Step {
    Step::End(failure(code, reason))
}

fn revision_and_event(change: Change) -> (u64, Event) {
    (change.revision, change.event)
}

/// Returns the revisions from which watches started.
fn starts(service: &ScriptedServer) -> Vec<Option<i64>> {
    let start = |call: &RecordedCall| match call.message::<WatchMoviesRequest>().start {
        Some(watch_movies_request::Start::FromRevision(revision)) => Some(revision),
        Some(watch_movies_request::Start::ResumeToken(token)) => panic!("the token {token}"),
        Some(watch_movies_request::Start::FullCopy(_)) => panic!("a copy"),
        None => None,
    };
    service.calls().iter().map(start).collect()
}

#[tokio::test]
async fn a_watch_resumes_after_temporary_errors() {
    let ends = [
        failed(Code::Aborted, "WATCHER_TOO_SLOW"),
        failed(Code::Unavailable, "SERVICE_STOPPING"),
        failed(Code::ResourceExhausted, "SERVICE_BUSY"),
        // A lagging node of the service.
        failed(Code::OutOfRange, "REVISION_UNKNOWN"),
        Step::Disconnect,
        Step::End(Status::ok("")),
    ];
    let count = ends.len() + 1;
    let service = ScriptedServer::start(move |call| {
        let number = i64::try_from(call.number).unwrap();
        match ends.get(call.number) {
            Some(end) if number == 0 => vec![caught_up(100), deleted(101), end.clone()],
            // The watch ignores changes that were delivered before.
            Some(end) => vec![deleted(100 + number), deleted(101 + number), end.clone()],
            None => vec![deleted(100 + number), deleted(101 + number), Step::Hang],
        }
    })
    .await;
    let mut changes = client([service.address]).watch(Start::Now).await.unwrap();
    assert_eq!(revision_and_event(next(&mut changes).await.unwrap()), (100, Event::CaughtUp));
    for revision in (101..).take(count) {
        let event = Event::Deleted(revision.to_string());
        assert_eq!(revision_and_event(next(&mut changes).await.unwrap()), (revision, event));
    }
    let expected: Vec<_> = std::iter::once(None).chain((101..).map(Some)).take(count).collect();
    assert_eq!(starts(&service), expected);
}

#[tokio::test]
async fn a_watch_ends_with_a_permanent_error() {
    for (code, reason) in [
        (Code::OutOfRange, "REVISION_COMPACTED"),
        (Code::OutOfRange, "HISTORY_CHANGED"),
        (Code::PermissionDenied, "ROLE_TOO_LOW"),
        (Code::Internal, "SERVICE_FAILED"),
    ] {
        let service = ScriptedServer::always([caught_up(7), failed(code, reason)]).await;
        let mut changes = client([service.address]).watch(Start::Now).await.unwrap();
        next(&mut changes).await.unwrap();
        let error = next(&mut changes).await.unwrap_err();
        let cannot_resume = matches!(error, Error::RevisionCompacted { .. } | Error::HistoryChanged);
        assert_eq!(cannot_resume, code == Code::OutOfRange, "{error:?}");
        assert!(changes.next().await.is_none());
        assert_eq!(service.calls().len(), 1);
    }
}

#[tokio::test]
async fn a_revision_that_no_node_reaches_ends_the_watch() {
    let service = ScriptedServer::start(|call| match call.number {
        0 => vec![deleted(101), Step::Disconnect],
        _ => vec![failed(Code::OutOfRange, "REVISION_UNKNOWN")],
    })
    .await;
    let mut changes = client([service.address]).watch(Start::After(100)).await.unwrap();
    assert_eq!(next(&mut changes).await.unwrap().revision, 101);
    assert_eq!(next(&mut changes).await.unwrap_err(), Error::RevisionUnknown { newest: Some(9) });
    assert!((3..100).contains(&service.calls().len()), "{}", service.calls().len());
}

#[tokio::test]
async fn a_watch_whose_changes_were_compacted_while_disconnected_ends_with_an_error() {
    let movies = SharedStore::with_change_log(10);
    let service = movies.start();
    let proxy = Proxy::to(service.socket_address()).await;
    let direct = service.client();
    let mut changes = client([proxy.address]).watch(Start::Now).await.unwrap();
    next(&mut changes).await.unwrap();
    proxy.limit_bytes(|| 0);
    proxy.disconnect();
    make_changes(&direct, 100, |_| {}).await;
    proxy.limit_bytes(|| usize::MAX);
    let error = loop {
        // Changes from before the disconnect may be delivered first.
        if let Err(error) = next(&mut changes).await {
            break error;
        }
    };
    assert!(matches!(error, Error::RevisionCompacted { oldest: Some(_) }), "{error:?}");
}

#[tokio::test]
async fn a_watch_resumes_with_its_last_resume_token() {
    let service = ScriptedServer::start(|call| match call.number {
        0 => vec![
            watch_message_with_token("first", 100, watch_movies_response::Event::CaughtUp(true)),
            watch_message_with_token("second", 101, watch_movies_response::Event::DeletedId("a".to_owned())),
            Step::Disconnect,
        ],
        _ => {
            vec![
                watch_message_with_token(
                    "third",
                    102,
                    watch_movies_response::Event::DeletedId("b".to_owned()),
                ),
                Step::Hang,
            ]
        }
    })
    .await;
    let mut changes = client([service.address]).watch(Start::Resume("earlier".to_owned())).await.unwrap();
    for token in ["first", "second", "third"] {
        assert_eq!(next(&mut changes).await.unwrap().resume_token, token);
    }
    let token = |call: &RecordedCall| match call.message::<WatchMoviesRequest>().start {
        Some(watch_movies_request::Start::ResumeToken(token)) => token,
        start => panic!("{start:?}"),
    };
    assert_eq!(service.calls().iter().map(token).collect::<Vec<_>>(), ["earlier", "second"]);
}

/// Adds movies with this title.
async fn add(client: &Client, title: &str, count: usize) {
    let movies = (0..count).map(|number| movie(&format!("{title} {number}"), title));
    client.import(movies).await.unwrap();
}

/// Replaces the store of a service by another one with movies of its own, and fewer, as many, or more changes.
async fn replaced(lost: usize, new: usize) {
    let old = Service::writable();
    let replacement = Service::writable();
    for service in [&old, &replacement] {
        add(&service.client(), "old", 20).await;
    }
    add(&old.client(), "lost", lost).await;
    add(&replacement.client(), "new", new).await;
    let proxy = Proxy::to(old.socket_address()).await;
    let client = client([proxy.address]);
    let mut copy = client.watch(Start::FullCopy).await.unwrap();
    let mut received = until(&mut copy, is_caught_up).await;
    let mut plain = client.watch(Start::Now).await.unwrap();
    next(&mut plain).await.unwrap();
    let plain = tokio::spawn(async move { next(&mut plain).await });

    proxy.set_target(replacement.socket_address());
    proxy.disconnect();
    received.extend(until(&mut copy, is_caught_up).await);
    replacement.client().create(movie(LAST_ID, LAST_ID)).await.unwrap();
    received.extend(until(&mut copy, is_last).await);
    let mut model = Model::new();
    apply(&mut model, &received);
    assert_eq!(model, all_movies(&replacement.client()).await);
    // A watch without a copy does not know which movies were deleted.
    let error = plain.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::HistoryChanged | Error::RevisionUnknown { .. }), "{error:?}");
}

#[tokio::test]
async fn a_copy_restarts_when_its_store_is_replaced_and_delivers_the_deletions() {
    for new in [3, 5, 6] {
        replaced(5, new).await;
    }
}

#[tokio::test]
async fn a_copy_restarts_when_its_changes_were_compacted() {
    let movies = SharedStore::with_change_log(10);
    let service = movies.start();
    let proxy = Proxy::to(service.socket_address()).await;
    let direct = service.client();
    make_changes(&direct, 10, |_| {}).await;
    direct.delete(LAST_ID, None).await.unwrap();
    let mut copy = client([proxy.address]).watch(Start::FullCopy).await.unwrap();
    let mut received = until(&mut copy, is_caught_up).await;
    proxy.limit_bytes(|| 0);
    proxy.disconnect();
    direct
        .import((0..100).map(|number| movie(&format!("id {}", number % 60), &format!("later {number}"))))
        .await
        .unwrap();
    direct.create(movie(LAST_ID, LAST_ID)).await.unwrap();
    proxy.limit_bytes(|| usize::MAX);
    received.extend(until(&mut copy, is_caught_up).await);
    let mut model = Model::new();
    apply(&mut model, &received);
    assert_eq!(model, all_movies(&direct).await);
}
