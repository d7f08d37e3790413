//! What connections cost and where they are served, as Linux tells it.

use std::fs;

use movie_proto::MovieId;

use crate::hostile::large_database;
use crate::process::{Service, command};
use crate::raw::Peer;
use crate::support::skipped::skip;

/// A message that is announced is memory set aside: for what a request takes, not for what it says.
#[tokio::test]
async fn messages_that_are_announced_and_never_sent_cost_little() {
    let service = Service::start("movies.json");
    let status = format!("/proc/{}/status", service.pid());
    let before = figure(&status, "VmRSS");
    let mut peers = Vec::new();
    for _ in 0..5 {
        let mut peer = Peer::connect(service.address).await;
        for _ in 0..100 {
            peer.announce().await;
        }
        peers.push(peer);
    }
    service.stub().await.get_movie_by_id(MovieId::default()).await.unwrap();
    let grown = (figure(&status, "VmRSS") - before) / 1024;
    assert!(grown < 100, "500 announced messages cost {grown} MiB");
}

/// Returns a figure of a `status` file of `/proc`.
fn figure(path: &str, name: &str) -> u64 {
    let status = fs::read_to_string(path).unwrap();
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    value.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test]
async fn two_connections_are_served_by_two_cores() {
    if std::thread::available_parallelism().unwrap().get() < 2 {
        return skip("this machine has one core");
    }
    let service = Service::start("movies.json");
    let mut stubs = [service.stub().await, service.stub().await];
    for _ in 0..100 {
        for stub in &mut stubs {
            stub.get_movie_by_id(MovieId::default()).await.unwrap();
        }
    }
    // A worker sleeps between the calls of its connection.
    let busy = fs::read_dir(format!("/proc/{}/task", service.pid())).unwrap().filter(|task| {
        let status = format!("{}/status", task.as_ref().unwrap().path().display());
        let name = fs::read_to_string(&status).unwrap();
        name.starts_with("Name:\tworker-") && figure(&status, "voluntary_ctxt_switches") >= 50
    });
    assert_eq!(busy.count(), 2);
}

#[tokio::test]
async fn readers_that_stall_cost_little_and_hold_up_nobody() {
    let service = Service::run(&mut command(large_database()));
    let status = format!("/proc/{}/status", service.pid());

    let before = figure(&status, "VmRSS");
    let mut stalled = Vec::new();
    for _ in 0..200 {
        let mut peer = Peer::connect(service.address).await;
        let body = peer.stall().await;
        stalled.push((peer, body));
    }
    let mut stub = service.stub().await;
    for id in 0..50 {
        let movie = stub.get_movie_by_id(MovieId { id: id.to_string() }).await.unwrap().into_inner();
        assert_eq!(movie.title, format!("Movie {id}"));
    }

    let each = (figure(&status, "VmRSS") - before) / 200;
    assert!(each < 100, "a reader that stalls costs {each} KiB");
}
