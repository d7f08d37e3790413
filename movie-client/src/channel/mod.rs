//! Connection pool of a service: one connection per resolved address, with round-robin load balancing.
//!
//! The first call connects to all addresses. Calls go to the connected ones, like gRPC's policy `round_robin`: a slow
//! or unreachable address delays no call while another one is connected.

mod certificate;
mod close_reason;
mod connect;
mod not_grpc;
mod peer;
mod tls;
mod verifier;

use std::collections::HashSet;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Request, Response};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use tonic::body::Body;
use tower::util::BoxCloneSyncService;

pub(crate) use self::close_reason::CloseReason;
use self::connect::{Connector, Target};
pub(crate) use self::not_grpc::{NotGrpc, ResponseError};
pub(crate) use self::peer::{Connection, Peer};
use crate::{Address, Config, Error, Resolver};

/// Longest time that a call waits for the next peer to connect while another peer is connected.
const CONNECT_GRACE_PERIOD: Duration = Duration::from_millis(50);

/// One connection. A response that is not gRPC is a [`ResponseError`].
pub(crate) type Channel = BoxCloneSyncService<Request<Body>, Response<Body>, ResponseError>;

/// The connections to a service.
pub(crate) struct ConnectionPool {
    addresses: Vec<Address>,
    connector: Connector,
    resolver: Resolver,
    lookup_interval: Duration,
    /// Index of the next peer.
    turn: AtomicUsize,
    resolved: Mutex<Resolved>,
    /// Held during name resolution.
    lookup_lock: Arc<tokio::sync::Mutex<()>>,
    /// Notified after each attempt to connect.
    changed: Notify,
}

#[derive(Default)]
struct Resolved {
    peers: Vec<Arc<Peer>>,
    resolved_at: Option<Instant>,
}

impl ConnectionPool {
    pub(crate) fn new(config: &Config) -> Result<Self, Error> {
        if config.addresses.is_empty() {
            return Err(Error::Config("no address of the service is given".to_owned()));
        }
        Ok(Self {
            addresses: config.addresses.clone(),
            connector: Connector::new(config)?,
            resolver: config.resolver.clone(),
            lookup_interval: config.lookup_interval,
            turn: AtomicUsize::new(0),
            resolved: Mutex::default(),
            lookup_lock: Arc::default(),
            changed: Notify::new(),
        })
    }

    /// Returns the addresses for messages.
    pub(crate) fn name(&self) -> String {
        self.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    /// Returns the number of peers.
    pub(crate) fn count(&self) -> usize {
        self.resolved().peers.len()
    }

    /// Returns the next peer, or `preferred` while that one is connected.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`] or [`Error::UntrustedCertificate`] if no peer can be reached.
    pub(crate) async fn select(
        self: &Arc<Self>,
        preferred: Option<&Arc<Peer>>,
    ) -> Result<(Arc<Peer>, Connection), Error> {
        if let Some(peer) = preferred
            && let Some((connection, _)) = peer.connection()
        {
            return Ok((Arc::clone(peer), connection));
        }
        self.refresh().await?;
        let mut peers = self.resolved().peers.clone();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % peers.len().max(1);
        peers.rotate_left(turn);
        // If every peer failed recently, all are tried again.
        let all_failed = peers.iter().all(|peer| peer.connect_error().is_some());
        for peer in peers.iter().filter(|peer| peer.start_connecting(all_failed)) {
            self.connect(peer);
        }
        let grace = Instant::now() + CONNECT_GRACE_PERIOD;
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            let waits_for_first =
                peers.first().is_some_and(|peer| peer.is_connecting()) && Instant::now() < grace;
            let connected = || peers.iter().filter_map(|peer| Some((peer, peer.connection()?)));
            let usable = connected().find(|(_, (_, is_usable))| *is_usable).or_else(|| connected().next());
            match usable {
                Some((peer, (connection, _))) if !waits_for_first => {
                    return Ok((Arc::clone(peer), connection));
                }
                Some(_) => drop(timeout_at(grace, changed).await),
                None if peers.iter().any(|peer| peer.is_connecting()) => changed.await,
                None => return Err(self.select_error(&peers)),
            }
        }
    }

    fn select_error(&self, peers: &[Arc<Peer>]) -> Error {
        peers.iter().find_map(|peer| peer.connect_error()).unwrap_or_else(|| Error::Unreachable {
            address: self.name(),
            reason: if peers.is_empty() {
                "the name resolves to no address"
            } else {
                "the server closed the connection"
            }
            .to_owned(),
        })
    }

    /// Connects to a peer in the background.
    fn connect(self: &Arc<Self>, peer: &Arc<Peer>) {
        let (pool, peer) = (Arc::clone(self), Arc::clone(peer));
        tokio::spawn(async move {
            peer.finish_connecting(pool.connector.connect(&peer.target).await);
            pool.changed.notify_waiters();
        });
    }

    /// Makes the next call resolve the names again, because no peer could be reached.
    pub(crate) fn expire_names(&self) {
        self.resolved().resolved_at = None;
    }

    /// Resolves the names if the last resolution is too old. Calls wait only for the first resolution.
    async fn refresh(self: &Arc<Self>) -> Result<(), Error> {
        let is_fresh = |resolved: &Resolved| {
            resolved.resolved_at.is_some_and(|then| then.elapsed() < self.lookup_interval)
        };
        let is_known = {
            let resolved = self.resolved();
            if is_fresh(&resolved) {
                return Ok(());
            }
            !resolved.peers.is_empty()
        };
        if is_known {
            if let Ok(guard) = Arc::clone(&self.lookup_lock).try_lock_owned() {
                let pool = Arc::clone(self);
                tokio::spawn(async move {
                    // After a failed resolution, the previous addresses stay in use.
                    drop(pool.look_up().await);
                    drop(guard);
                });
            }
            return Ok(());
        }
        let _guard = self.lookup_lock.lock().await;
        if is_fresh(&self.resolved()) { Ok(()) } else { self.look_up().await }
    }

    async fn look_up(&self) -> Result<(), Error> {
        let (mut targets, mut failure) = (Vec::new(), None);
        for address in &self.addresses {
            match Target::look_up(address, &self.resolver).await {
                Ok(found) => targets.extend(found),
                Err(reason) => {
                    failure = Some(Error::Unreachable { address: address.to_string(), reason });
                    // The address keeps its previous targets.
                    let resolved = self.resolved();
                    let previous =
                        resolved.peers.iter().map(|peer| &peer.target).filter(|target| target.is_of(address));
                    targets.extend(previous.cloned());
                }
            }
        }
        if let Some(failure) = failure.filter(|_| targets.is_empty()) {
            return Err(failure);
        }
        let mut resolved = self.resolved();
        let mut seen = HashSet::new();
        targets.retain(|target| seen.insert(target.clone()));
        let old = std::mem::take(&mut resolved.peers);
        let peer = |target| match old.iter().find(|peer| peer.target == target) {
            Some(peer) => Arc::clone(peer),
            None => Arc::new(Peer::new(target)),
        };
        resolved.peers = targets.into_iter().map(peer).collect();
        resolved.resolved_at = Some(Instant::now());
        Ok(())
    }

    fn resolved(&self) -> MutexGuard<'_, Resolved> {
        // The value is consistent even if a thread panicked.
        self.resolved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
