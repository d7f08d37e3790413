//! The service runs out of file descriptors.

use rlimit::Resource;

use crate::support::peer::{GET, Peer};
use crate::support::target::Target;

/// The limit on descriptors of the service.
const DESCRIPTORS: u64 = 64;

/// Starts a service that runs out of descriptors before it reaches its limit on connections.
fn start(limits: &[&str]) -> Target {
    let target = Target::start(limits);
    // After the start: the service lowers its limit on connections to the number of descriptors that it finds.
    let pid = target.service.pid().try_into().unwrap();
    rlimit::prlimit(pid, Resource::NOFILE, Some((DESCRIPTORS, DESCRIPTORS)), None).unwrap();
    target
}

/// Connects enough peers to use up the descriptors, and waits until the service logs it.
fn run_out(target: &mut Target, connect: impl Fn() -> Peer) -> Vec<Peer> {
    let peers = (0..2 * DESCRIPTORS).map(|_| connect()).collect();
    target.service.log_line_with("cannot accept connections, retrying");
    peers
}

#[test]
fn open_connections_are_served_when_descriptors_run_out() {
    let mut target = start(&["handshake=10m", "idle=10m"]);
    let address = target.address();
    let mut first = Peer::connect(address);
    let stream = first.call(GET, b"");
    assert_eq!(first.response(stream).code(), Some("0"));
    let peers = run_out(&mut target, || Peer::connect(address));

    let stream = first.call(GET, b"");
    assert_eq!(first.response(stream).code(), Some("0"));

    drop((first, peers));
    target.assert_unharmed();
}

#[test]
fn silent_connections_give_their_descriptors_back() {
    let mut target = start(&["handshake=300ms", "idle=300ms"]);
    let address = target.address();
    let peers = run_out(&mut target, || Peer::silent(address));
    target.assert_unharmed();
    drop(peers);
    target.assert_unharmed();
}
