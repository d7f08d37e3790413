//! Ordinary callers: each loop connects, makes calls, checks every response and connects again.

use std::error::Error;
use std::iter::successors;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use movie_proto::catalog::v1::movie_catalog_client::MovieCatalogClient;
use movie_proto::catalog::v1::{GetMovieRequest, Movie};
use movie_proto::movie_client::MovieClient;
use movie_proto::{Empty, FILE_DESCRIPTOR_SET, MovieData, MovieId};
use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use tokio::task::JoinSet;
use tonic::transport::{self, Channel, Endpoint};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::tally::{Problem, Tally};
use crate::versions::Versions;

/// Concurrent loops of each kind.
const LOOPS: u64 = 4;

/// Calls on one connection.
const CALLS: u64 = 500;

/// Deadline of a call: generous, because the machine is busy.
const TIMEOUT: Duration = Duration::from_secs(20);

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

/// Starts all callers; they stop at the end.
pub(crate) fn start(
    address: SocketAddr,
    end: Instant,
    versions: &Arc<Versions>,
    tally: &Arc<Tally>,
    tasks: &mut JoinSet<()>,
) {
    for seed in 0..LOOPS {
        tasks.spawn(movies(address, end, seed, versions.clone(), tally.clone()));
        tasks.spawn(catalog(address, end, seed, versions.clone(), tally.clone()));
        tasks.spawn(lists(address, end, versions.clone(), tally.clone()));
        tasks.spawn(health(address, end, tally.clone()));
        tasks.spawn(watches(address, end, tally.clone()));
        tasks.spawn(reflection(address, end, tally.clone()));
    }
}

/// Connects a stub of the course's contract.
pub(crate) async fn connect(address: SocketAddr) -> Result<MovieClient<Channel>, Problem> {
    Ok(MovieClient::new(channel(address).await?))
}

async fn channel(address: SocketAddr) -> Result<Channel, transport::Error> {
    Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true).timeout(TIMEOUT).connect().await
}

async fn movies(address: SocketAddr, end: Instant, seed: u64, versions: Arc<Versions>, tally: Arc<Tally>) {
    let mut index = usize::try_from(seed).unwrap_or_default();
    while Instant::now() < end {
        let stub = match connect(address).await {
            Ok(stub) => stub,
            Err(problem) => {
                tally.call("GetMovieByID", Err(problem));
                continue;
            }
        };
        for call in 0..CALLS {
            index = (index + 7_919) % versions.len();
            // Some ids are unknown.
            let id = if call % 16 == 0 { format!("no-{index}") } else { versions.movie(0, index).id.clone() };
            tally.call("GetMovieByID", movie(stub.clone(), &id, &versions).await);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn movie(mut stub: MovieClient<Channel>, id: &str, versions: &Versions) -> Result<(), Problem> {
    let found = stub.get_movie_by_id(MovieId { id: id.to_owned() }).await?;
    versions.check(id, found.get_ref())
}

/// Calls of `movie.catalog.v1`, on a channel that reconnects when the service closes an old connection.
async fn catalog(address: SocketAddr, end: Instant, seed: u64, versions: Arc<Versions>, tally: Arc<Tally>) {
    let mut index = usize::try_from(seed).unwrap_or_default();
    let stub = match channel(address).await {
        Ok(channel) => MovieCatalogClient::new(channel),
        Err(error) => return tally.call("GetMovie", Err(error.into())),
    };
    while Instant::now() < end {
        index = (index + 7_919) % versions.len();
        let id = if index % 16 == 0 { format!("no-{index}") } else { versions.movie(0, index).id.clone() };
        tally.call("GetMovie", catalog_movie(stub.clone(), &id, &versions).await);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn catalog_movie(
    mut stub: MovieCatalogClient<Channel>,
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

async fn lists(address: SocketAddr, end: Instant, versions: Arc<Versions>, tally: Arc<Tally>) {
    while Instant::now() < end {
        tally.call("GetListMovies", list(address, &versions).await);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Checks that a list has one version of the movies, whatever is reloaded meanwhile.
async fn list(address: SocketAddr, versions: &Versions) -> Result<(), Problem> {
    let mut list = connect(address).await?.get_list_movies(Empty {}).await?.into_inner();
    let (mut index, mut version) = (0, 0);
    while let Some(movie) = list.message().await? {
        if index == 0 {
            version = versions.starting_with(&movie).unwrap_or_default();
        }
        if index >= versions.len() || *versions.movie(version, index) != movie {
            return Err(Problem::Wrong(format!("movie {index} of version {version} is {movie:?}")));
        }
        index += 1;
    }
    if index == versions.len() { Ok(()) } else { Err(Problem::Wrong(format!("the list ends after {index}"))) }
}

async fn health(address: SocketAddr, end: Instant, tally: Arc<Tally>) {
    while Instant::now() < end {
        tally.call("Check", check(address).await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn check(address: SocketAddr) -> Result<(), Problem> {
    let mut client = HealthClient::new(channel(address).await?);
    for service in ["", "Movie"] {
        let health = client.check(HealthCheckRequest { service: service.to_owned() }).await?;
        serving(health.get_ref().status())?;
    }
    Ok(())
}

async fn watches(address: SocketAddr, end: Instant, tally: Arc<Tally>) {
    while Instant::now() < end {
        tally.call("Watch", watch(address).await);
    }
}

async fn watch(address: SocketAddr) -> Result<(), Problem> {
    let mut client = HealthClient::new(channel(address).await?);
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

async fn reflection(address: SocketAddr, end: Instant, tally: Arc<Tally>) {
    while Instant::now() < end {
        tally.call("reflection", describe(address).await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Checks that reflection returns the contract that the service was built with.
async fn describe(address: SocketAddr) -> Result<(), Problem> {
    let symbol = MessageRequest::FileContainingSymbol("Movie".to_owned());
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(symbol) };
    let mut client = ServerReflectionClient::new(channel(address).await?);
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
