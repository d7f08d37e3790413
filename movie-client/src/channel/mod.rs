//! The connections to a service: one to each address, taken in turns.

mod broken;
mod connect;
mod tls;

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tonic::transport::Channel;

use self::broken::Reason;
use self::connect::{Connector, Target};
use crate::{Address, Config, Error, Resolver};

/// How long a peer that could not be reached is passed over while there are others.
const PASSED_OVER: Duration = Duration::from_secs(5);

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
    looking_up: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    peers: Vec<Arc<Peer>>,
    looked_up: Option<Instant>,
}

/// One address of a service, and the connection to it, which is made when the first call needs it.
pub(crate) struct Peer {
    /// As people know it.
    pub(crate) name: String,
    pub(crate) channel: Channel,
    /// Why the last connection broke.
    pub(crate) broken: Reason,
    target: Target,
    failed: Mutex<Option<Instant>>,
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
            looking_up: tokio::sync::Mutex::default(),
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

    /// Returns the peer whose turn it is, passing over those that could not be reached lately while there are others.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`] if no name has an address.
    pub(crate) async fn pick(&self) -> Result<Arc<Peer>, Error> {
        self.refresh().await?;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let known = self.known();
        let in_turn =
            || (0..known.peers.len()).map(|next| &known.peers[turn.wrapping_add(next) % known.peers.len()]);
        let peer = in_turn().find(|peer| peer.is_healthy()).or_else(|| in_turn().next());
        peer.cloned().ok_or_else(|| Error::Unreachable {
            address: self.name(),
            reason: "the name has no address".to_owned(),
        })
    }

    /// Has names looked up again before the next call: nobody could be reached where they have led.
    pub(crate) fn doubt(&self) {
        self.known().looked_up = None;
    }

    /// Looks names up again when it is time. While one call does that, others go on with what is known.
    async fn refresh(&self) -> Result<(), Error> {
        if self.is_fresh() {
            return Ok(());
        }
        let _guard = match self.looking_up.try_lock() {
            Ok(guard) => guard,
            Err(_) if self.count() > 0 => return Ok(()),
            Err(_) => self.looking_up.lock().await,
        };
        if self.is_fresh() {
            return Ok(());
        }
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
            None => Arc::new(Peer::new(&self.connector, target)),
        };
        known.peers = targets.into_iter().map(peer).collect();
        known.looked_up = Some(Instant::now());
        Ok(())
    }

    fn is_fresh(&self) -> bool {
        self.known().looked_up.is_some_and(|then| then.elapsed() < self.lookup_interval)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // It is never left half-changed.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Peer {
    fn new(connector: &Connector, target: Target) -> Self {
        let broken = Reason::default();
        Self {
            name: target.to_string(),
            channel: connector.channel(&target, &broken),
            broken,
            target,
            failed: Mutex::default(),
        }
    }

    /// Notes whether it could be reached.
    pub(crate) fn note(&self, reached: bool) {
        let mut failed = self.failed();
        // Nearly always it is so already.
        if reached != failed.is_none() {
            *failed = (!reached).then(Instant::now);
        }
    }

    fn is_healthy(&self) -> bool {
        self.failed().is_none_or(|then| then.elapsed() > PASSED_OVER)
    }

    fn failed(&self) -> MutexGuard<'_, Option<Instant>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
