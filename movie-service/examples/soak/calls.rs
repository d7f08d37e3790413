//! Ordinary callers: each loop connects, makes some calls, checks every answer and connects again.

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

use crate::tally::{Amiss, Tally};
use crate::versions::Versions;

/// Loops of each kind.
const LOOPS: u64 = 4;

/// Calls that are made on one connection before the next.
const CALLS: u64 = 500;

/// How long a call may take. The machine is busy, and the service is to be the last to suffer from it.
const TIMEOUT: Duration = Duration::from_secs(20);

/// How long a health watch is kept, in which nothing may change.
const WATCHED: Duration = Duration::from_secs(1);

impl From<Status> for Amiss {
    fn from(status: Status) -> Self {
        let causes: Vec<String> = causes(&status).map(ToString::to_string).collect();
        Self::Failed(format!("{:?}: {}: {}", status.code(), status.message(), causes.join(": ")))
    }
}

impl From<transport::Error> for Amiss {
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

/// Connects a stub for movies.
pub(crate) async fn connect(address: SocketAddr) -> Result<MovieClient<Channel>, Amiss> {
    Ok(MovieClient::new(channel(address).await?))
}

async fn channel(address: SocketAddr) -> Result<Channel, transport::Error> {
    Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true).timeout(TIMEOUT).connect().await
}

async fn movies(address: SocketAddr, end: Instant, seed: u64, versions: Arc<Versions>, tally: Arc<Tally>) {
    let mut place = usize::try_from(seed).unwrap_or_default();
    while Instant::now() < end {
        let stub = match connect(address).await {
            Ok(stub) => stub,
            Err(amiss) => {
                tally.call("GetMovieByID", Err(amiss));
                continue;
            }
        };
        for call in 0..CALLS {
            place = (place + 7_919) % versions.len();
            // Some that no movie has.
            let id = if call % 16 == 0 { format!("no-{place}") } else { versions.movie(0, place).id.clone() };
            tally.call("GetMovieByID", movie(stub.clone(), &id, &versions).await);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn movie(mut stub: MovieClient<Channel>, id: &str, versions: &Versions) -> Result<(), Amiss> {
    let found = stub.get_movie_by_id(MovieId { id: id.to_owned() }).await?;
    versions.check(id, found.get_ref())
}

/// The same movies by the other contract, on a connection that the service has replaced whenever it is old.
async fn catalog(address: SocketAddr, end: Instant, seed: u64, versions: Arc<Versions>, tally: Arc<Tally>) {
    let mut place = usize::try_from(seed).unwrap_or_default();
    let stub = match channel(address).await {
        Ok(channel) => MovieCatalogClient::new(channel),
        Err(error) => return tally.call("GetMovie", Err(error.into())),
    };
    while Instant::now() < end {
        place = (place + 7_919) % versions.len();
        let id = if place % 16 == 0 { format!("no-{place}") } else { versions.movie(0, place).id.clone() };
        tally.call("GetMovie", catalog_movie(stub.clone(), &id, &versions).await);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn catalog_movie(
    mut stub: MovieCatalogClient<Channel>,
    id: &str,
    versions: &Versions,
) -> Result<(), Amiss> {
    let found = loop {
        match stub.get_movie(GetMovieRequest { id: id.to_owned() }).await {
            Ok(found) => break found.into_inner(),
            Err(status) if status.code() == Code::NotFound => {
                return versions.check(id, &MovieData::default());
            }
            Err(status) if was_not_seen(&status) => {}
            Err(status) => return Err(status.into()),
        }
    };
    let Movie { title, rating, director, id: found, .. } = found;
    versions.check(id, &MovieData { title, rating: rating.unwrap_or_default(), director, id: found })
}

/// Returns what a call failed of, the nearest first.
fn causes(status: &Status) -> impl Iterator<Item = &(dyn Error + 'static)> {
    successors(status.source(), |&error| error.source())
}

/// Returns whether the service never saw a call: the stub sent it, or was about to, when it had just been told that
/// the connection is to be left (RFC 9113, section 6.8). Whoever calls is free to do so again.
fn was_not_seen(status: &Status) -> bool {
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

/// A list is all of one version, whatever is reloaded meanwhile.
async fn list(address: SocketAddr, versions: &Versions) -> Result<(), Amiss> {
    let mut list = connect(address).await?.get_list_movies(Empty {}).await?.into_inner();
    let (mut place, mut version) = (0, 0);
    while let Some(movie) = list.message().await? {
        if place == 0 {
            version = versions.starting_with(&movie).unwrap_or_default();
        }
        if place >= versions.len() || *versions.movie(version, place) != movie {
            return Err(Amiss::Wrong(format!("movie {place} of version {version} is {movie:?}")));
        }
        place += 1;
    }
    if place == versions.len() { Ok(()) } else { Err(Amiss::Wrong(format!("the list ends after {place}"))) }
}

async fn health(address: SocketAddr, end: Instant, tally: Arc<Tally>) {
    while Instant::now() < end {
        tally.call("Check", check(address).await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn check(address: SocketAddr) -> Result<(), Amiss> {
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

async fn watch(address: SocketAddr) -> Result<(), Amiss> {
    let mut client = HealthClient::new(channel(address).await?);
    let mut changes = client.watch(HealthCheckRequest { service: "Movie".to_owned() }).await?.into_inner();
    let first = changes.message().await?.ok_or_else(|| Amiss::Wrong("it ends at once".to_owned()))?;
    serving(first.status())?;
    match tokio::time::timeout(WATCHED, changes.message()).await {
        Err(_elapsed) => Ok(()),
        Ok(more) => Err(Amiss::Wrong(format!("it goes on with {more:?}"))),
    }
}

fn serving(status: ServingStatus) -> Result<(), Amiss> {
    if status == ServingStatus::Serving { Ok(()) } else { Err(Amiss::Wrong(format!("it is {status:?}"))) }
}

async fn reflection(address: SocketAddr, end: Instant, tally: Arc<Tally>) {
    while Instant::now() < end {
        tally.call("reflection", describe(address).await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The contract that the service tells of is the one that it was built with.
async fn describe(address: SocketAddr) -> Result<(), Amiss> {
    let symbol = MessageRequest::FileContainingSymbol("Movie".to_owned());
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(symbol) };
    let mut client = ServerReflectionClient::new(channel(address).await?);
    let answer =
        client.server_reflection_info(tokio_stream::once(request)).await?.into_inner().message().await?;
    let Some(MessageResponse::FileDescriptorResponse(files)) = answer.and_then(|it| it.message_response)
    else {
        return Err(Amiss::Wrong("no file has `Movie`".to_owned()));
    };
    let files = files.file_descriptor_proto.iter();
    let told: Vec<_> = files.map(|file| FileDescriptorProto::decode(file.as_slice()).ok()).collect();
    let known = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap_or_default().file;
    let is_known =
        |file: &Option<FileDescriptorProto>| file.as_ref().is_some_and(|file| known.contains(file));
    if !told.is_empty() && told.iter().all(is_known) {
        Ok(())
    } else {
        Err(Amiss::Wrong(format!("the contract is told as {told:?}")))
    }
}
