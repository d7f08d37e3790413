//! Opens connections: name resolution, TCP or Unix socket, TLS, HTTP/2.

use std::fmt;
use std::future::ready;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::Uri;
use http::uri::Authority;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout};
use tonic::transport::Endpoint;
use tower::util::BoxCloneSyncService;
use tower::{ServiceExt, service_fn};
use tracing::debug;

use super::close_reason::{CloseReasonCell, MonitoredIo};
use super::tls::{self, Encryption};
use super::{Channel, not_grpc};
use crate::address::{AddressKind, Host};
use crate::error::root_cause;
use crate::{Address, Config, Error, Resolver};

/// HTTP/2 flow-control window of a stream. A page of a list fits into it.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;

/// HTTP/2 flow-control window of a connection. Streams that are not read must not block other calls.
const CONNECTION_WINDOW_BYTES: u32 = 64 << 20;

/// Largest header list of a response. The trailers contain the details of an error.
const MAX_HEADER_LIST_BYTES: u32 = 64 << 10;

/// Opens connections.
pub(super) struct Connector {
    encryption: Option<Encryption>,
    connect_timeout: Duration,
    keep_alive: Duration,
}

/// A resolved address of a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Target {
    Tcp { host: Host, address: SocketAddr },
    Unix(PathBuf),
}

/// A byte stream.
trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

impl Connector {
    pub(super) fn new(config: &Config) -> Result<Self, Error> {
        let is_tls = config.addresses.iter().any(Address::is_tls);
        Ok(Self {
            encryption: is_tls.then(|| Encryption::new(&config.tls)).transpose()?,
            connect_timeout: config.connect_timeout,
            keep_alive: config.keep_alive,
        })
    }

    /// Opens a connection. Returns a channel over it, and the cell for its close reason.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`] or [`Error::UntrustedCertificate`].
    pub(super) async fn connect(&self, target: &Target) -> Result<(Channel, CloseReasonCell), Error> {
        let connected = timeout(self.connect_timeout, connect(target, self.encryption.as_ref())).await;
        let late = |_| io::Error::other(format!("no connection within {:?}", self.connect_timeout));
        let connected = connected.map_err(late).flatten();
        let io = connected.map_err(|error| {
            debug!("no connection to {target}: {error}");
            tls::explain(&target.to_string(), &error)
        })?;
        let close_reason = CloseReasonCell::default();
        // A second connection is refused: the channel would queue its calls until it is open.
        let once = Mutex::new(Some(TokioIo::new(MonitoredIo::new(io, close_reason.clone()))));
        let once = service_fn(move |_: Uri| {
            let io = once.lock().unwrap_or_else(PoisonError::into_inner).take();
            ready(io.ok_or_else(|| io::Error::other("the connection was lost")))
        });
        // The requests carry the configured host name, whichever IP address they go to.
        let (scheme, authority) = match target {
            Target::Tcp { host, .. } => (if host.tls { "https" } else { "http" }, host.authority()),
            Target::Unix(_) => ("http", "localhost".to_owned()),
        };
        let authority = authority.parse().unwrap_or_else(|_| Authority::from_static("localhost"));
        let origin = Uri::builder().scheme(scheme).authority(authority).path_and_query("/").build();
        let channel = Endpoint::from_static("http://service")
            .origin(origin.unwrap_or_default())
            .http2_keep_alive_interval(self.keep_alive)
            .keep_alive_timeout(self.keep_alive)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .http2_max_header_list_size(MAX_HEADER_LIST_BYTES)
            .connect_with_connector(once)
            .await;
        let unreachable =
            |error| Error::Unreachable { address: target.to_string(), reason: root_cause(&error) };
        let channel = channel.map_err(unreachable)?.map_result(not_grpc::reject);
        Ok((BoxCloneSyncService::new(channel), close_reason))
    }
}

/// Connects a socket, with TLS if the host requires it.
async fn connect(target: &Target, encryption: Option<&Encryption>) -> io::Result<Box<dyn Io>> {
    let started = Instant::now();
    let (host, socket) = match target {
        Target::Unix(path) => {
            let socket = UnixStream::connect(path).await?;
            debug!("connected to {target} in {:.1?}", started.elapsed());
            return Ok(Box::new(socket));
        }
        Target::Tcp { host, address } => (host, TcpStream::connect(address).await),
    };
    let socket = socket?;
    socket.set_nodelay(true)?;
    debug!("connected to {target} in {:.1?}", started.elapsed());
    match encryption.filter(|_| host.tls) {
        None => Ok(Box::new(socket)),
        Some(encryption) => {
            let started = Instant::now();
            let (socket, version) = encryption.encrypt(&host.name, socket).await?;
            debug!("encrypted with {version} in {:.1?}", started.elapsed());
            Ok(Box::new(socket))
        }
    }
}

impl Target {
    /// Resolves an address.
    ///
    /// # Errors
    ///
    /// The error of the resolver.
    pub(super) async fn look_up(address: &Address, resolver: &Resolver) -> Result<Vec<Self>, String> {
        let host = match &address.0 {
            AddressKind::Unix(path) => return Ok(vec![Self::Unix(path.clone())]),
            AddressKind::Host(host) => host,
        };
        let target = |address| Self::Tcp { host: host.clone(), address };
        if let Ok(number) = host.name.parse::<IpAddr>() {
            return Ok(vec![target((number, host.port).into())]);
        }
        let started = Instant::now();
        let found = resolver.look_up(&host.name, host.port).await;
        let found = found
            .inspect_err(|error| debug!("resolved {} in {:.1?}: {error}", host.name, started.elapsed()))
            .map_err(|error| error.to_string())?;
        debug!("resolved {} in {:.1?}: {}", host.name, started.elapsed(), Addresses(&found));
        Ok(found.into_iter().map(target).collect())
    }
}

impl Target {
    /// Returns whether this address resolved to the target.
    pub(super) fn is_of(&self, address: &Address) -> bool {
        match (self, &address.0) {
            (Self::Tcp { host, .. }, AddressKind::Host(of)) => host == of,
            (Self::Unix(path), AddressKind::Unix(of)) => path == of,
            (Self::Tcp { .. }, AddressKind::Unix(_)) | (Self::Unix(_), AddressKind::Host(_)) => false,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp { host, address } if host.name.parse() == Ok(address.ip()) => write!(f, "{address}"),
            Self::Tcp { host, address } => write!(f, "{} ({})", host.authority(), address.ip()),
        }
    }
}

/// Displays IP addresses as a list.
struct Addresses<'a>(&'a [SocketAddr]);

impl fmt::Display for Addresses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, address) in self.0.iter().enumerate() {
            write!(f, "{}{}", if number == 0 { "" } else { ", " }, address.ip())?;
        }
        Ok(())
    }
}
