//! What the tests have in common.

use std::collections::HashMap;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use movie_client::{Change, Client, Config, Error, Movie, ResponseStream, RetryPolicy};
use tokio::net::TcpSocket;
use tokio_stream::StreamExt;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// How long anything may take before a test gives up: no measure of speed, as the machine may be busy.
const TEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Waits for what has to come.
pub(crate) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(TEST_TIMEOUT, future).await.expect("it did not come")
}

/// Returns the next item, which has to come.
pub(crate) async fn next<T>(items: &mut ResponseStream<T>) -> Result<T, Error> {
    in_time(items.next()).await.expect("the stream ended")
}

/// Returns the changes of a watch up to the one that is told as `is_last`.
pub(crate) async fn until(
    changes: &mut ResponseStream<Change>,
    is_last: impl Fn(&Change) -> bool,
) -> Vec<Change> {
    let mut told = Vec::new();
    loop {
        told.push(next(changes).await.unwrap());
        if told.last().is_some_and(&is_last) {
            return told;
        }
    }
}

/// Returns a configuration for these addresses whose calls are repeated at once.
pub(crate) fn config(addresses: impl IntoIterator<Item = SocketAddr>) -> Config {
    let pause = Duration::from_millis(1);
    Config {
        retry: RetryPolicy { initial_backoff: pause, max_backoff: pause, ..RetryPolicy::default() },
        ..Config::new(addresses.into_iter().map(|address| address.to_string().parse().unwrap()))
    }
}

/// Returns a client of these addresses whose calls are repeated at once.
pub(crate) fn client(addresses: impl IntoIterator<Item = SocketAddr>) -> Client {
    Client::connect(&config(addresses)).unwrap()
}

/// Returns an address at which nobody listens, for as long as the socket is kept.
pub(crate) fn unused_address() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

pub(crate) fn movie(id: &str, title: &str) -> Movie {
    Movie { id: id.to_owned(), title: title.to_owned(), ..Movie::default() }
}

/// A status with a reason and revisions, as the service gives them.
pub(crate) fn failure(code: Code, reason: &str) -> Status {
    let metadata = [("oldest_revision", "7"), ("revision", "9")];
    let metadata: HashMap<_, _> =
        metadata.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let details = ErrorDetails::with_error_info(reason, "movie-service", metadata);
    Status::with_error_details(code, "the status message", details)
}
