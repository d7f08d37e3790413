//! Listeners: TCP and Unix sockets.

use std::fmt;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::str::FromStr;
use std::task::{Context, Poll};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_rustls::server::TlsStream;

use crate::server::accept::authority_log::AuthorityErrorLogger;

/// Listen backlog; the system may lower it.
const BACKLOG: i32 = 4096;

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An address and port; port 0 picks a free one.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl Address {
    /// Returns whether other machines may connect: not to a loopback address or a Unix socket.
    #[must_use]
    pub fn is_on_network(&self) -> bool {
        match self {
            Self::Tcp(address) => !address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => false,
        }
    }
}

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("unix:") {
            Some("") => Err("expected the path of a socket after `unix:`"),
            Some(path) => Ok(Self::Unix(path.into())),
            None => text.parse().map(Self::Tcp).map_err(|_| {
                "expected an IP address and a port, for example [::]:3001, or 127.0.0.1:3001 for localhost, or unix:PATH"
            }),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A listener. On drop, it removes the Unix socket that it has created.
#[derive(Debug)]
pub struct Listener(Inner);

#[derive(Debug)]
enum Inner {
    Tcp(TcpListener),
    Unix { listener: UnixListener, path: PathBuf, is_removed_on_drop: bool },
}

/// An accepted connection that is not registered with a runtime yet.
pub(crate) enum Accepted {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

/// A connection, registered with the runtime of its worker.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(AuthorityErrorLogger<UnixStream>),
    Tls(Box<TlsStream<Stream>>),
}

impl Listener {
    /// Listens on `address`. An unspecified IPv6 address takes IPv4 connections too, and falls back to the
    /// unspecified IPv4 address on a machine without IPv6. A stale Unix socket is replaced.
    ///
    /// # Errors
    ///
    /// If the operating system refuses, for example because the port is in use.
    pub fn bind(address: &Address) -> io::Result<Self> {
        let tcp = match address {
            Address::Unix(path) => return bind_unix(path),
            Address::Tcp(address) => *address,
        };
        let listener = match bind_tcp(tcp) {
            Err(error) if is_any_ipv6(tcp) && is_without_ipv6(&error) => {
                bind_tcp((Ipv4Addr::UNSPECIFIED, tcp.port()).into())
            }
            bound => bound,
        };
        Ok(Self(Inner::Tcp(listener?)))
    }

    /// Takes a TCP socket that listens already, for example one of systemd.
    ///
    /// # Errors
    ///
    /// If the operating system refuses.
    pub fn from_tcp(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self(Inner::Tcp(TcpListener::from_std(listener)?)))
    }

    /// Takes a Unix socket that listens already, for example one of systemd. Its owner removes it, not this process.
    ///
    /// # Errors
    ///
    /// If the operating system refuses.
    pub fn from_unix(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        // Only for the log. A name in the abstract namespace is no path.
        let path = listener.local_addr()?.as_pathname().unwrap_or(Path::new("(abstract)")).to_owned();
        let listener = UnixListener::from_std(listener)?;
        Ok(Self(Inner::Unix { listener, path, is_removed_on_drop: false }))
    }

    /// Returns the local address.
    ///
    /// # Errors
    ///
    /// If the operating system does not report it.
    pub fn address(&self) -> io::Result<Address> {
        match &self.0 {
            Inner::Tcp(listener) => listener.local_addr().map(Address::Tcp),
            Inner::Unix { path, .. } => Ok(Address::Unix(path.clone())),
        }
    }

    /// Returns whether connections can only come over the loopback interface. Not so for a Unix socket: who may use it
    /// depends on its permissions.
    pub(crate) fn is_loopback(&self) -> bool {
        matches!(self.address(), Ok(Address::Tcp(address)) if address.ip().to_canonical().is_loopback())
    }

    /// Accepts a connection; returns the address of the peer, if it has one.
    pub(crate) async fn accept(&self) -> io::Result<(Accepted, Option<IpAddr>)> {
        match &self.0 {
            Inner::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Responses are written as a whole, so Nagle's algorithm would only delay them. Keep-alive detects
                // peers that vanished. Both are optional, so errors are ignored.
                let _ = stream.set_nodelay(true).and_then(|()| SockRef::from(&stream).set_keepalive(true));
                Ok((Accepted::Tcp(stream.into_std()?), Some(peer.ip())))
            }
            Inner::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                Ok((Accepted::Unix(stream.into_std()?), None))
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Inner::Unix { path, is_removed_on_drop: true, .. } = &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Accepted {
    /// Returns the address of the peer, if it has one.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    pub(crate) fn into_stream(self) -> io::Result<Stream> {
        Ok(match self {
            Self::Tcp(stream) => Stream::Tcp(TcpStream::from_std(stream)?),
            Self::Unix(stream) => Stream::Unix(AuthorityErrorLogger::new(UnixStream::from_std(stream)?)),
        })
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if is_any_ipv6(address) {
        // Set explicitly, because the default depends on the system.
        socket.set_only_v6(false)?;
    }
    // A restart must not wait for connections of the previous process in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn bind_unix(path: &Path) -> io::Result<Listener> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    Ok(Listener(Inner::Unix { listener, path: path.to_owned(), is_removed_on_drop: true }))
}

fn is_any_ipv6(address: SocketAddr) -> bool {
    address.is_ipv6() && address.ip().is_unspecified()
}

fn is_without_ipv6(error: &io::Error) -> bool {
    // "Address family not supported" has no `ErrorKind`.
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(libc::EAFNOSUPPORT)
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, out),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, out),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, out),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
