//! Sockets that systemd opens and passes.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use movie_proto::MovieId;
use movie_proto::movie_client::MovieClient;
use tonic::transport::Endpoint;

use super::unix_socket;
use crate::support::databases::database;
use crate::support::process::{self, Service, bare_command, outcome, rounds};
use crate::support::skipped::skip;
use crate::support::target::{block_on, ordinary_call};
use crate::support::{http1, metrics};

/// Upper bound of any wait, so that a test does not hang.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Returns the command that runs the service with sockets as systemd passes them: the first is the descriptor 3. `names` and
/// `pid` are the values of `LISTEN_FDNAMES` and `LISTEN_PID`.
fn passing(sockets: Vec<OwnedFd>, names: &str, pid: &str) -> Command {
    let count = sockets.len();
    let mut command = Command::new("sh");
    // A child has no other descriptors than its standard ones, unless unsafe code gives it some.
    let script = format!(r#"export LISTEN_PID={pid}; exec "$0" "$@" 3<&0 4<&1 </dev/null >/dev/null"#);
    command.args(["-c", &script]).arg(bare_command().get_program());
    command.arg("--database").arg(database("movies.json"));
    command.env("MOVIE_LISTEN", "127.0.0.1:0").env("MOVIE_LOG_FORMAT", "text");
    command.env("LISTEN_FDS", count.to_string()).env("LISTEN_FDNAMES", names);
    let mut sockets = sockets.into_iter().map(Stdio::from);
    command.stdin(sockets.next().unwrap_or_else(Stdio::null));
    command.stdout(sockets.next().unwrap_or_else(Stdio::null));
    command.stderr(Stdio::piped());
    command
}

/// Returns the command that runs the service with one socket for calls.
fn passing_one(socket: impl Into<OwnedFd>) -> Command {
    passing(vec![socket.into()], "movie-service.socket", "$$")
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[test]
fn a_socket_replaces_the_address_and_child_processes_do_not_inherit_it() {
    let (listener, address) = listener();
    let service = Service::run(&mut passing_one(listener));
    assert_eq!(service.address, address);
    ordinary_call(address);
    let descriptor = fs::read_to_string(format!("/proc/{}/fdinfo/3", service.pid())).unwrap();
    let flags = descriptor.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
    // O_CLOEXEC on x86 and Arm.
    assert_ne!(u32::from_str_radix(flags, 8).unwrap() & 0o2_000_000, 0, "{descriptor}");
}

#[test]
fn a_unix_socket_is_served_and_stays_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("movies.sock");
    let listener = UnixListener::bind(&path).unwrap();
    for _ in 0..2 {
        let mut service = Service::run(&mut passing_one(listener.try_clone().unwrap()));
        assert!(service.start_line.trim_end().ends_with(&format!(" on unix:{}", path.display())));
        block_on(unix_socket::call(&path));
        block_on(service.end());
        assert!(path.exists());
    }
}

#[tokio::test]
async fn a_socket_that_is_named_metrics_serves_metrics() {
    let ((calls, address), (page, metrics)) = (listener(), listener());
    let mut command = passing(vec![page.into(), calls.into()], "metrics:movie-service.socket", "$$");
    let service = Service::run(&mut command);
    assert_eq!(service.address, address);
    metrics::assert_shows(metrics, &["movie_service_connections_open 0"]).await;
}

#[test]
fn sockets_for_another_process_are_ignored() {
    let (listener, address) = listener();
    let service = Service::run(&mut passing(vec![listener.into()], "", "1"));
    assert_ne!(service.address, address);
    ordinary_call(service.address);
}

#[test]
fn warnings_and_checks_look_at_the_address_of_the_socket() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = dir.path().join("tokens");
    File::create(&tokens).unwrap();
    for (bound, warns, status) in [("0.0.0.0:0", true, "200"), ("127.0.0.1:0", false, "421")] {
        let listener = TcpListener::bind(bound).unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut command = passing_one(listener);
        // The address of the configuration is of the other kind.
        command.env("MOVIE_LISTEN", if warns { "127.0.0.1:0" } else { "0.0.0.0:0" });
        command.arg("--tokens").arg(&tokens);
        let service = Service::run(&mut command);
        let log = service.early_lines.concat();
        assert_eq!(log.contains("tokens are sent unencrypted"), warns, "{log}");
        // DNS rebinding is refused on the loopback interface.
        let mut peer = TcpStream::connect(("127.0.0.1", port)).unwrap();
        peer.write_all(b"GET /healthz HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n").unwrap();
        let mut response = Vec::new();
        peer.read_to_end(&mut response).unwrap();
        let response = http1::Response::new(&response);
        assert_eq!(response.status(), status, "{response:?}");
    }
}

#[test]
fn what_does_not_listen_is_an_error_that_names_the_descriptor() {
    let dir = tempfile::tempdir().unwrap();
    let (listener, address) = listener();
    let connected = TcpStream::connect(address).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    let unix = UnixListener::bind(dir.path().join("movies.sock")).unwrap();
    let file = File::create(dir.path().join("file")).unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (calls, _) = self::listener();
    for (sockets, names, parts) in [
        (vec![udp.into()], "a", ["descriptor 3", "not a stream socket", "ListenStream="]),
        (vec![file.into()], "a", ["descriptor 3", "not a stream socket", "ListenStream="]),
        (vec![accepted.into()], "a", ["descriptor 3", "does not listen", "Accept=no"]),
        (
            vec![calls.into(), unix.into()],
            "a:metrics",
            ["descriptor 4", "Unix socket", "IP address and a port"],
        ),
        (
            vec![listener.into(), connected.into()],
            "a:b",
            ["several sockets for calls", "one ListenStream=", "FileDescriptorName=metrics"],
        ),
    ] {
        let mut command = passing(sockets, names, "$$");
        let (status, _, stderr) = outcome(&mut command);
        assert_eq!(status.code(), Some(1), "{stderr}");
        assert!(stderr.starts_with("error: ") && stderr.trim_end().lines().count() == 1, "{stderr}");
        for part in parts {
            assert!(stderr.contains(part), "{part:?} is missing: {stderr}");
        }
    }
}

#[test]
fn a_restart_refuses_no_connection_and_every_call_succeeds() {
    let (listener, address) = listener();
    let (is_over, calls) = (AtomicBool::new(false), AtomicUsize::new(0));
    let wait_for_calls = || {
        let (target, end) = (calls.load(Ordering::Relaxed) + 20, Instant::now() + TIMEOUT);
        while calls.load(Ordering::Relaxed) < target {
            assert!(Instant::now() < end, "no call succeeds");
            thread::sleep(Duration::from_millis(10));
        }
    };
    let start = || Service::run(&mut passing_one(listener.try_clone().unwrap()));
    let mut service = start();
    thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    TcpStream::connect(address).expect("a connection is refused");
                    block_on(call_until_it_succeeds(address));
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..rounds() {
            wait_for_calls();
            service.signal("TERM");
            assert!(block_on(service.wait()).success());
            service = start();
        }
        wait_for_calls();
        is_over.store(true, Ordering::Relaxed);
    });
}

/// Makes a call on a connection of its own. Tries again if the service stops before it takes the call.
async fn call_until_it_succeeds(address: SocketAddr) {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let attempts = async {
        loop {
            if let Ok(channel) = endpoint.connect().await
                && MovieClient::new(channel).get_movie_by_id(MovieId::default()).await.is_ok()
            {
                return;
            }
        }
    };
    tokio::time::timeout(TIMEOUT, attempts).await.expect("a call does not succeed");
}

#[test]
fn the_program_of_systemd_passes_its_socket() {
    const PROGRAM: &str = "systemd-socket-activate";
    if Command::new(PROGRAM).arg("--version").output().is_err() {
        return skip("systemd-socket-activate (Debian: systemd) is missing");
    }
    let (listener, address) = listener();
    drop(listener);
    let service = process::command(&database("movies.json"));
    let mut command = Command::new(PROGRAM);
    command.arg(format!("--listen={address}")).arg("--setenv=MOVIE_LOG_FORMAT=text");
    command.arg(service.get_program()).args(service.get_args());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    // The first connection starts the service.
    let connecting = thread::spawn(move || {
        let end = Instant::now() + TIMEOUT;
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < end, "nobody listens");
            thread::sleep(Duration::from_millis(10));
        }
    });
    let service = Service::run(&mut command);
    connecting.join().unwrap();
    assert_eq!(service.address, address);
    ordinary_call(address);
}
