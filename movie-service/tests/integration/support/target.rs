//! A service that hostile peers connect to, with its memory and open descriptors.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use movie_proto::{MovieData, MovieId};

use super::databases::{database, large_database};
use super::peer::{GET, Peer};
use super::process::{self, Service, command};

/// Upper bound of the wait for an ordinary call, so that a test does not hang.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// Upper bound of the wait until the service has released memory and descriptors.
const RELEASE_TIMEOUT: Duration = Duration::from_mins(1);

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A loopback address other than that of ordinary clients.
pub(crate) const OTHER_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Memory that the allocator may retain, because parts of its pages are in use.
const MAX_RETAINED_KIB: u64 = 8 * 1024;

/// A running service, and what it used before any hostile peer connected.
pub(crate) struct Target {
    pub(crate) service: Service,
    before: Usage,
}

/// Resources that a service uses.
#[derive(Clone, Copy, Debug)]
struct Usage {
    /// Resident memory, in KiB.
    memory: u64,
    /// Open files and sockets.
    descriptors: usize,
}

impl Target {
    /// Starts a service over few movies, with limits such as `idle=1s`.
    pub(crate) fn start(limits: &[&str]) -> Self {
        Self::run(&mut command(&database("movies.json")), limits)
    }

    /// Starts a service whose list exceeds the buffers of any socket.
    pub(crate) fn large(limits: &[&str]) -> Self {
        Self::run(&mut command(large_database()), limits)
    }

    /// Runs a command that starts a service.
    pub(crate) fn run(command: &mut Command, limits: &[&str]) -> Self {
        // By default, the allocator returns freed memory to the system only after some time.
        command.env("MIMALLOC_PURGE_DELAY", "0");
        let service = Service::run(command.env("MOVIE_LIMITS", limits.join(",")));
        // The first call allocates memory that stays in use. Its connection must be closed before usage is measured.
        let mut first = Peer::connect(service.address);
        let stream = first.call(GET, b"");
        assert_eq!(first.response(stream).code(), Some("0"));
        let with_it = Usage::of(&service);
        drop(first);
        let end = Instant::now() + RELEASE_TIMEOUT;
        loop {
            let before = Usage::of(&service);
            if before.descriptors < with_it.descriptors {
                return Self { service, before };
            }
            assert!(Instant::now() < end, "the service keeps the connection of a client that disconnected");
            thread::sleep(POLL_INTERVAL);
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.service.address
    }

    /// Asserts that an ordinary call succeeds, and that the service releases memory and descriptors.
    pub(crate) fn assert_unharmed(&self) {
        let Usage { memory, descriptors } = self.before;
        self.assert_uses("was harmed", |now| {
            now.memory <= memory + MAX_RETAINED_KIB && now.descriptors <= descriptors
        });
    }

    /// Asserts that an ordinary call succeeds while the connected peers cost at most `cost` KiB.
    pub(crate) fn assert_costs_at_most(&self, cost: u64) {
        let most = self.before.memory + cost;
        self.assert_uses(&format!("uses more than {cost} KiB"), |now| now.memory <= most);
    }

    /// Asserts that the service closes all connections, although their peers keep them open.
    pub(crate) fn assert_disconnects_all(&self) {
        let most = self.before.descriptors;
        self.assert_uses("keeps its connections", |now| now.descriptors <= most);
    }

    /// Asserts that an ordinary call succeeds, and that usage then meets a condition.
    fn assert_uses(&self, complaint: &str, is_good: impl Fn(Usage) -> bool) {
        ordinary_call(self.address());
        let end = Instant::now() + RELEASE_TIMEOUT;
        loop {
            let now = Usage::of(&self.service);
            if is_good(now) {
                return;
            }
            assert!(Instant::now() < end, "the service {complaint}: {:?}, then {now:?}", self.before);
            thread::sleep(POLL_INTERVAL);
        }
    }
}

impl Usage {
    fn of(service: &Service) -> Self {
        let descriptors = fs::read_dir(format!("/proc/{}/fd", service.pid())).unwrap().count();
        Self { memory: memory(service, "VmRSS:"), descriptors }
    }
}

/// Resets the peak of the resident memory of a service; returns its current memory, in KiB.
pub(crate) fn reset_peak(service: &Service) -> u64 {
    fs::write(format!("/proc/{}/clear_refs", service.pid()), "5").unwrap();
    peak(service)
}

/// Returns the peak of the resident memory of a service since the last reset, in KiB.
pub(crate) fn peak(service: &Service) -> u64 {
    memory(service, "VmHWM:")
}

/// Returns a field of the `status` file of a service, in KiB.
pub(crate) fn memory(service: &Service, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", service.pid())).unwrap();
    let figure = status.lines().find_map(|line| line.strip_prefix(name)?.strip_suffix(" kB")).unwrap();
    figure.trim().parse().unwrap()
}

/// Makes a call on a connection of its own, and checks the response.
pub(crate) fn ordinary_call(address: SocketAddr) {
    let call = async {
        let movie = process::stub(address).await.get_movie_by_id(MovieId::default()).await;
        assert_eq!(movie.unwrap().into_inner(), MovieData::default());
    };
    let response = block_on(async { tokio::time::timeout(CALL_TIMEOUT, call).await });
    response.expect("an ordinary call gets no response");
}

/// Runs a future on this thread.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Raises the limit on open sockets of this process.
pub(crate) fn allow_many_sockets() {
    rlimit::increase_nofile_limit(16 * 1024).unwrap();
}
