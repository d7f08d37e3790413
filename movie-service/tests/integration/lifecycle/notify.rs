//! Notifications to systemd, with a socket of the test in its place.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use crate::support::databases::database;
use crate::support::peer::{self, GET, Peer};
use crate::support::process::{self, Service, bare_command};

/// Upper bound of the wait for a notification, so that a test does not hang.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Time after which the service would be ended without a sign of life, in microseconds.
const WATCHDOG_USEC: &str = "200000";

/// Many times half of that.
const MANY_BEATS: Duration = Duration::from_secs(2);

/// The socket that the service notifies.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Manager {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        Self { socket, path, _dir: dir }
    }

    /// Runs the service with a variable for the watchdog, which expects signs of life from the process `pid`.
    fn run_watched(&self, pid: &str) -> Service {
        let service = process::command(&database("movies.json"));
        let mut command = Command::new("sh");
        // The shell becomes the service, with the same process id.
        command.args(["-c", &format!(r#"export WATCHDOG_PID={pid}; exec "$0" "$@""#)]);
        command.arg(service.get_program()).args(service.get_args());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.env("NOTIFY_SOCKET", &self.path).env("WATCHDOG_USEC", WATCHDOG_USEC);
        Service::run(command.env("MOVIE_LOG_FORMAT", "text"))
    }

    /// Waits for the next notification.
    fn next(&self) -> String {
        self.next_within(TIMEOUT).expect("no notification")
    }

    fn next_within(&self, time: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(time)).unwrap();
        let mut buffer = [0; 1024];
        match self.socket.recv(&mut buffer) {
            Ok(length) => Some(String::from_utf8(buffer[..length].to_vec()).unwrap()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Returns the ids of the worker threads.
fn workers(service: &Service) -> Vec<Pid> {
    let tasks = fs::read_dir(format!("/proc/{}/task", service.pid())).unwrap();
    let is_worker = |path: &PathBuf| fs::read_to_string(path.join("comm")).unwrap().starts_with("worker-");
    let workers = tasks.map(|task| task.unwrap().path()).filter(is_worker);
    workers.map(|path| Pid::from_raw(path.file_name().unwrap().to_str().unwrap().parse().unwrap())).collect()
}

#[tokio::test]
async fn it_says_when_it_is_ready_reloads_and_stops() {
    let manager = Manager::new();
    let mut command = process::command(&database("movies.json"));
    command.args(["--grace", "30s", "--pause", "1s"]).env("NOTIFY_SOCKET", &manager.path);
    let mut service = Service::run(&mut command);
    let ready = manager.next();
    let status = ready.strip_prefix("READY=1\nSTATUS=").unwrap();
    assert!(service.start_line.trim_end().ends_with(status.trim_end()), "{status}");

    service.signal("HUP");
    let reloading = manager.next();
    let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
    assert!(time.trim_end().parse::<u64>().unwrap() > 0);
    assert_eq!(manager.next(), "READY=1\n");
    service.log_line_with("serving 7 movies from the new version of ");

    service.signal("TERM");
    let stopping = manager.next();
    assert!(stopping.starts_with("STOPPING=1\nSTATUS="), "{stopping}");
    // The grace period, the pause and 10 s.
    assert!(stopping.ends_with("\nEXTEND_TIMEOUT_USEC=41000000\n"), "{stopping}");
    assert!(service.wait().await.success());
    assert_eq!(manager.next_within(Duration::from_millis(1)), None);
}

#[test]
fn a_reload_is_over_although_nothing_can_be_reloaded() {
    let manager = Manager::new();
    let dir = tempfile::tempdir().unwrap();
    let mut command = bare_command();
    command.args(["--listen", "127.0.0.1:0", "--database", "sqlite:movies.db"]).current_dir(&dir);
    let service = Service::run(command.env("NOTIFY_SOCKET", &manager.path));
    assert!(manager.next().starts_with("READY=1\n"));
    service.signal("HUP");
    assert!(manager.next().starts_with("RELOADING=1\n"));
    assert_eq!(manager.next(), "READY=1\n");
}

#[test]
fn it_is_alive_only_while_every_worker_responds() {
    let manager = Manager::new();
    let service = manager.run_watched("$$");
    assert!(manager.next().starts_with("READY=1\n"));
    for worker in workers(&service) {
        for _ in 0..3 {
            assert_eq!(manager.next(), "WATCHDOG=1\n");
        }
        // Stops this thread only.
        ptrace::attach(worker).unwrap();
        waitpid(worker, Some(WaitPidFlag::__WALL)).unwrap();
        while manager.next_within(MANY_BEATS).is_some() {}
        ptrace::detach(worker, None).unwrap();
    }
    assert_eq!(manager.next(), "WATCHDOG=1\n");
}

#[test]
fn it_is_alive_until_the_last_call_has_ended() {
    let manager = Manager::new();
    let service = manager.run_watched("$$");
    let mut peer = Peer::connect(service.address);
    peer.begin(&peer::fields(GET));
    service.signal("TERM");
    while !manager.next().starts_with("STOPPING=1\n") {}
    for _ in 0..5 {
        assert_eq!(manager.next(), "WATCHDOG=1\n");
    }
}

#[test]
fn the_watchdog_of_another_process_gets_no_sign_of_life() {
    let manager = Manager::new();
    let _service = manager.run_watched("1");
    assert!(manager.next().starts_with("READY=1\n"));
    assert_eq!(manager.next_within(MANY_BEATS), None);
}

#[tokio::test]
async fn it_serves_although_systemd_cannot_be_notified() {
    let mut command = process::command(&database("movies.json"));
    let mut service = Service::run(command.env("NOTIFY_SOCKET", "/no/such/socket"));
    let line = service.log_line_with("systemd is not told the state of the service");
    assert!(line.contains("/no/such/socket") && line.contains("Type=notify"), "{line}");
    service.end().await;
}

#[tokio::test]
async fn it_serves_reloads_and_stops_although_systemd_reads_nothing() {
    let manager = Manager::new();
    // As full as a systemd that hangs leaves it.
    let filler = UnixDatagram::unbound().unwrap();
    filler.set_nonblocking(true).unwrap();
    while filler.send_to(b"X=1", &manager.path).is_ok() {}
    let mut service = manager.run_watched("$$");
    for _ in 0..20 {
        service.signal("HUP");
        service.log_line_with("serving 7 movies from the new version of ");
    }
    Peer::connect(service.address).begin(&peer::fields(GET));
    service.end().await;
}

#[cfg(target_os = "linux")]
#[test]
fn a_socket_in_the_abstract_namespace_is_notified() {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::SocketAddr;

    let name = format!("movie-service-test-{}", std::process::id());
    let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    let mut command = process::command(&database("movies.json"));
    let _service = Service::run(command.env("NOTIFY_SOCKET", format!("@{name}")));
    let mut buffer = [0; 1024];
    let length = socket.recv(&mut buffer).unwrap();
    assert!(buffer[..length].starts_with(b"READY=1\n"));
}
