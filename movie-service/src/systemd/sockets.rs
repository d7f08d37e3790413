//! Sockets that the service manager has opened (`sd_listen_fds(3)`, `systemd.socket(5)`).

use std::env;
use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use anyhow::{Context, bail, ensure};
use listenfd::ListenFd;
use socket2::SockRef;

/// The first descriptor that is passed, `SD_LISTEN_FDS_START`.
const FIRST_DESCRIPTOR: usize = 3;

/// Name of the socket for metrics, in `FileDescriptorName=` of its unit.
const METRICS_NAME: &str = "metrics";

/// Listening sockets from the service manager.
#[derive(Debug, Default)]
pub struct Sockets {
    /// For calls, in place of `--listen`.
    pub calls: Option<Socket>,
    /// For metrics, in place of `--metrics`.
    pub metrics: Option<TcpListener>,
}

/// A listening socket.
#[derive(Debug)]
pub enum Socket {
    /// A TCP socket.
    Tcp(TcpListener),
    /// A Unix socket. The service manager owns its path.
    Unix(UnixListener),
}

/// What a passed socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Calls,
    Metrics,
}

/// Takes the sockets that are passed to this process. Unsets `LISTEN_PID` and `LISTEN_FDS`, without which
/// `LISTEN_FDNAMES` means nothing, and keeps the sockets from child processes.
///
/// Must be called before any thread is started, because it changes the environment.
///
/// # Errors
///
/// If a descriptor is not a listening stream socket, or there are several for the same purpose.
pub fn take() -> anyhow::Result<Sockets> {
    // The library takes sockets without this variable, too. With another process in it, they are not for this one.
    if env::var("LISTEN_PID").is_ok_and(|pid| pid.parse() == Ok(std::process::id())) {
        let count = env::var("LISTEN_FDS").unwrap_or_default();
        let purposes = purposes(&count, &env::var("LISTEN_FDNAMES").unwrap_or_default())?;
        take_all(&mut ListenFd::from_env(), &purposes)
    } else {
        Ok(Sockets::default())
    }
}

/// Returns what each of `count` sockets is for. `names` has their names, separated by colons, or is empty.
fn purposes(count: &str, names: &str) -> anyhow::Result<Vec<Purpose>> {
    let count: usize = count.parse().with_context(|| {
        format!("LISTEN_FDS is `{count}`, expected the number of sockets that systemd passes")
    })?;
    let mut names = names.split(':');
    let mut purposes = Vec::new();
    for _ in 0..count {
        let purpose = if names.next() == Some(METRICS_NAME) { Purpose::Metrics } else { Purpose::Calls };
        ensure!(
            !purposes.contains(&purpose),
            "systemd passes several sockets for {}, expected one; keep one ListenStream= in the socket unit, and name a \
             socket for metrics with FileDescriptorName={METRICS_NAME} in a unit of its own",
            match purpose {
                Purpose::Calls => "calls",
                Purpose::Metrics => "metrics",
            }
        );
        purposes.push(purpose);
    }
    Ok(purposes)
}

fn take_all(passed: &mut ListenFd, purposes: &[Purpose]) -> anyhow::Result<Sockets> {
    let mut sockets = Sockets::default();
    for (index, purpose) in purposes.iter().enumerate() {
        let descriptor = FIRST_DESCRIPTOR + index;
        let socket = take_listening(passed, index).with_context(|| {
            format!(
                "cannot listen on the file descriptor {descriptor} that systemd passes; use ListenStream= and Accept=no \
                 in the socket unit"
            )
        })?;
        match (purpose, socket) {
            (Purpose::Calls, socket) => sockets.calls = Some(socket),
            (Purpose::Metrics, Socket::Tcp(socket)) => sockets.metrics = Some(socket),
            (Purpose::Metrics, Socket::Unix(_)) => bail!(
                "cannot serve metrics on the file descriptor {descriptor} that systemd passes: it is a Unix socket; use \
                 ListenStream= with an IP address and a port in the socket unit"
            ),
        }
    }
    Ok(sockets)
}

/// Takes the socket at an index.
///
/// # Errors
///
/// If it is not a stream socket over TCP or Unix, or does not listen.
fn take_listening(passed: &mut ListenFd, index: usize) -> io::Result<Socket> {
    let missing = || io::Error::other("it is missing");
    let socket = match passed.take_tcp_listener(index) {
        Ok(socket) => Socket::Tcp(socket.ok_or_else(missing)?),
        Err(_) => match passed.take_unix_listener(index) {
            Ok(socket) => Socket::Unix(socket.ok_or_else(missing)?),
            Err(_) => return Err(io::Error::other("it is not a stream socket over TCP or Unix")),
        },
    };
    let listens = match &socket {
        Socket::Tcp(socket) => SockRef::from(socket).is_listener(),
        Socket::Unix(socket) => SockRef::from(socket).is_listener(),
    };
    if listens? { Ok(socket) } else { Err(io::Error::other("it does not listen")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_for_calls_unless_it_is_named_metrics() {
        let purposes = |count, names| purposes(count, names).unwrap();
        assert_eq!(purposes("0", ""), []);
        assert_eq!(purposes("1", ""), [Purpose::Calls]);
        assert_eq!(purposes("1", "movie-service.socket"), [Purpose::Calls]);
        assert_eq!(purposes("2", "unknown:metrics"), [Purpose::Calls, Purpose::Metrics]);
        assert_eq!(purposes("2", "metrics:movie-service.socket"), [Purpose::Metrics, Purpose::Calls]);
        assert_eq!(purposes("2", "metrics"), [Purpose::Metrics, Purpose::Calls]);
    }

    #[test]
    fn several_sockets_for_the_same_purpose_are_refused_with_a_remedy() {
        for (count, names, purpose) in
            [("2", "", "calls"), ("3", "a:metrics:b", "calls"), ("2", "metrics:metrics", "metrics")]
        {
            let error = purposes(count, names).unwrap_err().to_string();
            assert!(error.starts_with(&format!("systemd passes several sockets for {purpose},")), "{error}");
            assert!(error.contains("FileDescriptorName=metrics"), "{error}");
        }
    }

    #[test]
    fn a_count_that_is_no_number_is_refused() {
        for count in ["", "-1", "one"] {
            let error = purposes(count, "").unwrap_err().to_string();
            assert!(error.starts_with(&format!("LISTEN_FDS is `{count}`")), "{error}");
        }
    }
}
