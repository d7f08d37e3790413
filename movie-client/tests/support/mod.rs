//! Helpers that several tests use. The modules, in reading order:
//!
//! * `service`: the real service, which the documents and the documentation examples use, too.
//! * `scripted`: a server with scripted responses; `proxy`: a proxy that disturbs connections.
//! * `certificates`: certificates, which the tests of the service use, too.
//! * `program`: the client program.
//! * `skipped`: the list of skipped tests, which the tests of the service use, too.

pub(crate) mod certificates;
pub(crate) mod program;
pub(crate) mod proxy;
pub(crate) mod scripted;
pub(crate) mod service;
#[path = "../../../movie-service/tests/integration/support/skipped.rs"]
pub(crate) mod skipped;

use std::collections::HashMap;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use movie_client::{Change, Client, Config, Error, Movie, ResponseStream, RetryPolicy};
use movie_proto::catalog::v1;
use tokio::net::TcpSocket;
use tokio_stream::StreamExt;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use self::scripted::{ScriptedServer, Step};

/// Timeout that guards against hanging. It is generous, because the machine may be busy.
const TEST_TIMEOUT: Duration = Duration::from_mins(2);

/// Waits for a future, and fails the test after the timeout.
pub(crate) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(TEST_TIMEOUT, future).await.expect("timed out")
}

/// Returns the next item of a stream that must not end.
pub(crate) async fn next<T>(items: &mut ResponseStream<T>) -> Result<T, Error> {
    in_time(items.next()).await.expect("the stream ended")
}

/// Returns the changes of a watch up to and including the first one that matches `is_last`.
pub(crate) async fn until(
    changes: &mut ResponseStream<Change>,
    is_last: impl Fn(&Change) -> bool,
) -> Vec<Change> {
    let mut received = Vec::new();
    loop {
        received.push(next(changes).await.unwrap());
        if received.last().is_some_and(&is_last) {
            return received;
        }
    }
}

/// Returns a configuration for these addresses with a minimal backoff.
pub(crate) fn config(addresses: impl IntoIterator<Item = SocketAddr>) -> Config {
    let pause = Duration::from_millis(1);
    Config {
        retry: RetryPolicy { initial_backoff: pause, max_backoff: pause, ..RetryPolicy::default() },
        ..Config::new(addresses.into_iter().map(|address| address.to_string().parse().unwrap()))
    }
}

/// Returns a client of these addresses with a minimal backoff.
pub(crate) fn client(addresses: impl IntoIterator<Item = SocketAddr>) -> Client {
    Client::connect(&config(addresses)).unwrap()
}

/// Returns an address without a listener. The bound socket reserves the port.
pub(crate) fn unused_address() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// Starts a server that returns a movie for every id.
pub(crate) async fn service() -> ScriptedServer {
    ScriptedServer::start(|_| vec![Step::message(&v1::Movie::default())]).await
}

pub(crate) fn movie(id: &str, title: &str) -> Movie {
    Movie { id: id.to_owned(), title: title.to_owned(), ..Movie::default() }
}

/// Returns a status with a reason and revisions, in the format of the service.
pub(crate) fn failure(code: Code, reason: &str) -> Status {
    let metadata = [("oldest_revision", "7"), ("revision", "9")];
    let metadata: HashMap<_, _> =
        metadata.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let details = ErrorDetails::with_error_info(reason, "movie-service", metadata);
    Status::with_error_details(code, "the status message", details)
}
