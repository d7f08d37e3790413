//! A connection: the name is looked up, the socket connected, and what is said encrypted.

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

use super::broken::{Reason, Watched};
use super::tls::{self, Encryption};
use super::{Channel, not_grpc};
use crate::address::{Host, Place};
use crate::error::root_cause;
use crate::{Address, Config, Error, Resolver};

/// How much of an answer the service may send before it has been read. A page of a list comes in one go.
const WINDOW: u32 = 1 << 20;

/// How much of all answers together. Streams that nobody reads must not stop the calls beside them.
const ALL_WINDOWS: u32 = 64 << 20;

/// How much a server may send in headers: the details of an error.
const MOST_HEADERS: u32 = 64 << 10;

/// Connects.
pub(super) struct Connector {
    encryption: Option<Encryption>,
    connect_timeout: Duration,
    keep_alive: Duration,
}

/// One address of a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Target {
    Tcp { host: Host, address: SocketAddr },
    Unix(PathBuf),
}

/// What bytes go through.
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

    /// Connects, and returns a channel over this one connection, with why that breaks.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`] or [`Error::Untrusted`].
    pub(super) async fn connect(&self, target: &Target) -> Result<(Channel, Reason), Error> {
        let connected = timeout(self.connect_timeout, connect(target, self.encryption.as_ref())).await;
        let late = |_| io::Error::other(format!("no connection within {:?}", self.connect_timeout));
        let connected = connected.map_err(late).flatten();
        let io = connected.map_err(|error| {
            debug!("no connection to {target}: {error}");
            tls::explained(&target.to_string(), &error)
        })?;
        let broken = Reason::default();
        // A channel would make another connection when this one is gone, with all its calls waiting in line.
        let once = Mutex::new(Some(TokioIo::new(Watched::new(io, broken.clone()))));
        let once = service_fn(move |_: Uri| {
            let io = once.lock().unwrap_or_else(PoisonError::into_inner).take();
            ready(io.ok_or_else(|| io::Error::other("the connection is gone")))
        });
        // The requests name the host as it was given, whichever of its addresses they go to.
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
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(ALL_WINDOWS)
            .http2_max_header_list_size(MOST_HEADERS)
            .connect_with_connector(once)
            .await;
        let unreachable =
            |error| Error::Unreachable { address: target.to_string(), reason: root_cause(&error) };
        let channel = channel.map_err(unreachable)?.map_result(not_grpc::refused);
        Ok((BoxCloneSyncService::new(channel), broken))
    }
}

/// Connects a socket and encrypts what is said, if it is to be.
async fn connect(target: &Target, encryption: Option<&Encryption>) -> io::Result<Box<dyn Io>> {
    let began = Instant::now();
    let (host, socket) = match target {
        Target::Unix(path) => {
            let socket = UnixStream::connect(path).await?;
            debug!("connected to {target} in {:.1?}", began.elapsed());
            return Ok(Box::new(socket));
        }
        Target::Tcp { host, address } => (host, TcpStream::connect(address).await),
    };
    let socket = socket?;
    socket.set_nodelay(true)?;
    debug!("connected to {target} in {:.1?}", began.elapsed());
    match encryption.filter(|_| host.tls) {
        None => Ok(Box::new(socket)),
        Some(encryption) => {
            let began = Instant::now();
            let (socket, version) = encryption.encrypt(&host.name, socket).await?;
            debug!("encrypted with {version} in {:.1?}", began.elapsed());
            Ok(Box::new(socket))
        }
    }
}

impl Target {
    /// Looks up what is at an address.
    ///
    /// # Errors
    ///
    /// Why it cannot be looked up.
    pub(super) async fn look_up(address: &Address, resolver: &Resolver) -> Result<Vec<Self>, String> {
        let host = match &address.0 {
            Place::Unix(path) => return Ok(vec![Self::Unix(path.clone())]),
            Place::Host(host) => host,
        };
        let target = |address| Self::Tcp { host: host.clone(), address };
        if let Ok(number) = host.name.parse::<IpAddr>() {
            return Ok(vec![target((number, host.port).into())]);
        }
        let began = Instant::now();
        let found = resolver.look_up(&host.name, host.port).await;
        let found = found
            .inspect_err(|error| debug!("looked up {} in {:.1?}: {error}", host.name, began.elapsed()))
            .map_err(|error| error.to_string())?;
        debug!("looked up {} in {:.1?}: {}", host.name, began.elapsed(), Addresses(&found));
        Ok(found.into_iter().map(target).collect())
    }
}

impl Target {
    /// Returns whether it is what this address leads to.
    pub(super) fn is_of(&self, address: &Address) -> bool {
        match (self, &address.0) {
            (Self::Tcp { host, .. }, Place::Host(of)) => host == of,
            (Self::Unix(path), Place::Unix(of)) => path == of,
            (Self::Tcp { .. }, Place::Unix(_)) | (Self::Unix(_), Place::Host(_)) => false,
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

/// Addresses as a list.
struct Addresses<'a>(&'a [SocketAddr]);

impl fmt::Display for Addresses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, address) in self.0.iter().enumerate() {
            write!(f, "{}{}", if number == 0 { "" } else { ", " }, address.ip())?;
        }
        Ok(())
    }
}
