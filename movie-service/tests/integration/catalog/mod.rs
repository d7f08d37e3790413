//! The contract `movie.catalog.v1.MovieCatalog`, over an SQLite store.

mod access;
mod broken_off;
mod changes;
mod imports;
mod lists;
mod reads;
mod reasons;
mod rules;
mod search;
mod search_refusals;
mod watches;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use movie_proto::catalog::v1::{
    BatchGetMoviesRequest, Catalog, CreateMovieRequest, DeleteMovieRequest, GetMovieRequest,
    ImportMoviesRequest, ImportMoviesResponse, Movie, UpdateMovieRequest,
};
use tempfile::TempDir;
use tonic::{Code, Status};
use tonic_types::{ErrorDetail, StatusExt};

use crate::support::catalog::{Stub, catalog, create, create_once, delete, import, movie, stub, update};
use crate::support::process::{Service, command};

/// A service over an empty SQLite store with anonymous writes.
struct Fixture {
    service: Service,
    stub: Stub,
    dir: TempDir,
}

impl Fixture {
    async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts the service with further arguments.
    async fn with(arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let service = Service::run(over_sqlite(dir.path()).arg("--allow-anonymous-writes").args(arguments));
        Self { stub: stub(&service).await, service, dir }
    }

    /// Starts the service with movies of these ids.
    async fn with_movies(ids: &[&str]) -> Self {
        let mut fixture = Self::start().await;
        import(&mut fixture.stub, ids.iter().map(|id| movie(id, "A title")).collect()).await.unwrap();
        fixture
    }

    /// Restarts the service over the same store.
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

/// Returns a movie of about 60 KB.
fn large_movie(id: &str) -> Movie {
    let words: Vec<_> = (0..50).map(|number| format!("{number:😀>100}")).collect();
    let [genres, countries, languages] = [words.clone(), words.clone(), words];
    Movie { genres, countries, languages, title: "😀".repeat(1_000), ..movie(id, "") }
}

/// Returns a movie without the fields that the service sets.
fn plain(movie: Movie) -> Movie {
    Movie { create_time: None, update_time: None, etag: String::new(), ..movie }
}

async fn get(stub: &mut Stub, id: &str) -> Result<Movie, Status> {
    Ok(stub.get_movie(GetMovieRequest { id: id.into() }).await?.into_inner())
}

async fn batch(stub: &mut Stub, ids: Vec<String>) -> Result<Vec<Movie>, Status> {
    Ok(stub.batch_get_movies(BatchGetMoviesRequest { ids }).await?.into_inner().movies)
}

/// The code and the details of a failed call.
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

    /// Reads a status, and checks that it has the domain of the service and a one-line message.
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

/// Asserts that a call failed as expected.
#[track_caller]
fn assert_failed<T: std::fmt::Debug>(result: Result<T, Status>, expected: &Failure) {
    let status = result.unwrap_err();
    assert_eq!(&Failure::of(&status), expected, "{status}");
}
