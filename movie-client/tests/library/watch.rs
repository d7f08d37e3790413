//! Following changes while connections are cut.

use std::collections::{BTreeMap, HashSet};

use movie_client::{Change, Client, Error, Event, Field, Movie, Query, ResponseStream, Start};
use movie_proto::catalog::v1::{self, WatchMoviesRequest, watch_movies_request, watch_movies_response};
use tokio::task::JoinHandle;
use tokio_stream::StreamExt;
use tonic::{Code, Status};

use crate::proxy::Proxy;
use crate::scripted::{Asked, Scripted, Step};
use crate::service::{Movies, Service};
use crate::support::{client, failure, movie, next, until};

/// The id of the movie that is added last.
const LAST: &str = "the last";

type Model = BTreeMap<String, Movie>;

/// Numbers that look like chance, and are the same each time.
struct Chance(u64);

impl Chance {
    /// Returns a number below `end`.
    fn below(&mut self, end: u64) -> u64 {
        // xorshift64
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Makes `count` changes, each of which changes something, and then adds the last movie.
async fn make_changes(client: &Client, count: usize, mut between: impl FnMut(&mut Chance)) {
    let mut chance = Chance(0x5eed);
    let mut there = HashSet::new();
    for number in 0..count {
        let (id, title) = (format!("id {}", chance.below(60)), format!("title {number}"));
        if there.insert(id.clone()) {
            client.put(movie(&id, &title)).await.unwrap();
        } else if chance.below(3) == 0 {
            there.remove(&id);
            client.delete(id, None).await.unwrap();
        } else {
            client.update(movie(&id, &title), &[Field::Title]).await.unwrap();
        }
        between(&mut chance);
    }
    client.create(movie(LAST, LAST)).await.unwrap();
}

/// Returns all movies of the catalogue.
async fn all(client: &Client) -> Model {
    let mut list = client.list(Query::default());
    let mut movies = Model::new();
    while let Some(movie) = list.next().await {
        let movie = movie.unwrap();
        assert!(movies.insert(movie.id.clone(), movie).is_none());
    }
    movies
}

/// Adds what was told to a model. Each change has to change it: what is told twice is not told once.
fn follow(model: &mut Model, told: &[Change]) {
    for Change { event, .. } in told {
        match event {
            Event::Upserted(movie) => {
                let before = model.insert(movie.id.clone(), movie.clone());
                assert_ne!(before.as_ref(), Some(movie), "told twice");
            }
            Event::Deleted(id) => assert!(model.remove(id).is_some(), "{id} was not there"),
            Event::CaughtUp => {}
        }
    }
}

/// Asserts that each revision after `revision` is told once and in order.
fn assert_in_order(revision: u64, told: &[Change]) {
    let told: Vec<_> =
        told.iter().filter(|change| change.event != Event::CaughtUp).map(|change| change.revision).collect();
    let all: Vec<_> = (revision + 1..).take(told.len()).collect();
    assert_eq!(told, all);
}

fn is_last(change: &Change) -> bool {
    matches!(&change.event, Event::Upserted(movie) if movie.id == LAST)
}

fn is_level(change: &Change) -> bool {
    change.event == Event::CaughtUp
}

fn levels(told: &[Change]) -> usize {
    told.iter().filter(|change| is_level(change)).count()
}

/// Collects all changes up to the last movie.
fn collect(mut changes: ResponseStream<Change>) -> JoinHandle<Vec<Change>> {
    tokio::spawn(async move { until(&mut changes, is_last).await })
}

/// Adds movies of about 200 bytes each; those that `make_changes` changes come first.
async fn fill(client: &Client, count: usize) {
    let movies = (0..count).map(|number| {
        let director = "A Director with a long name, ".repeat(5);
        Movie { director, ..movie(&format!("old {number}"), "old") }
    });
    client.import(movies).await.unwrap();
}

#[tokio::test]
async fn each_change_is_told_once_and_in_order_however_often_connections_are_cut() {
    let service = Service::writable().await;
    let proxy = Proxy::to(service.socket_address()).await;
    let direct = service.client();
    fill(&direct, 60).await;
    let (before, revision) = (all(&direct).await, direct.catalog().await.unwrap().revision);

    // Every connection is cut some time, most of them while a message is on its way.
    let mut chance = Chance(42);
    proxy.cut_after(move || usize::try_from(500 + chance.below(16_000)).unwrap());
    let mut now = client([proxy.address]).watch(Start::Now).await.unwrap();
    let from_now = next(&mut now).await.unwrap();
    assert_eq!((from_now.revision, from_now.event), (revision, Event::CaughtUp));
    let now = collect(now);
    let after = collect(client([proxy.address]).watch(Start::After(revision)).await.unwrap());
    let mut copy = client([proxy.address]).watch(Start::FullCopy).await.unwrap();
    let copy = tokio::spawn(async move {
        // The last movie may be one of the copy, if that was cut again and again.
        let mut told = until(&mut copy, is_level).await;
        if !told.iter().any(is_last) {
            told.extend(until(&mut copy, is_last).await);
        }
        told
    });
    make_changes(&direct, 300, |chance| {
        if chance.below(20) == 0 {
            proxy.cut();
        }
    })
    .await;
    proxy.cut_after(|| usize::MAX);
    proxy.cut();

    let (now, after, copy) = (now.await.unwrap(), after.await.unwrap(), copy.await.unwrap());
    let expected = all(&direct).await;
    assert!(proxy.connections() > 20, "{}", proxy.connections());
    for told in [&now, &after] {
        assert_eq!(told.len() - levels(told), 301);
        assert_in_order(revision, told);
        let mut model = before.clone();
        follow(&mut model, told);
        assert_eq!(model, expected);
    }
    assert_eq!((levels(&now), levels(&after), levels(&copy)), (0, 1, 1));
    let mut model = Model::new();
    follow(&mut model, &copy);
    assert_eq!(model, expected);
    let level = copy.iter().position(is_level).unwrap();
    assert_in_order(copy[level].revision, &copy[level..]);
}

#[tokio::test]
async fn a_copy_that_is_cut_in_the_middle_is_completed_and_what_was_removed_since_is_told() {
    let service = Service::writable().await;
    let proxy = Proxy::to(service.socket_address()).await;
    let direct = service.client();
    fill(&direct, 100).await;
    // A part of the copy comes through, and nothing more for now.
    let mut room = Some(10_000);
    proxy.cut_after(move || room.take().unwrap_or(0));
    let mut copy = client([proxy.address]).watch(Start::FullCopy).await.unwrap();
    let mut told = vec![next(&mut copy).await.unwrap()];
    assert!(matches!(&told[0].event, Event::Upserted(movie) if movie.id == "old 0"), "{told:?}");

    direct.delete("old 0", None).await.unwrap();
    direct.delete("old 99", None).await.unwrap();
    direct.update(movie("old 1", "new"), &[Field::Title]).await.unwrap();
    direct.create(movie("new", "new")).await.unwrap();
    proxy.cut_after(|| usize::MAX);
    told.extend(until(&mut copy, is_level).await);

    let mut model = Model::new();
    follow(&mut model, &told);
    assert_eq!(model, all(&direct).await);
    assert!(told.iter().any(|change| change.event == Event::Deleted("old 0".to_owned())));
    let named = |change: &&Change| matches!(&change.event, Event::Upserted(movie) if movie.id == "old 99");
    assert_eq!(told.iter().filter(named).count(), 0);
    assert_eq!(told.last().unwrap().revision, direct.catalog().await.unwrap().revision);
    assert!(proxy.connections() >= 2);
}

#[tokio::test]
async fn a_watch_goes_on_with_the_service_that_follows_one_that_stopped() {
    let movies = Movies::keeping(1000).await;
    let (old, new) = (movies.start(), movies.start());
    let proxy = Proxy::to(old.socket_address()).await;
    let mut changes = client([proxy.address]).watch(Start::Now).await.unwrap();
    let mut told = vec![next(&mut changes).await.unwrap()];
    let revision = told[0].revision;
    let direct = old.client();
    direct.create(movie("a", "A")).await.unwrap();
    told.push(next(&mut changes).await.unwrap());
    proxy.lead_to(new.socket_address());
    let told = tokio::spawn(async move {
        told.extend(until(&mut changes, is_last).await);
        told
    });
    old.stop().await;
    make_changes(&new.client(), 20, |_| {}).await;
    let told = told.await.unwrap();
    assert_in_order(revision, &told);
    assert_eq!(told.len(), 1 + 1 + 21);
}

/// A message of a service of an earlier version, which has no resume tokens.
fn said(revision: i64, event: watch_movies_response::Event) -> Step {
    said_with("", revision, event)
}

fn said_with(resume_token: &str, revision: i64, event: watch_movies_response::Event) -> Step {
    let resume_token = resume_token.to_owned();
    Step::say(&v1::WatchMoviesResponse { revision, event: Some(event), resume_token })
}

fn deleted(revision: i64) -> Step {
    said(revision, watch_movies_response::Event::DeletedId(revision.to_string()))
}

fn level(revision: i64) -> Step {
    said(revision, watch_movies_response::Event::CaughtUp(true))
}

fn failed(code: Code, reason: &str) -> Step {
    Step::End(failure(code, reason))
}

fn told(change: Change) -> (u64, Event) {
    (change.revision, change.event)
}

/// Returns the revisions that watches were asked to begin after.
fn starts(service: &Scripted) -> Vec<Option<i64>> {
    let start = |asked: &Asked| match asked.message::<WatchMoviesRequest>().start {
        Some(watch_movies_request::Start::FromRevision(revision)) => Some(revision),
        Some(watch_movies_request::Start::ResumeToken(token)) => panic!("the token {token}"),
        Some(watch_movies_request::Start::FullCopy(_)) => panic!("a copy"),
        None => None,
    };
    service.asked().iter().map(start).collect()
}

#[tokio::test]
async fn a_watch_goes_on_after_whatever_does_not_last() {
    let ends = [
        failed(Code::Aborted, "WATCHER_TOO_SLOW"),
        failed(Code::Unavailable, "SERVICE_STOPPING"),
        failed(Code::ResourceExhausted, "SERVICE_BUSY"),
        // Another node of the service, which is not that far.
        failed(Code::OutOfRange, "REVISION_UNKNOWN"),
        Step::Cut,
        Step::End(Status::ok("")),
    ];
    let count = ends.len() + 1;
    let service = Scripted::start(move |asked| {
        let number = i64::try_from(asked.number).unwrap();
        match ends.get(asked.number) {
            Some(end) if number == 0 => vec![level(100), deleted(101), end.clone()],
            // What was told already is passed over.
            Some(end) => vec![deleted(100 + number), deleted(101 + number), end.clone()],
            None => vec![deleted(100 + number), deleted(101 + number), Step::Hang],
        }
    })
    .await;
    let mut changes = client([service.address]).watch(Start::Now).await.unwrap();
    assert_eq!(told(next(&mut changes).await.unwrap()), (100, Event::CaughtUp));
    for revision in (101..).take(count) {
        let event = Event::Deleted(revision.to_string());
        assert_eq!(told(next(&mut changes).await.unwrap()), (revision, event));
    }
    let expected: Vec<_> = std::iter::once(None).chain((101..).map(Some)).take(count).collect();
    assert_eq!(starts(&service), expected);
}

#[tokio::test]
async fn a_watch_ends_with_what_lasts() {
    for (code, reason) in [
        (Code::OutOfRange, "REVISION_COMPACTED"),
        (Code::OutOfRange, "HISTORY_CHANGED"),
        (Code::PermissionDenied, "ROLE_TOO_LOW"),
        (Code::Internal, "SERVICE_FAILED"),
    ] {
        let service = Scripted::always([level(7), failed(code, reason)]).await;
        let mut changes = client([service.address]).watch(Start::Now).await.unwrap();
        next(&mut changes).await.unwrap();
        let error = next(&mut changes).await.unwrap_err();
        let cannot_resume = matches!(error, Error::RevisionCompacted { .. } | Error::HistoryChanged);
        assert_eq!(cannot_resume, code == Code::OutOfRange, "{error:?}");
        assert!(changes.next().await.is_none());
        assert_eq!(service.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_revision_that_no_node_comes_to_ends_the_watch() {
    let service = Scripted::start(|asked| match asked.number {
        0 => vec![deleted(101), Step::Cut],
        _ => vec![failed(Code::OutOfRange, "REVISION_UNKNOWN")],
    })
    .await;
    let mut changes = client([service.address]).watch(Start::After(100)).await.unwrap();
    assert_eq!(next(&mut changes).await.unwrap().revision, 101);
    assert_eq!(next(&mut changes).await.unwrap_err(), Error::RevisionUnknown { newest: Some(9) });
    assert!((3..100).contains(&service.asked().len()), "{}", service.asked().len());
}

#[tokio::test]
async fn a_watch_that_was_cut_while_its_changes_are_dropped_says_so() {
    let movies = Movies::keeping(10).await;
    let service = movies.start();
    let proxy = Proxy::to(service.socket_address()).await;
    let direct = service.client();
    let mut changes = client([proxy.address]).watch(Start::Now).await.unwrap();
    next(&mut changes).await.unwrap();
    proxy.cut_after(|| 0);
    proxy.cut();
    make_changes(&direct, 100, |_| {}).await;
    proxy.cut_after(|| usize::MAX);
    let error = loop {
        // What came before the cut may be told first.
        if let Err(error) = next(&mut changes).await {
            break error;
        }
    };
    assert!(matches!(error, Error::RevisionCompacted { oldest: Some(_) }), "{error:?}");
}

#[tokio::test]
async fn a_watch_goes_on_by_the_resume_token_that_came_last() {
    let service = Scripted::start(|asked| match asked.number {
        0 => vec![
            said_with("first", 100, watch_movies_response::Event::CaughtUp(true)),
            said_with("second", 101, watch_movies_response::Event::DeletedId("a".to_owned())),
            Step::Cut,
        ],
        _ => {
            vec![said_with("third", 102, watch_movies_response::Event::DeletedId("b".to_owned())), Step::Hang]
        }
    })
    .await;
    let mut changes = client([service.address]).watch(Start::Resume("earlier".to_owned())).await.unwrap();
    for token in ["first", "second", "third"] {
        assert_eq!(next(&mut changes).await.unwrap().resume_token, token);
    }
    let token = |asked: &Asked| match asked.message::<WatchMoviesRequest>().start {
        Some(watch_movies_request::Start::ResumeToken(token)) => token,
        start => panic!("{start:?}"),
    };
    assert_eq!(service.asked().iter().map(token).collect::<Vec<_>>(), ["earlier", "second"]);
}

/// The state of a store in whose place another one is put: with movies of its own, and fewer, as many or more changes.
async fn replaced(lost: usize, new: usize) {
    let old = Service::writable().await;
    let replacement = Service::writable().await;
    for service in [&old, &replacement] {
        for number in 0..20 {
            service.client().create(movie(&format!("old {number}"), "old")).await.unwrap();
        }
    }
    for number in 0..lost {
        old.client().create(movie(&format!("lost {number}"), "lost")).await.unwrap();
    }
    for number in 0..new {
        replacement.client().create(movie(&format!("new {number}"), "new")).await.unwrap();
    }
    let proxy = Proxy::to(old.socket_address()).await;
    let client = client([proxy.address]);
    let mut copy = client.watch(Start::FullCopy).await.unwrap();
    let mut told = until(&mut copy, is_level).await;
    let mut plain = client.watch(Start::Now).await.unwrap();
    next(&mut plain).await.unwrap();
    let plain = tokio::spawn(async move { next(&mut plain).await });

    proxy.lead_to(replacement.socket_address());
    proxy.cut();
    told.extend(until(&mut copy, is_level).await);
    replacement.client().create(movie(LAST, LAST)).await.unwrap();
    told.extend(until(&mut copy, is_last).await);
    let mut model = Model::new();
    follow(&mut model, &told);
    assert_eq!(model, all(&replacement.client()).await);
    // The one that did not begin with a copy cannot know what is gone.
    let error = plain.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::HistoryChanged | Error::RevisionUnknown { .. }), "{error:?}");
}

#[tokio::test]
async fn a_copy_starts_over_when_its_store_is_replaced_and_tells_what_is_gone() {
    for new in [3, 5, 6] {
        replaced(5, new).await;
    }
}

#[tokio::test]
async fn a_copy_starts_over_when_its_changes_are_no_longer_kept() {
    let movies = Movies::keeping(10).await;
    let service = movies.start();
    let proxy = Proxy::to(service.socket_address()).await;
    let direct = service.client();
    make_changes(&direct, 10, |_| {}).await;
    direct.delete(LAST, None).await.unwrap();
    let mut copy = client([proxy.address]).watch(Start::FullCopy).await.unwrap();
    let mut told = until(&mut copy, is_level).await;
    proxy.cut_after(|| 0);
    proxy.cut();
    for number in 0..100 {
        direct.put(movie(&format!("id {}", number % 60), &format!("later {number}"))).await.unwrap();
    }
    direct.create(movie(LAST, LAST)).await.unwrap();
    proxy.cut_after(|| usize::MAX);
    told.extend(until(&mut copy, is_level).await);
    let mut model = Model::new();
    follow(&mut model, &told);
    assert_eq!(model, all(&direct).await);
}
