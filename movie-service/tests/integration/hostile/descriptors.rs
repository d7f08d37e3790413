//! The operating system gives no more descriptors.

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
fn without_descriptors_open_connections_are_served() {
    let mut target = start(&["handshake=10m", "idle=10m"]);
    let address = target.address();
    let mut first = Peer::connect(address);
    let stream = first.call(GET, b"");
    assert_eq!(first.answer(stream).code(), Some("0"));
    let peers = run_out(&mut target, || Peer::connect(address));

    let stream = first.call(GET, b"");
    assert_eq!(first.answer(stream).code(), Some("0"));

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
