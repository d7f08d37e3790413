//! The store of a running service is replaced by one with another history. The service detects it, and tells its callers.

mod databases;
mod files;

use std::net::SocketAddr;
use std::time::Duration;

use movie_proto::catalog::v1::watch_movies_request::Start;
use movie_proto::catalog::v1::watch_movies_response::Event;
use movie_proto::catalog::v1::{ListMoviesRequest, Movie, WatchMoviesRequest, WatchMoviesResponse};
use tokio::time::{sleep, timeout};
use tonic::{Code, Status, Streaming};

use super::{TIMEOUT, TestStore, list, reason};
use crate::support::catalog::{Stub, create, delete, import, movie, stub, update};
use crate::support::metrics;
use crate::support::metrics::with_metrics;
use crate::support::process::Service;

/// Number of changes that both histories have, and of changes that only the lost history has.
const COMMON: usize = 20;
const LOST: usize = 5;

/// A running service, and what its callers have from before the replacement.
struct Node {
    service: Service,
    pages: SocketAddr,
    client: Stub,
    /// All movies.
    known: Vec<Movie>,
    /// A watch that has received all changes.
    watch: Streaming<WatchMoviesResponse>,
    /// The resume token of each revision, from 1.
    resume_tokens: Vec<String>,
    /// The request for the second page of a list.
    page: ListMoviesRequest,
}

/// Another history, with the same first changes.
struct Other {
    movies: Vec<Movie>,
    /// Number of changes after the common ones.
    added: usize,
}

fn movies(name: &str, count: usize) -> impl Iterator<Item = Movie> {
    (0..count).map(move |number| movie(&format!("{name}-{number}"), name))
}

impl Node {
    /// Starts a service over an empty store, and writes the common changes.
    async fn start(store: &TestStore) -> Self {
        let mut command = with_metrics(store.url.as_ref());
        let (service, pages) = metrics::run(command.arg("--allow-anonymous-writes"));
        let mut client = stub(&service).await;
        import(&mut client, movies("common", COMMON).collect()).await.unwrap();
        let request = WatchMoviesRequest { start: Some(Start::FromRevision(0)) };
        let watch = client.watch_movies(request).await.unwrap().into_inner();
        let page = ListMoviesRequest { page_size: 5, ..ListMoviesRequest::default() };
        let (known, resume_tokens) = (Vec::new(), Vec::new());
        let mut node = Self { service, pages, client, known, watch, resume_tokens, page };
        node.read_watch(COMMON).await;
        node
    }

    /// Writes the changes that will be lost.
    async fn write_lost(&mut self) {
        for movie in movies("lost", LOST) {
            create(&mut self.client, movie).await.unwrap();
        }
        self.read_watch(COMMON + LOST).await;
        self.known = list(&mut self.client).await;
        let first = self.client.list_movies(self.page.clone()).await.unwrap().into_inner();
        self.page.page_token = first.next_page_token;
    }

    async fn read_watch(&mut self, up_to: usize) {
        while self.resume_tokens.len() < up_to {
            let message = self.watch.message().await.unwrap().unwrap();
            if matches!(message.event, Some(Event::Upserted(_))) {
                assert_eq!(message.revision, signed(self.resume_tokens.len() + 1));
                self.resume_tokens.push(message.resume_token);
            }
        }
    }

    /// Waits until the node serves these movies. Until then, it must serve the previous ones.
    async fn wait_for(&mut self, movies: &[Movie]) {
        let served = async {
            loop {
                let served = list(&mut self.client).await;
                if served == movies {
                    return;
                }
                assert_eq!(served, self.known);
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(TIMEOUT, served).await.expect("the node does not serve the movies of the store");
    }

    /// Begins a watch that must fail; returns its code and reason.
    async fn refused(&mut self, start: Start) -> (Code, String) {
        let request = WatchMoviesRequest { start: Some(start) };
        let status = match self.client.watch_movies(request).await {
            Ok(watch) => timeout(TIMEOUT, watch.into_inner().message()).await.unwrap().unwrap_err(),
            Err(status) => status,
        };
        failure(&status)
    }

    /// Checks that the node serves the other history, and reports the change to callers with tokens from before.
    async fn assert_serves(mut self, other: &Other) {
        self.wait_for(&other.movies).await;
        let changed = (Code::OutOfRange, "HISTORY_CHANGED".to_owned());
        let end = timeout(TIMEOUT, self.watch.message()).await.unwrap().unwrap_err();
        assert_eq!(failure(&end), changed, "{end}");
        let resumed = Start::ResumeToken(self.resume_tokens.last().unwrap().clone());
        assert_eq!(self.refused(resumed).await, changed);
        for revision in [COMMON + 1, COMMON + LOST] {
            assert_eq!(self.refused(Start::FromRevision(signed(revision))).await, changed, "{revision}");
        }
        let expired = self.client.list_movies(self.page.clone()).await.unwrap_err();
        assert_eq!(reason(&expired), "PAGE_TOKEN_EXPIRED", "{expired}");

        // Writes see the movies of the other history.
        let lost = update(&mut self.client, movie("lost-0", "back")).await.unwrap_err();
        assert_eq!(reason(&lost), "MOVIE_NOT_FOUND", "{lost}");
        let lost = delete(&mut self.client, "lost-1").await.unwrap_err();
        assert_eq!(reason(&lost), "MOVIE_NOT_FOUND", "{lost}");
        if other.added > 0 {
            let exists = create(&mut self.client, movie("new-0", "mine")).await.unwrap_err();
            assert_eq!(reason(&exists), "MOVIE_EXISTS", "{exists}");
        }
        assert_eq!(list(&mut self.client).await, other.movies);

        self.assert_continues(other).await;
        let reloads = r#"movie_service_store_reloads_total{reason="history_changed"} 1"#;
        metrics::assert_shows(self.pages, &[reloads]).await;
        let log = self.service.end().await;
        let lines: Vec<_> = log.iter().filter(|line| line.contains("another history")).collect();
        assert!(lines.len() == 1 && lines[0].contains("ERROR"), "{log:#?}");
        let differ = format!(" {} movies", LOST + other.added);
        assert!(lines[0].contains(&differ), "{differ:?} is not in {}", lines[0]);
    }

    /// Checks that a watch can be resumed from the common changes.
    async fn assert_continues(&mut self, other: &Other) {
        let last = create(&mut self.client, movie("last", "last")).await.unwrap();
        let common = Start::ResumeToken(self.resume_tokens[COMMON - 1].clone());
        let request = WatchMoviesRequest { start: Some(common) };
        let mut watch = self.client.watch_movies(request).await.unwrap().into_inner();
        let added = other.movies[COMMON..].iter().chain([&last]);
        for (movie, revision) in added.zip(COMMON + 1..) {
            let message = timeout(TIMEOUT, watch.message()).await.unwrap().unwrap().unwrap();
            assert_eq!(message.revision, signed(revision));
            assert_eq!(message.event, Some(Event::Upserted(movie.clone())));
        }
    }
}

/// Writes the changes of the other history into a copy of the store.
async fn write_other(copy: &TestStore, added: usize) -> Other {
    let mut service = copy.start();
    let mut client = stub(&service).await;
    for movie in movies("new", added) {
        create(&mut client, movie).await.unwrap();
    }
    let movies = list(&mut client).await;
    assert_eq!(movies.len(), COMMON + added);
    service.end().await;
    Other { movies, added }
}

fn failure(status: &Status) -> (Code, String) {
    (status.code(), reason(status))
}

fn signed(revision: usize) -> i64 {
    i64::try_from(revision).unwrap()
}

/// Repeats a write while the store is unavailable.
async fn once_available(write: impl AsyncFn() -> Result<Movie, Status>) -> Result<Movie, Status> {
    loop {
        match write().await {
            Err(status) if reason(&status) == "STORE_UNAVAILABLE" => sleep(Duration::from_millis(1)).await,
            written => return written,
        }
    }
}
