//! The contract `movie.catalog.v1.MovieCatalog`, over the wire and a store of its own.

mod access;
mod broken_off;
mod changes;
mod imports;
mod lists;
mod reads;
mod reasons;
mod watches;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use movie_proto::catalog::v1::movie_catalog_client::MovieCatalogClient;
use movie_proto::catalog::v1::{
    BatchGetMoviesRequest, Catalog, CreateMovieRequest, DeleteMovieRequest, GetCatalogRequest,
    GetMovieRequest, ImportMoviesRequest, ImportMoviesResponse, Movie, UpdateMovieRequest,
};
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_types::{ErrorDetail, StatusExt};

use crate::process::{Service, command};

pub(crate) type Stub = MovieCatalogClient<Channel>;

/// A service over an SQLite store, empty at first, to which everybody may write.
struct Fixture {
    service: Service,
    stub: Stub,
    dir: TempDir,
}

impl Fixture {
    async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts it with more arguments.
    async fn with(arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let service = Service::run(over_sqlite(dir.path()).arg("--allow-anonymous-writes").args(arguments));
        Self { stub: stub(&service).await, service, dir }
    }

    /// Starts it with movies of these ids.
    async fn with_movies(ids: &[&str]) -> Self {
        let mut fixture = Self::start().await;
        import(&mut fixture.stub, ids.iter().map(|id| movie(id, "A title")).collect()).await;
        fixture
    }

    /// Stops the service and starts it over the same store.
    async fn restart(&mut self) {
        self.service.signal("TERM");
        assert!(self.service.wait().await.success());
        self.service = Service::run(over_sqlite(self.dir.path()).arg("--allow-anonymous-writes"));
        self.stub = stub(&self.service).await;
    }
}

/// Returns the command that runs the service over a store in a folder.
fn over_sqlite(dir: &Path) -> Command {
    command(Path::new(&format!("sqlite:{}", dir.join("movies.db").display())))
}

/// Connects a stub that reads no further ahead than the protocol's first window.
async fn stub(service: &Service) -> Stub {
    let endpoint = Endpoint::from_shared(format!("http://{}", service.address)).unwrap();
    let endpoint = endpoint.initial_stream_window_size(65_535).initial_connection_window_size(65_535);
    MovieCatalogClient::new(endpoint.connect().await.unwrap())
}

fn movie(id: &str, title: &str) -> Movie {
    Movie { id: id.into(), title: title.into(), ..Movie::default() }
}

/// A movie of some 60 KB.
fn large_movie(id: &str) -> Movie {
    let words: Vec<_> = (0..50).map(|number| format!("{number:😀>100}")).collect();
    let [genres, countries, languages] = [words.clone(), words.clone(), words];
    Movie { genres, countries, languages, title: "😀".repeat(1_000), ..movie(id, "") }
}

/// Returns a movie without what the service sets.
fn plain(movie: Movie) -> Movie {
    Movie { create_time: None, update_time: None, etag: String::new(), ..movie }
}

async fn get(stub: &mut Stub, id: &str) -> Result<Movie, Status> {
    Ok(stub.get_movie(GetMovieRequest { id: id.into() }).await?.into_inner())
}

async fn create(stub: &mut Stub, movie: Movie, request_id: &str) -> Result<Movie, Status> {
    let request = CreateMovieRequest { movie: Some(movie), request_id: request_id.into() };
    Ok(stub.create_movie(request).await?.into_inner())
}

async fn batch(stub: &mut Stub, ids: Vec<String>) -> Result<Vec<Movie>, Status> {
    Ok(stub.batch_get_movies(BatchGetMoviesRequest { ids }).await?.into_inner().movies)
}

/// Updates a movie by what is set in it.
pub(crate) async fn update(stub: &mut Stub, movie: Movie) -> Result<Movie, Status> {
    let request = UpdateMovieRequest { movie: Some(movie), ..UpdateMovieRequest::default() };
    Ok(stub.update_movie(request).await?.into_inner())
}

pub(crate) async fn delete(stub: &mut Stub, id: &str) -> Result<(), Status> {
    let request = DeleteMovieRequest { id: id.into(), ..DeleteMovieRequest::default() };
    stub.delete_movie(request).await.map(drop)
}

/// Imports movies in one message, which has to be taken.
async fn import(stub: &mut Stub, movies: Vec<Movie>) -> ImportMoviesResponse {
    let messages = tokio_stream::iter([ImportMoviesRequest { movies }]);
    stub.import_movies(messages).await.unwrap().into_inner()
}

async fn catalog(stub: &mut Stub) -> Catalog {
    stub.get_catalog(GetCatalogRequest {}).await.unwrap().into_inner()
}

/// How a call failed, as programs read it.
#[derive(Debug, PartialEq)]
struct Failure {
    code: Code,
    reason: String,
    metadata: BTreeMap<String, String>,
    /// The fields of the `BadRequest`.
    fields: Vec<String>,
    /// The names of the resources.
    resources: Vec<String>,
    retry: bool,
}

impl Failure {
    fn new(code: Code, reason: &str) -> Self {
        let (metadata, fields, resources) = Default::default();
        Self { code, reason: reason.into(), metadata, fields, resources, retry: false }
    }

    fn field(mut self, field: &str) -> Self {
        self.fields.push(field.into());
        self
    }

    fn resource(mut self, id: &str) -> Self {
        self.resources.push(id.into());
        self
    }

    fn metadata(mut self, name: &str, value: i64) -> Self {
        self.metadata.insert(name.into(), value.to_string());
        self
    }

    fn retry(self) -> Self {
        Self { retry: true, ..self }
    }

    /// Reads how a call failed. Each failure is one of the service, and a sentence.
    #[expect(clippy::wildcard_enum_match_arm, reason = "no other detail is promised, whichever there are")]
    fn of(status: &Status) -> Self {
        assert!(!status.message().is_empty() && !status.message().contains('\n'), "{status}");
        let mut failure = Self::new(status.code(), "");
        for detail in status.check_error_details_vec().unwrap() {
            match detail {
                ErrorDetail::ErrorInfo(info) => {
                    assert_eq!((info.domain.as_str(), failure.reason.as_str()), ("movie-service", ""));
                    failure.reason = info.reason;
                    failure.metadata.extend(info.metadata);
                }
                ErrorDetail::BadRequest(wrong) => {
                    for violation in wrong.field_violations {
                        assert!(violation.description.starts_with("expected "), "{violation:?}");
                        failure.fields.push(violation.field);
                    }
                }
                ErrorDetail::ResourceInfo(resource) => {
                    assert_eq!(resource.resource_type, "movie.catalog.v1.Movie");
                    failure.resources.push(resource.resource_name);
                }
                ErrorDetail::RetryInfo(retry) => failure.retry = retry.retry_delay.is_some(),
                other => panic!("{other:?}"),
            }
        }
        failure
    }
}

/// Asserts that a call failed, and how.
#[track_caller]
fn assert_failed<T: std::fmt::Debug>(result: Result<T, Status>, expected: &Failure) {
    let status = result.unwrap_err();
    assert_eq!(&Failure::of(&status), expected, "{status}");
}
