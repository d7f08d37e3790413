//! The way of a call: an address in turn, the caller's token, a deadline, and repetitions within a budget.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use movie_proto::catalog::v1::movie_catalog_client::MovieCatalogClient;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_stream::Stream;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_types::StatusExt;
use tower::retry::budget::{Budget, TpsBudget};
use tracing::debug;

use crate::channel::{Channels, Peer};
use crate::error::{is_cut, never_left};
use crate::{Config, Error, Retry, Token};

/// As large as a message of an answer may be: a batch is at most 4,000,000 bytes, and a page about as much.
const MOST_RECEIVED: usize = 64 << 20;

/// What arrives one by one. Dropping it ends the call.
pub type Items<T> = Pin<Box<dyn Stream<Item = Result<T, Error>> + Send>>;

/// Whether a call that was lost may be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It changes nothing, or the same however often it is made.
    Safe,
    /// Only if it has not left.
    Never,
}

/// Makes calls.
pub(crate) struct Caller {
    channels: Channels,
    token: Option<Token>,
    deadline: Duration,
    retry: Retry,
    budget: TpsBudget,
}

/// The messages of a stream, as they arrive.
pub(crate) struct Messages<T> {
    address: String,
    stream: Streaming<T>,
    patience: Option<Duration>,
}

/// An answer and who gave it.
struct Answer<T> {
    address: String,
    message: T,
}

impl Caller {
    pub(crate) fn new(config: &Config) -> Result<Self, Error> {
        // Repetitions: a fifth of the calls of ten seconds, and one a second beside.
        let budget = TpsBudget::new(Duration::from_secs(10), 1, 0.2);
        let channels = Channels::new(config)?;
        let token = config.token.clone();
        Ok(Self { channels, token, deadline: config.deadline, retry: config.retry.clone(), budget })
    }

    /// Makes a call that has one answer.
    pub(crate) async fn unary<M, T, F>(
        &self,
        repeat: Repeat,
        message: M,
        send: impl Fn(Channel, Request<M>) -> F,
    ) -> Result<T, Error>
    where
        M: Clone,
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let send = |channel, mut request: Request<M>, deadline: Instant| {
            // The service gives up when we do.
            request.set_timeout(deadline.saturating_duration_since(Instant::now()));
            send(channel, request)
        };
        self.call(repeat, message, send).await.map(|answer| answer.message)
    }

    /// Makes a call that is answered by a stream, each message of which may take as long as a call, or for ever.
    pub(crate) async fn stream<M, T, F>(
        &self,
        repeat: Repeat,
        message: M,
        is_endless: bool,
        send: impl Fn(Channel, Request<M>) -> F,
    ) -> Result<Messages<T>, Error>
    where
        M: Clone,
        F: Future<Output = Result<Response<Streaming<T>>, Status>>,
    {
        let Answer { address, message: stream } =
            self.call(repeat, message, |channel, request, _| send(channel, request)).await?;
        Ok(Messages { address, stream, patience: (!is_endless).then_some(self.deadline) })
    }

    async fn call<M, T, F>(
        &self,
        repeat: Repeat,
        message: M,
        send: impl Fn(Channel, Request<M>, Instant) -> F,
    ) -> Result<Answer<T>, Error>
    where
        M: Clone,
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let deadline = Instant::now() + self.deadline;
        self.budget.deposit();
        let mut tried = 0;
        loop {
            tried += 1;
            let (status, peer) = match self.ask(&message, &send, deadline).await? {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            let error = self.failure(&status, &peer);
            let pause = self.retry.pause(tried).max(wished(&status));
            let in_time = Instant::now() + pause < deadline;
            let may_repeat = may_repeat(repeat, &status) && tried < self.retry.tries && in_time;
            if !may_repeat || !self.budget.withdraw() {
                return Err(error);
            }
            debug!("{error}; again in {pause:?}");
            sleep(pause).await;
        }
    }

    /// Asks the peer whose turn it is. That one cannot be reached is no reason to wait while another may be: then these are
    /// asked. Returns the answer, or the status of the last of them.
    async fn ask<M, T, F>(
        &self,
        message: &M,
        send: &impl Fn(Channel, Request<M>, Instant) -> F,
        deadline: Instant,
    ) -> Result<Result<Answer<T>, (Status, Arc<Peer>)>, Error>
    where
        M: Clone,
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let began = Instant::now();
        let late = |address| Error::DeadlineExceeded { address, after: self.deadline };
        let mut others = None;
        loop {
            let peer = timeout_at(deadline, self.channels.pick()).await;
            let peer = peer.map_err(|_| late(self.channels.name()))??;
            let address = peer.name.clone();
            let mut request = Request::new(message.clone());
            if let Some(token) = &self.token {
                request.metadata_mut().insert("authorization", token.value().clone());
            }
            let status = match timeout_at(deadline, send(peer.channel.clone(), request, deadline)).await {
                Ok(Ok(response)) => {
                    peer.note(true);
                    debug!("first answer from {address} in {:?}", began.elapsed());
                    return Ok(Ok(Answer { address, message: response.into_inner() }));
                }
                Ok(Err(status)) => status,
                Err(_) => return Err(late(address)),
            };
            let is_reached = never_left(&status).is_none();
            peer.note(is_reached);
            if is_reached {
                return Ok(Err((status, peer)));
            }
            let others = others.get_or_insert_with(|| self.channels.count());
            *others = others.saturating_sub(1);
            if *others == 0 {
                self.channels.doubt();
                return Ok(Err((status, peer)));
            }
        }
    }

    /// Reads how a call to a peer has failed.
    fn failure(&self, status: &Status, peer: &Peer) -> Error {
        let mut error = Error::of(status, &peer.name, self.deadline);
        if let Error::Unavailable { message, .. } = &mut error
            && is_cut(status)
            && let Some(reason) = peer.broken.get()
        {
            *message = reason;
        }
        error
    }

    /// Returns how long a call may take.
    pub(crate) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Returns the addresses as people know them.
    pub(crate) fn name(&self) -> String {
        self.channels.name()
    }

    /// Returns the pause before a stream that was cut is asked for again.
    pub(crate) fn pause(&self, tried: u32) -> Duration {
        self.retry.pause(tried)
    }
}

impl<T> Messages<T> {
    /// Returns the next message, `None` after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<T>, Error> {
        let next = match self.patience {
            None => Ok(self.stream.message().await),
            Some(patience) => timeout(patience, self.stream.message()).await,
        };
        let after = self.patience.unwrap_or_default();
        match next {
            Ok(next) => next.map_err(|status| Error::of(&status, &self.address, after)),
            Err(_) => Err(Error::DeadlineExceeded { address: self.address.clone(), after }),
        }
    }
}

/// Returns the stub of the catalogue's contract.
pub(crate) fn catalog(channel: Channel) -> MovieCatalogClient<Channel> {
    MovieCatalogClient::new(channel).max_decoding_message_size(MOST_RECEIVED)
}

/// Returns whether a call that ended so may be made again.
fn may_repeat(repeat: Repeat, status: &Status) -> bool {
    let is_gone = status.code() == Code::Unavailable || is_cut(status);
    never_left(status).is_some() || (repeat == Repeat::Safe && is_gone)
}

/// Returns how long the service asks callers to wait.
fn wished(status: &Status) -> Duration {
    status.get_details_retry_info().and_then(|info| info.retry_delay).unwrap_or_default()
}

impl Retry {
    /// Returns the pause after so many tries.
    fn pause(&self, tried: u32) -> Duration {
        let doubled = self.first_pause.saturating_mul(1 << tried.saturating_sub(1).min(20));
        // Without chance, a half is as good as any.
        let chance = getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX));
        doubled.min(self.longest_pause).mul_f64(0.5 + chance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_differ_by_chance() {
        let retry = Retry::default();
        for (tried, expected) in [(1, 100), (2, 200), (3, 400), (6, 2000), (60, 2000)] {
            let expected = Duration::from_millis(expected);
            let pauses: Vec<_> = (0..50).map(|_| retry.pause(tried)).collect();
            assert!(
                pauses.iter().all(|pause| (expected / 2..=expected * 3 / 2).contains(pause)),
                "{pauses:?}"
            );
            assert!(pauses.iter().any(|pause| *pause != pauses[0]), "no chance: {pauses:?}");
        }
    }

    #[test]
    fn what_is_not_safe_to_repeat_is_never_repeated() {
        let unavailable = Status::unavailable("");
        assert!(may_repeat(Repeat::Safe, &unavailable) && !may_repeat(Repeat::Never, &unavailable));
        for status in [Status::internal(""), Status::resource_exhausted(""), Status::deadline_exceeded("")] {
            assert!(!may_repeat(Repeat::Safe, &status), "{status}");
        }
    }
}
