//! The operating system gives no more descriptors.

use std::fs;
use std::thread;
use std::time::Duration;

use rlimit::Resource;

use super::Target;
use crate::peer::{GET, Peer};

/// Descriptors that the service may have.
const DESCRIPTORS: u64 = 64;

/// Starts a service that runs out of descriptors before it has as many connections as it may have.
fn start(limits: &[&str]) -> Target {
    let target = Target::start(limits);
    // Not before it runs: it would allow itself only as many connections as it has descriptors for.
    let pid = target.service.pid().try_into().unwrap();
    rlimit::prlimit(pid, Resource::NOFILE, Some((DESCRIPTORS, DESCRIPTORS)), None).unwrap();
    target
}

/// Connects so many peers that descriptors run out, and waits until the service says so.
fn run_out(target: &mut Target, connect: impl Fn() -> Peer) -> Vec<Peer> {
    let peers = (0..2 * DESCRIPTORS).map(|_| connect()).collect();
    target.service.log_line_with("cannot accept connections for now");
    peers
}

#[test]
fn without_descriptors_open_connections_are_served_and_accepting_does_not_spin() {
    let mut target = start(&["handshake=10m", "idle=10m"]);
    let address = target.address();
    let mut first = Peer::connect(address);
    let stream = first.call(GET, b"");
    assert_eq!(first.answer(stream).code(), Some("0"));
    let peers = run_out(&mut target, || Peer::connect(address));

    let stream = first.call(GET, b"");
    assert_eq!(first.answer(stream).code(), Some("0"));
    let before = ticks(&target);
    thread::sleep(Duration::from_secs(1));
    let spent = ticks(&target) - before;
    // A core that spins spends all of its hundred.
    assert!(spent < 50, "{spent} ticks of a hundred were spent on nothing");

    drop((first, peers));
    target.assert_unharmed();
}

#[test]
fn connections_that_say_nothing_do_not_keep_others_out_for_long() {
    let mut target = start(&["handshake=300ms", "idle=300ms"]);
    let address = target.address();
    let peers = run_out(&mut target, || Peer::silent(address));
    target.assert_unharmed();
    drop(peers);
    target.assert_unharmed();
}

/// Returns the processor time that the service has spent, in ticks of 10 ms.
fn ticks(target: &Target) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", target.service.pid())).unwrap();
    // After the name, which may hold anything, the twelfth and the thirteenth figure.
    let (_, figures) = stat.rsplit_once(") ").unwrap();
    figures.split(' ').skip(11).take(2).map(|figure| figure.parse::<u64>().unwrap()).sum()
}
