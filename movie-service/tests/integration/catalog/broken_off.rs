//! Requests that their callers break off.

use std::net::SocketAddr;

use prost::Message;

use super::*;
use crate::metrics;
use crate::peer::frames::{self, ACK, CANCEL, Frame, NO_ERROR};
use crate::peer::{self, Peer};
use crate::raw::framed;

/// Starts a service with metrics; returns where those are, too.
async fn start() -> (Fixture, SocketAddr) {
    let dir = tempfile::tempdir().unwrap();
    let mut command = over_sqlite(dir.path());
    let (service, metrics) =
        metrics::run(command.args(["--allow-anonymous-writes", "--metrics", "127.0.0.1:0"]));
    (Fixture { stub: stub(&service).await, service, dir }, metrics)
}

/// Sends a call of one message, and not that it is the last one; returns once the service waits for more.
async fn begin(fixture: &mut Fixture, method: &str, message: &impl Message) -> (Peer, u32) {
    let mut peer = Peer::connect(fixture.service.address);
    let stream = peer.begin(&peer::fields(&format!("/movie.catalog.v1.MovieCatalog/{method}")));
    peer.send_frames([Frame::data(stream, framed(&message.encode_to_vec())), Frame::ping(1)]);
    let is_answer = |frame: &Frame| frame.kind == frames::PING && frame.flags == ACK;
    std::iter::from_fn(|| peer.read_politely()).find(is_answer).expect("the ping is answered");
    // Writes are done in order: what the call has written by now is there after one more.
    create(&mut fixture.stub, movie("", "Another title"), "").await.unwrap();
    (peer, stream)
}

/// Breaks calls off, each in another way, and asserts that they count as given up.
async fn break_off(fixture: &mut Fixture, metrics: SocketAddr, method: &str, message: impl Message) {
    let mut peers = Vec::new();
    for code in [NO_ERROR, CANCEL] {
        let (mut peer, stream) = begin(fixture, method, &message).await;
        peer.send_frames([Frame::reset(stream, code)]);
        peers.push(peer);
    }
    // The connection ends, or at least its half.
    drop(begin(fixture, method, &message).await);
    let (mut peer, _) = begin(fixture, method, &message).await;
    peer.finish();
    peers.push(peer);
    let method = format!("movie.catalog.v1.MovieCatalog/{method}");
    let line = format!(r#"movie_service_calls_total{{method="{method}",code="CANCELLED"}} 4"#);
    metrics::assert_shows(metrics, &[&line]).await;
}

#[tokio::test]
async fn a_write_whose_request_is_broken_off_is_not_done() {
    let (mut fixture, metrics) = start().await;
    let request = CreateMovieRequest { movie: Some(movie("a", "A title")), ..CreateMovieRequest::default() };
    break_off(&mut fixture, metrics, "CreateMovie", request).await;
    create(&mut fixture.stub, movie("a", "Its title"), "").await.unwrap();
}

#[tokio::test]
async fn an_import_that_is_broken_off_is_not_taken_for_a_whole_one() {
    let (mut fixture, metrics) = start().await;
    let request = ImportMoviesRequest { movies: vec![movie("a", "A title")] };
    break_off(&mut fixture, metrics, "ImportMovies", request).await;
    // What had arrived is written.
    get(&mut fixture.stub, "a").await.unwrap();
}
