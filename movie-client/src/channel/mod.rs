//! The connections to a service: one to each address, taken in turns.
//!
//! All addresses are connected to when the first call is made, and calls go to those that are connected, as gRPC's
//! `round_robin` does: one that cannot be reached, or is slow to, holds up no call while there is another.

mod broken;
mod certificate;
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

use self::connect::{Connector, Target};
pub(crate) use self::not_grpc::{NotGrpc, ResponseError};
pub(crate) use self::peer::{Link, Peer};
use crate::{Address, Config, Error, Resolver};

/// How long a call waits for the peer whose turn it is to be connected, when another one is.
const GRACE: Duration = Duration::from_millis(50);

/// One connection, whose responses are gRPC: others are [`ResponseError`].
pub(crate) type Channel = BoxCloneSyncService<Request<Body>, Response<Body>, ResponseError>;

/// The connections to a service.
pub(crate) struct Channels {
    addresses: Vec<Address>,
    connector: Connector,
    resolver: Resolver,
    lookup_interval: Duration,
    /// Whose turn is next.
    turn: AtomicUsize,
    known: Mutex<Known>,
    /// Held by whoever looks up names.
    looking_up: Arc<tokio::sync::Mutex<()>>,
    /// Somebody was connected to, or not.
    changed: Notify,
}

#[derive(Default)]
struct Known {
    peers: Vec<Arc<Peer>>,
    looked_up: Option<Instant>,
}

impl Channels {
    pub(crate) fn new(config: &Config) -> Result<Self, Error> {
        if config.addresses.is_empty() {
            return Err(Error::Config("no address of a service is given".to_owned()));
        }
        Ok(Self {
            addresses: config.addresses.clone(),
            connector: Connector::new(config)?,
            resolver: config.resolver.clone(),
            lookup_interval: config.lookup_interval,
            turn: AtomicUsize::new(0),
            known: Mutex::default(),
            looking_up: Arc::default(),
            changed: Notify::new(),
        })
    }

    /// Returns the addresses as people know them.
    pub(crate) fn name(&self) -> String {
        self.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    /// Returns how many peers there are.
    pub(crate) fn count(&self) -> usize {
        self.known().peers.len()
    }

    /// Returns the peer whose turn it is, or `preferred` while that is connected.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`] or [`Error::Untrusted`] if nobody can be reached.
    pub(crate) async fn pick(
        self: &Arc<Self>,
        preferred: Option<&Arc<Peer>>,
    ) -> Result<(Arc<Peer>, Link), Error> {
        if let Some(peer) = preferred
            && let Some((link, _)) = peer.link()
        {
            return Ok((Arc::clone(peer), link));
        }
        self.refresh().await?;
        let mut peers = self.known().peers.clone();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % peers.len().max(1);
        peers.rotate_left(turn);
        // That nobody could be reached lately is no reason not to try.
        let is_hopeless = peers.iter().all(|peer| peer.failure().is_some());
        for peer in peers.iter().filter(|peer| peer.begin(is_hopeless)) {
            self.connect(peer);
        }
        let grace = Instant::now() + GRACE;
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            let first = peers.first().is_some_and(|peer| peer.is_connecting()) && Instant::now() < grace;
            let linked = || peers.iter().filter_map(|peer| Some((peer, peer.link()?)));
            let fit = linked().find(|(_, (_, is_fit))| *is_fit).or_else(|| linked().next());
            match fit {
                Some((peer, (link, _))) if !first => return Ok((Arc::clone(peer), link)),
                Some(_) => drop(timeout_at(grace, changed).await),
                None if peers.iter().any(|peer| peer.is_connecting()) => changed.await,
                None => return Err(self.why(&peers)),
            }
        }
    }

    fn why(&self, peers: &[Arc<Peer>]) -> Error {
        peers.iter().find_map(|peer| peer.failure()).unwrap_or_else(|| Error::Unreachable {
            address: self.name(),
            reason: if peers.is_empty() { "the name has no address" } else { "it hung up" }.to_owned(),
        })
    }

    /// Connects to a peer, whoever waits for it.
    fn connect(self: &Arc<Self>, peer: &Arc<Peer>) {
        let (channels, peer) = (Arc::clone(self), Arc::clone(peer));
        tokio::spawn(async move {
            peer.end(channels.connector.connect(&peer.target).await);
            channels.changed.notify_waiters();
        });
    }

    /// Has names looked up again: nobody could be reached where they have led.
    pub(crate) fn doubt(&self) {
        self.known().looked_up = None;
    }

    /// Looks names up when it is time. Calls wait for that only while nothing is known.
    async fn refresh(self: &Arc<Self>) -> Result<(), Error> {
        let is_fresh =
            |known: &Known| known.looked_up.is_some_and(|then| then.elapsed() < self.lookup_interval);
        let is_known = {
            let known = self.known();
            if is_fresh(&known) {
                return Ok(());
            }
            !known.peers.is_empty()
        };
        if is_known {
            if let Ok(guard) = Arc::clone(&self.looking_up).try_lock_owned() {
                let channels = Arc::clone(self);
                tokio::spawn(async move {
                    // What cannot be looked up stays as it is.
                    drop(channels.look_up().await);
                    drop(guard);
                });
            }
            return Ok(());
        }
        let _guard = self.looking_up.lock().await;
        if is_fresh(&self.known()) { Ok(()) } else { self.look_up().await }
    }

    async fn look_up(&self) -> Result<(), Error> {
        let (mut targets, mut failure) = (Vec::new(), None);
        for address in &self.addresses {
            match Target::look_up(address, &self.resolver).await {
                Ok(found) => targets.extend(found),
                Err(reason) => {
                    failure = Some(Error::Unreachable { address: address.to_string(), reason });
                    // It keeps what it had.
                    let known = self.known();
                    let had =
                        known.peers.iter().map(|peer| &peer.target).filter(|target| target.is_of(address));
                    targets.extend(had.cloned());
                }
            }
        }
        if let Some(failure) = failure.filter(|_| targets.is_empty()) {
            return Err(failure);
        }
        let mut known = self.known();
        let mut seen = HashSet::new();
        targets.retain(|target| seen.insert(target.clone()));
        let old = std::mem::take(&mut known.peers);
        let peer = |target| match old.iter().find(|peer| peer.target == target) {
            Some(peer) => Arc::clone(peer),
            None => Arc::new(Peer::new(target)),
        };
        known.peers = targets.into_iter().map(peer).collect();
        known.looked_up = Some(Instant::now());
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // It is never left half-changed.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
