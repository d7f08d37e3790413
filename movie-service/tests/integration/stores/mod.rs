//! Stores: what is written stays written, whatever happens.

mod addresses;
mod cluster;
mod crash;
mod failover;
mod follower;
mod history;
mod load;
mod nodes;
mod outages;
mod pooler;
mod read_only;
mod restart;
mod schema;
mod sqlite;

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use movie_proto::catalog::v1::movie_catalog_client::MovieCatalogClient;
use movie_proto::catalog::v1::watch_movies_request::Start;
use movie_proto::catalog::v1::watch_movies_response::Event;
use movie_proto::catalog::v1::{
    CreateMovieRequest, GetCatalogRequest, GetMovieRequest, ImportMoviesRequest, ImportMoviesResponse,
    ListMoviesRequest, Movie, WatchMoviesRequest, WatchMoviesResponse,
};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use tonic::transport::Endpoint;
use tonic::{Status, Streaming};
use tonic_types::StatusExt;

use crate::catalog::{Stub, delete, update};
use crate::process::{Service, command};

/// How long anything may take before a test gives up.
const TIMEOUT: Duration = Duration::from_mins(1);

/// An empty store.
struct Kept {
    url: String,
    dir: TempDir,
}

/// Returns an empty SQLite store.
fn sqlite() -> Kept {
    let dir = tempfile::tempdir().unwrap();
    Kept { url: format!("sqlite:{}", dir.path().join("movies.db").display()), dir }
}

/// Returns an empty PostgreSQL store; `None` if there is no server to be had.
fn postgres() -> Option<Kept> {
    Some(Kept::at(cluster::shared()?.database()))
}

/// Makes tests of functions that take a store, for each kind of store.
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
                if let Some(kept) = crate::stores::postgres() {
                    super::$test(&kept).await;
                }
            })+
        }
    };
}
use on_each_store;

impl Kept {
    /// Returns the store at a URL.
    fn at(url: String) -> Self {
        Self { url, dir: tempfile::tempdir().unwrap() }
    }

    /// Starts a service over the store, to which everybody may write.
    fn start(&self) -> Service {
        self.start_with(&[])
    }

    fn start_with(&self, args: &[&str]) -> Service {
        Service::run(command(Path::new(&self.url)).arg("--allow-anonymous-writes").args(args))
    }

    /// Starts a service that has to fail; returns the line that says why.
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

async fn stub(service: &Service) -> Stub {
    let endpoint = Endpoint::from_shared(format!("http://{}", service.address)).unwrap();
    MovieCatalogClient::new(endpoint.connect().await.unwrap())
}

fn movie(id: &str, title: &str) -> Movie {
    Movie { id: id.into(), title: title.into(), year: 2026, ..Movie::default() }
}

async fn create(stub: &mut Stub, movie: Movie) -> Result<Movie, Status> {
    let request = CreateMovieRequest { movie: Some(movie), request_id: String::new() };
    stub.create_movie(request).await.map(tonic::Response::into_inner)
}

async fn import(stub: &mut Stub, movies: Vec<Movie>) -> Result<ImportMoviesResponse, Status> {
    let messages = tokio_stream::iter([ImportMoviesRequest { movies }]);
    stub.import_movies(messages).await.map(tonic::Response::into_inner)
}

async fn revision(stub: &mut Stub) -> i64 {
    stub.get_catalog(GetCatalogRequest {}).await.unwrap().into_inner().revision
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

/// Waits until a node shows a movie.
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

/// Returns the changes from the store's first revision to `to`: each has the revision after the one before.
async fn history(stub: &mut Stub, to: i64) -> Vec<Event> {
    let mut watch = watch(stub, 0).await.unwrap();
    let mut events = Vec::new();
    for expected in 1..=to {
        let told = watch.message().await.unwrap().unwrap();
        assert_eq!(told.revision, expected);
        events.push(told.event.unwrap());
    }
    let end = watch.message().await.unwrap().unwrap();
    assert_eq!((end.revision, end.event), (to, Some(Event::CaughtUp(true))));
    events
}

/// Returns the movies that the changes up to `to` lead to, by their ids.
async fn followed(stub: &mut Stub, to: i64) -> HashMap<String, Movie> {
    let mut movies = HashMap::new();
    for event in history(stub, to).await {
        match event {
            Event::Upserted(movie) => drop(movies.insert(movie.id.clone(), movie)),
            Event::DeletedId(id) => drop(movies.remove(&id).unwrap()),
            Event::CaughtUp(_) => panic!("told twice"),
        }
    }
    movies
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}
