//! Ordinary callers: each loop connects, makes calls, checks every response and connects again.
//!
//! They reach the service in gRPC, or in gRPC-Web over HTTP/1.1, with credentials or without.

use std::error::Error;
use std::iter::successors;
use std::sync::Arc;
use std::time::{Duration, Instant};

use movie_proto::catalog::v1::movie_catalog_client::MovieCatalogClient;
use movie_proto::catalog::v1::{DeleteMovieRequest, GetMovieRequest, Movie};
use movie_proto::movie_client::MovieClient;
use movie_proto::{Empty, FILE_DESCRIPTOR_SET, MovieData, MovieId};
use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use tokio::task::JoinSet;
use tonic::transport;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::route::{Route, Transport};
use crate::tally::{Problem, Tally};
use crate::versions::Versions;

/// Calls on one connection.
const CALLS: u64 = 500;

/// Duration of a health watch, in which the status must not change.
const WATCH_TIME: Duration = Duration::from_secs(1);

impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        let causes: Vec<String> = causes(&status).map(ToString::to_string).collect();
        Self::Failed(format!("{:?}: {}: {}", status.code(), status.message(), causes.join(": ")))
    }
}

impl From<transport::Error> for Problem {
    fn from(error: transport::Error) -> Self {
        Self::Failed(format!("connect: {error:?}"))
    }
}

/// Starts all callers of a route, some loops of each kind; they stop at the end.
pub(crate) fn start(
    route: &Route,
    loops: u64,
    end: Instant,
    versions: &Arc<Versions>,
    tally: &Arc<Tally>,
    tasks: &mut JoinSet<()>,
) {
    for seed in 0..loops {
        tasks.spawn(movies(route.clone(), end, seed, versions.clone(), tally.clone()));
        tasks.spawn(catalog(route.clone(), end, seed, versions.clone(), tally.clone()));
        tasks.spawn(lists(route.clone(), end, versions.clone(), tally.clone()));
        tasks.spawn(health(route.clone(), end, tally.clone()));
        tasks.spawn(watches(route.clone(), end, tally.clone()));
        tasks.spawn(reflection(route.clone(), end, tally.clone()));
        if route.has_credentials() {
            tasks.spawn(denials(route.clone(), end, tally.clone()));
        }
    }
}

/// Connects a stub of the course's contract.
pub(crate) async fn connect(route: &Route) -> Result<MovieClient<Transport>, Problem> {
    Ok(MovieClient::new(route.connect().await?))
}

async fn movies(route: Route, end: Instant, seed: u64, versions: Arc<Versions>, tally: Arc<Tally>) {
    let mut index = usize::try_from(seed).unwrap_or_default();
    while Instant::now() < end {
        let stub = match connect(&route).await {
            Ok(stub) => stub,
            Err(problem) => {
                tally.call(route.label("GetMovieByID"), Err(problem));
                continue;
            }
        };
        for call in 0..CALLS {
            index = (index + 7_919) % versions.len();
            // Some ids are unknown.
            let id = if call % 16 == 0 { format!("no-{index}") } else { versions.movie(0, index).id.clone() };
            tally.call(route.label("GetMovieByID"), movie(stub.clone(), &id, &versions).await);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn movie(mut stub: MovieClient<Transport>, id: &str, versions: &Versions) -> Result<(), Problem> {
    let found = loop {
        match stub.get_movie_by_id(MovieId { id: id.to_owned() }).await {
            Ok(found) => break found,
            // On a busy machine, the connection may reach the end of its age before its last call.
            Err(status) if was_not_processed(&status) => {}
            Err(status) => return Err(status.into()),
        }
    };
    versions.check(id, found.get_ref())
}

/// Calls of `movie.catalog.v1`, on a channel that reconnects when the service closes an old connection.
async fn catalog(route: Route, end: Instant, seed: u64, versions: Arc<Versions>, tally: Arc<Tally>) {
    let mut index = usize::try_from(seed).unwrap_or_default();
    let stub = match route.connect().await {
        Ok(transport) => MovieCatalogClient::new(transport),
        Err(problem) => return tally.call(route.label("GetMovie"), Err(problem)),
    };
    while Instant::now() < end {
        index = (index + 7_919) % versions.len();
        let id = if index % 16 == 0 { format!("no-{index}") } else { versions.movie(0, index).id.clone() };
        tally.call(route.label("GetMovie"), catalog_movie(stub.clone(), &id, &versions).await);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn catalog_movie(
    mut stub: MovieCatalogClient<Transport>,
    id: &str,
    versions: &Versions,
) -> Result<(), Problem> {
    let found = loop {
        match stub.get_movie(GetMovieRequest { id: id.to_owned() }).await {
            Ok(found) => break found.into_inner(),
            Err(status) if status.code() == Code::NotFound => {
                return versions.check(id, &MovieData::default());
            }
            Err(status) if was_not_processed(&status) => {}
            Err(status) => return Err(status.into()),
        }
    };
    let Movie { title, rating, director, id: found, .. } = found;
    versions.check(id, &MovieData { title, rating: rating.unwrap_or_default(), director, id: found })
}

/// Returns the causes of a failed call, the direct cause first.
fn causes(status: &Status) -> impl Iterator<Item = &(dyn Error + 'static)> {
    successors(status.source(), |&error| error.source())
}

/// Returns whether the service did not process a call, because it had sent GOAWAY (RFC 9113, section 6.8). Such a call may be
/// retried.
fn was_not_processed(status: &Status) -> bool {
    causes(status).any(|error| {
        error.downcast_ref().is_some_and(hyper::Error::is_canceled)
            || error.downcast_ref::<h2::Error>().is_some_and(|error| {
                error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR)
            })
    })
}

async fn lists(route: Route, end: Instant, versions: Arc<Versions>, tally: Arc<Tally>) {
    while Instant::now() < end {
        tally.call(route.label("GetListMovies"), list(&route, &versions).await);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Checks that a list has one version of the movies, whatever is reloaded meanwhile.
async fn list(route: &Route, versions: &Versions) -> Result<(), Problem> {
    let mut list = connect(route).await?.get_list_movies(Empty {}).await?.into_inner();
    let (mut index, mut version) = (0, 0);
    while let Some(movie) = list.message().await? {
        if index == 0 {
            version = versions.starting_with(&movie).unwrap_or_default();
        }
        if index >= versions.len() && route.has_credentials() && movie.id.starts_with('m') {
            // A movie that the watchers' writes created.
            continue;
        }
        if index >= versions.len() || *versions.movie(version, index) != movie {
            return Err(Problem::Wrong(format!("movie {index} of version {version} is {movie:?}")));
        }
        index += 1;
    }
    if index == versions.len() { Ok(()) } else { Err(Problem::Wrong(format!("the list ends after {index}"))) }
}

async fn health(route: Route, end: Instant, tally: Arc<Tally>) {
    while Instant::now() < end {
        tally.call(route.label("Check"), check(&route).await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn check(route: &Route) -> Result<(), Problem> {
    let mut client = HealthClient::new(route.connect().await?);
    for service in ["", "Movie"] {
        let health = client.check(HealthCheckRequest { service: service.to_owned() }).await?;
        serving(health.get_ref().status())?;
    }
    Ok(())
}

async fn watches(route: Route, end: Instant, tally: Arc<Tally>) {
    while Instant::now() < end {
        tally.call(route.label("Watch"), watch(&route).await);
    }
}

async fn watch(route: &Route) -> Result<(), Problem> {
    let mut client = HealthClient::new(route.connect().await?);
    let mut changes = client.watch(HealthCheckRequest { service: "Movie".to_owned() }).await?.into_inner();
    let first = changes.message().await?.ok_or_else(|| Problem::Wrong("it ends at once".to_owned()))?;
    serving(first.status())?;
    match tokio::time::timeout(WATCH_TIME, changes.message()).await {
        Err(_elapsed) => Ok(()),
        Ok(more) => Err(Problem::Wrong(format!("it continues with {more:?}"))),
    }
}

fn serving(status: ServingStatus) -> Result<(), Problem> {
    if status == ServingStatus::Serving { Ok(()) } else { Err(Problem::Wrong(format!("it is {status:?}"))) }
}

async fn denials(route: Route, end: Instant, tally: Arc<Tally>) {
    while Instant::now() < end {
        tally.call(route.label("denied"), denied(&route).await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Checks that nobody reads without a token, and that a reader does not write.
async fn denied(route: &Route) -> Result<(), Problem> {
    let request = GetMovieRequest { id: "m0".to_owned() };
    let read = MovieCatalogClient::new(route.without_token().connect().await?).get_movie(request).await;
    let request = DeleteMovieRequest { id: "m0".to_owned(), ..DeleteMovieRequest::default() };
    let write = MovieCatalogClient::new(route.connect().await?).delete_movie(request).await;
    for (code, expected) in [
        (read.err().map(|status| status.code()), Code::Unauthenticated),
        (write.err().map(|status| status.code()), Code::PermissionDenied),
    ] {
        if code != Some(expected) {
            return Err(Problem::Wrong(format!("not {expected:?} but {code:?}")));
        }
    }
    Ok(())
}

async fn reflection(route: Route, end: Instant, tally: Arc<Tally>) {
    while Instant::now() < end {
        tally.call(route.label("reflection"), describe(&route).await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Checks that reflection returns the contract that the service was built with.
async fn describe(route: &Route) -> Result<(), Problem> {
    let symbol = MessageRequest::FileContainingSymbol("Movie".to_owned());
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(symbol) };
    let mut client = ServerReflectionClient::new(route.connect().await?);
    let answer =
        client.server_reflection_info(tokio_stream::once(request)).await?.into_inner().message().await?;
    let Some(MessageResponse::FileDescriptorResponse(files)) = answer.and_then(|it| it.message_response)
    else {
        return Err(Problem::Wrong("no file has `Movie`".to_owned()));
    };
    let files = files.file_descriptor_proto.iter();
    let returned: Vec<_> = files.map(|file| FileDescriptorProto::decode(file.as_slice()).ok()).collect();
    let known = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap_or_default().file;
    let is_known =
        |file: &Option<FileDescriptorProto>| file.as_ref().is_some_and(|file| known.contains(file));
    if !returned.is_empty() && returned.iter().all(is_known) {
        Ok(())
    } else {
        Err(Problem::Wrong(format!("reflection returns {returned:?}")))
    }
}
