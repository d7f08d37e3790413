//! Calls that are cancelled before their request is complete.

use std::net::SocketAddr;

use prost::Message;

use super::*;
use crate::support::messages::framed;
use crate::support::metrics;
use crate::support::peer::frames::{self, ACK, CANCEL, Frame, NO_ERROR};
use crate::support::peer::{self, Peer};

/// Starts a service with metrics; also returns their address.
async fn start() -> (Fixture, SocketAddr) {
    let dir = tempfile::tempdir().unwrap();
    let mut command = over_sqlite(dir.path());
    let (service, metrics) =
        metrics::run(command.args(["--allow-anonymous-writes", "--metrics", "127.0.0.1:0"]));
    (Fixture { stub: stub(&service).await, service, dir }, metrics)
}

/// Sends a call of one message without `END_STREAM`; returns once the service waits for more.
async fn begin(fixture: &mut Fixture, method: &str, message: &impl Message) -> (Peer, u32) {
    let mut peer = Peer::connect(fixture.service.address);
    let stream = peer.begin(&peer::fields(&format!("/movie.catalog.v1.MovieCatalog/{method}")));
    peer.send_frames([Frame::data(stream, framed(&message.encode_to_vec())), Frame::ping(1)]);
    let is_answer = |frame: &Frame| frame.kind == frames::PING && frame.flags == ACK;
    std::iter::from_fn(|| peer.read_and_respond()).find(is_answer).expect("the connection is closed");
    // Writes are done in order, so this one follows all that the call has written by now.
    create(&mut fixture.stub, movie("", "Another title")).await.unwrap();
    (peer, stream)
}

/// Cancels calls in different ways, and asserts that they are counted as cancelled.
async fn cancel(fixture: &mut Fixture, metrics: SocketAddr, method: &str, message: impl Message) {
    let mut peers = Vec::new();
    for code in [NO_ERROR, CANCEL] {
        let (mut peer, stream) = begin(fixture, method, &message).await;
        peer.send_frames([Frame::reset(stream, code)]);
        peers.push(peer);
    }
    // The connection is closed, completely or the write half of it.
    drop(begin(fixture, method, &message).await);
    let (mut peer, _) = begin(fixture, method, &message).await;
    peer.shut_down_writing();
    peers.push(peer);
    let method = format!("movie.catalog.v1.MovieCatalog/{method}");
    let line = format!(r#"movie_service_calls_total{{method="{method}",code="CANCELLED"}} 4"#);
    metrics::assert_shows(metrics, &[&line]).await;
}

#[tokio::test]
async fn a_write_is_not_done_if_its_request_is_cancelled() {
    let (mut fixture, metrics) = start().await;
    let request = CreateMovieRequest { movie: Some(movie("a", "A title")), ..CreateMovieRequest::default() };
    cancel(&mut fixture, metrics, "CreateMovie", request).await;
    create(&mut fixture.stub, movie("a", "Its title")).await.unwrap();
}

#[tokio::test]
async fn a_cancelled_import_counts_as_cancelled_and_keeps_what_it_wrote() {
    let (mut fixture, metrics) = start().await;
    let request = ImportMoviesRequest { movies: vec![movie("a", "A title")] };
    cancel(&mut fixture, metrics, "ImportMovies", request).await;
    // The complete messages are written.
    get(&mut fixture.stub, "a").await.unwrap();
}
