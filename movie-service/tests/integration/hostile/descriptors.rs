//! The operating system gives no more descriptors.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::Target;
use crate::peer::{GET, Peer};
use crate::process::{command, database};

/// Descriptors that the service may have. It cannot ask for more.
const DESCRIPTORS: u32 = 64;

/// Starts a service that can have few descriptors.
fn start(limits: &[&str]) -> Target {
    let service = command(&database("movies.json"));
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -n {DESCRIPTORS} && exec \"$0\" \"$@\"")]);
    shell.arg(service.get_program()).args(service.get_args());
    shell
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    Target::run(&mut shell, limits)
}

#[test]
fn without_descriptors_open_connections_are_served_and_accepting_does_not_spin() {
    let target = start(&["connections=1000", "connections_per_address=1000", "handshake=10m", "idle=10m"]);
    let mut first = Peer::connect(target.address());
    let stream = first.call(GET, b"");
    assert_eq!(first.answer(stream).code(), Some("0"));
    let peers: Vec<Peer> = (0..2 * DESCRIPTORS).map(|_| Peer::connect(target.address())).collect();

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
    let target = start(&["handshake=300ms", "idle=300ms", "connections_per_address=1000"]);
    let peers: Vec<Peer> = (0..2 * DESCRIPTORS).map(|_| Peer::silent(target.address())).collect();
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
