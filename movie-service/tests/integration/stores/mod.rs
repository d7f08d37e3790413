//! SQLite and PostgreSQL stores: durability, crashes, migrations and outages.

mod crash;
mod history;
mod postgres;
mod restart;
mod schema;
mod sqlite;

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use movie_proto::catalog::v1::watch_movies_request::Start;
use movie_proto::catalog::v1::watch_movies_response::Event;
use movie_proto::catalog::v1::{
    GetMovieRequest, ListMoviesRequest, Movie, WatchMoviesRequest, WatchMoviesResponse,
};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use tonic::{Status, Streaming};
use tonic_types::StatusExt;

use crate::support::catalog::{Stub, catalog};
use crate::support::process::{Service, command};

/// Upper bound of any wait, so that a test does not hang.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A store, and a temporary folder.
struct TestStore {
    url: String,
    dir: TempDir,
}

/// Returns an empty SQLite store.
fn sqlite() -> TestStore {
    let dir = tempfile::tempdir().unwrap();
    TestStore { url: format!("sqlite:{}", dir.path().join("movies.db").display()), dir }
}

/// Returns an empty PostgreSQL store; `None`, which skips the test, if PostgreSQL is missing.
fn postgres() -> Option<TestStore> {
    Some(TestStore::at(postgres::cluster::shared()?.database()))
}

/// Defines a test for each kind of store, from functions that take a store.
macro_rules! on_each_store {
    ($($test:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test(&crate::stores::sqlite()).await;
            })+
        }

        mod on_postgres {
            $(#[tokio::test]
            async fn $test() {
                if let Some(store) = crate::stores::postgres() {
                    super::$test(&store).await;
                }
            })+
        }
    };
}
use on_each_store;

impl TestStore {
    /// Returns the store at a URL.
    fn at(url: String) -> Self {
        Self { url, dir: tempfile::tempdir().unwrap() }
    }

    /// Starts a service over the store, with anonymous writes.
    fn start(&self) -> Service {
        self.start_with(&[])
    }

    fn start_with(&self, args: &[&str]) -> Service {
        Service::run(command(Path::new(&self.url)).arg("--allow-anonymous-writes").args(args))
    }

    /// Starts a service that must fail; returns its error, which must be one line.
    fn refused(&self) -> String {
        let mut service = command(Path::new(&self.url)).spawn().unwrap();
        let mut errors = String::new();
        let mut lines = BufReader::new(service.stderr.take().unwrap());
        while lines.read_line(&mut errors).unwrap() > 0 {
            if errors.contains("serving ") {
                service.kill().unwrap();
            }
        }
        assert!(matches!(service.wait().unwrap().code(), Some(1 | 2)), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
        errors
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

async fn revision(stub: &mut Stub) -> i64 {
    catalog(stub).await.revision
}

/// Returns all movies in listing order.
async fn list(stub: &mut Stub) -> Vec<Movie> {
    let (mut movies, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListMoviesRequest { page_size: 1_000, page_token, ..ListMoviesRequest::default() };
        let page = stub.list_movies(request).await.unwrap().into_inner();
        movies.extend(page.movies);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return movies;
        }
    }
}

/// Waits until a node has a movie.
async fn wait_for(stub: &mut Stub, id: &str) {
    let shown = async {
        while stub.get_movie(GetMovieRequest { id: id.into() }).await.is_err() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(TIMEOUT, shown).await.unwrap();
}

async fn watch(stub: &mut Stub, from: i64) -> Result<Streaming<WatchMoviesResponse>, Status> {
    let request = WatchMoviesRequest { start: Some(Start::FromRevision(from)) };
    stub.watch_movies(request).await.map(tonic::Response::into_inner)
}

/// Returns the changes up to revision `to`, and checks that their revisions are consecutive from 1.
async fn history(stub: &mut Stub, to: i64) -> Vec<Event> {
    let mut watch = watch(stub, 0).await.unwrap();
    let mut events = Vec::new();
    for expected in 1..=to {
        let message = watch.message().await.unwrap().unwrap();
        assert_eq!(message.revision, expected);
        events.push(message.event.unwrap());
    }
    let end = watch.message().await.unwrap().unwrap();
    assert_eq!((end.revision, end.event), (to, Some(Event::CaughtUp(true))));
    events
}

/// Returns the movies that result from the changes up to revision `to`, by id.
async fn followed(stub: &mut Stub, to: i64) -> HashMap<String, Movie> {
    let mut movies = HashMap::new();
    for event in history(stub, to).await {
        match event {
            Event::Upserted(movie) => drop(movies.insert(movie.id.clone(), movie)),
            Event::DeletedId(id) => drop(movies.remove(&id).unwrap()),
            Event::CaughtUp(_) => panic!("caught up twice"),
        }
    }
    movies
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}
