//! Peers that do what no good client does, by malice or by accident: none may harm the service.
//!
//! Each test does it to a service of its own, then has that service prove that nobody else noticed.

mod descriptors;
mod floods;
mod handshakes;
mod headers;
mod limits;
mod messages;
mod places;
mod readers;
mod requests;
mod streams;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use movie_proto::{MovieData, MovieId};

use crate::peer::{GET, Peer};
use crate::process::{self, Service, command, database};

/// How long an ordinary client waits for its answer before a test gives up. Not a measure of speed: the machine may be busy.
const ANSWERED: Duration = Duration::from_secs(20);

/// How long the service may take to give back what bad peers made it hold, likewise.
const GIVEN_BACK: Duration = Duration::from_mins(1);

/// How long to wait before looking again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Another address of this machine than that of ordinary clients.
pub(crate) const OTHER_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Memory that it may keep, in KiB: parts of pages that its allocator cannot return.
const MAX_RETAINED_KIB: u64 = 8 * 1024;

/// A service that bad peers meet.
pub(crate) struct Target {
    pub(crate) service: Service,
    before: Usage,
}

/// What the service holds of the machine.
#[derive(Clone, Copy, Debug)]
struct Usage {
    /// KiB.
    memory: u64,
    /// Open files and sockets.
    descriptors: usize,
}

impl Target {
    /// Starts a service over few movies. `limits` are such as `idle=1s`.
    pub(crate) fn start(limits: &[&str]) -> Self {
        Self::run(&mut command(&database("movies.json")), limits)
    }

    /// Starts a service over movies whose list no socket's buffers take.
    pub(crate) fn large(limits: &[&str]) -> Self {
        Self::run(&mut command(large_database()), limits)
    }

    /// Runs a command that starts a service.
    pub(crate) fn run(command: &mut Command, limits: &[&str]) -> Self {
        // Else the allocator returns what is freed in its own time, which is not what is looked at here.
        command.env("MIMALLOC_PURGE_DELAY", "0");
        let service = Service::run(command.env("MOVIE_LIMITS", limits.join(",")));
        // What the first call sets up stays; its connection does not.
        let mut first = Peer::connect(service.address);
        let stream = first.call(GET, b"");
        assert_eq!(first.answer(stream).code(), Some("0"));
        let with_it = Usage::of(&service);
        drop(first);
        let end = Instant::now() + GIVEN_BACK;
        loop {
            let before = Usage::of(&service);
            if before.descriptors < with_it.descriptors {
                return Self { service, before };
            }
            assert!(Instant::now() < end, "the service keeps the connection of a client that went");
            thread::sleep(LOOK_AGAIN);
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.service.address
    }

    /// Asserts that an ordinary client is answered, and that memory and descriptors are given back.
    pub(crate) fn assert_unharmed(&self) {
        let Usage { memory, descriptors } = self.before;
        self.assert_uses("was harmed", |now| {
            now.memory <= memory + MAX_RETAINED_KIB && now.descriptors <= descriptors
        });
    }

    /// Asserts that ordinary clients are answered while peers, which are still there, cost at most so many KiB.
    pub(crate) fn assert_costs_at_most(&self, cost: u64) {
        let most = self.before.memory + cost;
        self.assert_uses(&format!("uses more than {cost} KiB"), |now| now.memory <= most);
    }

    /// Asserts that the service has no more connections than in the beginning, although peers keep theirs.
    pub(crate) fn assert_disconnects_all(&self) {
        let most = self.before.descriptors;
        self.assert_uses("keeps its connections", |now| now.descriptors <= most);
    }

    /// Asserts that an ordinary client is answered, and that what is used is as said once that client is gone.
    fn assert_uses(&self, complaint: &str, is_good: impl Fn(Usage) -> bool) {
        ordinary_call(self.address());
        let end = Instant::now() + GIVEN_BACK;
        loop {
            let now = Usage::of(&self.service);
            if is_good(now) {
                return;
            }
            assert!(Instant::now() < end, "the service {complaint}: {:?}, then {now:?}", self.before);
            thread::sleep(LOOK_AGAIN);
        }
    }
}

impl Usage {
    fn of(service: &Service) -> Self {
        let descriptors = fs::read_dir(format!("/proc/{}/fd", service.pid())).unwrap().count();
        Self { memory: memory(service, "VmRSS:"), descriptors }
    }
}

/// Forgets the most memory that a service has used so far; returns what it uses now, in KiB.
fn forget_peak(service: &Service) -> u64 {
    fs::write(format!("/proc/{}/clear_refs", service.pid()), "5").unwrap();
    peak(service)
}

/// Returns the most memory that a service has used since then, in KiB.
fn peak(service: &Service) -> u64 {
    memory(service, "VmHWM:")
}

/// Returns a figure of a service's memory, in KiB.
fn memory(service: &Service, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", service.pid())).unwrap();
    let figure = status.lines().find_map(|line| line.strip_prefix(name)?.strip_suffix(" kB")).unwrap();
    figure.trim().parse().unwrap()
}

/// Has a client of its own connection make a call and check the answer.
pub(crate) fn ordinary_call(address: SocketAddr) {
    let call = async {
        let movie = process::stub(address).await.get_movie_by_id(MovieId::default()).await;
        assert_eq!(movie.unwrap().into_inner(), MovieData::default());
    };
    let answered = block_on(async { tokio::time::timeout(ANSWERED, call).await });
    answered.expect("the service answers an ordinary client");
}

/// Runs what is asynchronous, such as tonic's client, on this thread.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Lets this process have many sockets.
pub(crate) fn allow_many_sockets() {
    rlimit::increase_nofile_limit(16 * 1024).unwrap();
}

/// Returns a database of 2,000 movies of 6 KB each: a list of 12 MB, which the service loads in a fraction of the time that
/// as many bytes in short movies take.
pub(crate) fn large_database() -> &'static Path {
    static LARGE: OnceLock<PathBuf> = OnceLock::new();
    LARGE.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (path, part) = (dir.join("large.json"), dir.join(format!("large.{}.json", std::process::id())));
        let mut file = BufWriter::new(File::create(&part).unwrap());
        let director = "A Director ".repeat(550);
        write!(file, r#"{{"movies": [{{"id": "0", "title": "Movie 0"}}"#).unwrap();
        for id in 1..2_000 {
            write!(file, r#", {{"id": "{id}", "title": "Movie {id}", "director": "{director}"}}"#).unwrap();
        }
        file.write_all(b"]}").unwrap();
        file.into_inner().unwrap();
        // Other processes may run tests over it.
        fs::rename(part, &path).unwrap();
        path
    })
}
