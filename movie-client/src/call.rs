//! The way of a call: an address in turn, the caller's token, a deadline, and repetitions within a budget.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use movie_proto::catalog::v1::movie_catalog_client::MovieCatalogClient;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_stream::Stream;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_types::StatusExt;
use tower::retry::budget::{Budget, TpsBudget};
use tracing::debug;

use crate::channel::{Channel, Channels, Link, Peer};
use crate::error::{is_cut, never_left};
use crate::{Config, Error, Retry, Token};

/// A deadline beyond which there is none: clocks and the header for it have their limits.
const LONGEST: Duration = Duration::from_hours(24 * 365 * 10);

/// As large as a message of an answer may be: a batch is at most 4,000,000 bytes, and a page about as much.
const MOST_RECEIVED: usize = 64 << 20;

/// What arrives one by one. Dropping it ends the call.
pub type Items<T> = Pin<Box<dyn Stream<Item = Result<T, Error>> + Send>>;

/// Reasons by which a service says that its store has not taken a write.
const NOT_WRITTEN: [&str; 2] = ["STORE_UNAVAILABLE", "STORE_READ_ONLY"];

/// Whether a call that was lost may be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It changes nothing, or the same however often it is made.
    Safe,
    /// Only if it has not left, or the service says that nothing was written.
    Never,
}

/// Makes calls.
pub(crate) struct Caller {
    channels: Arc<Channels>,
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
    peer: Arc<Peer>,
    message: T,
}

impl Caller {
    pub(crate) fn new(config: &Config) -> Result<Self, Error> {
        // Repetitions: a fifth of the calls of ten seconds, and one a second beside.
        let budget = TpsBudget::new(Duration::from_secs(10), 1, 0.2);
        let channels = Arc::new(Channels::new(config)?);
        let token = config.token.clone();
        Ok(Self {
            channels,
            token,
            deadline: config.deadline.min(LONGEST),
            retry: config.retry.clone(),
            budget,
        })
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
        self.unary_at(None, repeat, message, send).await.map(|(answer, _)| answer)
    }

    /// Makes a call that has one answer, if it can to the peer that answered another one. Returns who has answered, too.
    pub(crate) async fn unary_at<M, T, F>(
        &self,
        preferred: Option<&Arc<Peer>>,
        repeat: Repeat,
        message: M,
        send: impl Fn(Channel, Request<M>) -> F,
    ) -> Result<(T, Arc<Peer>), Error>
    where
        M: Clone,
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let send = |channel, mut request: Request<M>, deadline: Instant| {
            // The service gives up when we do.
            request.set_timeout(deadline.saturating_duration_since(Instant::now()));
            send(channel, request)
        };
        let answer = self.call(repeat, preferred, message, send).await?;
        Ok((answer.message, answer.peer))
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
        let send = |channel, request, _| send(channel, request);
        let Answer { peer, message: stream } = self.call(repeat, None, message, send).await?;
        let patience = (!is_endless).then_some(self.deadline);
        Ok(Messages { address: peer.name.clone(), stream, patience })
    }

    async fn call<M, T, F>(
        &self,
        repeat: Repeat,
        preferred: Option<&Arc<Peer>>,
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
        let mut last: Option<Error> = None;
        loop {
            tried += 1;
            // A call may take long, and its caller's memory need not have room for all of it.
            let failed = match Box::pin(self.ask(preferred, &message, &send, deadline)).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            // That nobody could be reached says more than that there was no time left to try again.
            if matches!(failed.error, Error::DeadlineExceeded { .. }) && !failed.has_left {
                return Err(last.unwrap_or(failed.error));
            }
            let pause = self.retry.pause(tried).max(failed.wish);
            let in_time = pause < deadline.saturating_duration_since(Instant::now());
            if !failed.may_repeat(repeat) || tried >= self.retry.tries || !in_time || !self.budget.withdraw()
            {
                return Err(failed.error);
            }
            debug!("{}; again in {pause:.1?}", failed.error);
            self.channels.doubt();
            sleep(pause).await;
            last = Some(failed.error).filter(|_| !failed.has_left);
        }
    }

    /// Makes a call once, to the peer whose turn it is, or again where a connection turns out to be gone.
    async fn ask<M, T, F>(
        &self,
        preferred: Option<&Arc<Peer>>,
        message: &M,
        send: &impl Fn(Channel, Request<M>, Instant) -> F,
        deadline: Instant,
    ) -> Result<Answer<T>, Failed>
    where
        M: Clone,
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let began = Instant::now();
        let late = |address| Error::DeadlineExceeded { address, after: self.deadline };
        let mut gone = 0;
        loop {
            let picked = timeout_at(deadline, self.channels.pick(preferred)).await;
            let picked = picked.unwrap_or_else(|_| Err(late(self.channels.name())));
            let (peer, link) = picked.map_err(Failed::unsent)?;
            let mut request = Request::new(message.clone());
            if let Some(token) = &self.token {
                request.metadata_mut().insert("authorization", token.value().clone());
            }
            let status = match timeout_at(deadline, send(link.channel.clone(), request, deadline)).await {
                Ok(Ok(response)) => {
                    debug!("first answer from {} in {:.1?}", peer.name, began.elapsed());
                    return Ok(Answer { peer, message: response.into_inner() });
                }
                Ok(Err(status)) => status,
                Err(_) => {
                    peer.suspect(&link);
                    let error = late(peer.name.clone());
                    let wish = Duration::ZERO;
                    return Err(Failed { error, has_left: true, may_be_done: true, is_gone: false, wish });
                }
            };
            let error = self.failure(&status, &peer, &link);
            if matches!(error, Error::DeadlineExceeded { .. }) {
                peer.suspect(&link);
            } else if never_left(&status) || is_cut(&status) {
                peer.lost(&link);
            }
            if !never_left(&status) {
                let is_gone = matches!(error, Error::Unavailable { .. } | Error::OutcomeUnknown { .. });
                let (may_be_done, wish) = (!is_not_written(&status), wished(&status));
                return Err(Failed { error, has_left: true, may_be_done, is_gone, wish });
            }
            debug!("{error}; the connection was gone");
            gone += 1;
            if gone > self.channels.count() {
                return Err(Failed::unsent(error));
            }
        }
    }

    /// Reads how a call through a connection has failed.
    fn failure(&self, status: &Status, peer: &Peer, link: &Link) -> Error {
        let error = Error::of(status, &peer.name, self.deadline);
        match (error, link.broken.get()) {
            (Error::Unavailable { address, .. } | Error::Unreachable { address, .. }, Some(why))
                if never_left(status) || is_cut(status) =>
            {
                let message = why.text;
                if why.is_about_certificate {
                    Error::Unauthenticated { address, message }
                } else {
                    Error::Unavailable { address, message }
                }
            }
            (error, _) => error,
        }
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
            Err(_) => Err(self.late(after)),
        }
    }

    /// Says that the next message has not come within this time.
    pub(crate) fn late(&self, after: Duration) -> Error {
        Error::DeadlineExceeded { address: self.address.clone(), after }
    }
}

/// Returns the stub of the catalogue's contract.
pub(crate) fn catalog(channel: Channel) -> MovieCatalogClient<Channel> {
    MovieCatalogClient::new(channel).max_decoding_message_size(MOST_RECEIVED)
}

/// How a call failed.
struct Failed {
    error: Error,
    /// Whether the peer may have got it.
    has_left: bool,
    /// Whether the peer may have done it.
    may_be_done: bool,
    /// Whether the service was not there for it.
    is_gone: bool,
    /// How long the service asks callers to wait.
    wish: Duration,
}

impl Failed {
    /// Of a call that no peer has got.
    fn unsent(error: Error) -> Self {
        let is_gone = error.is_temporary();
        Self { error, has_left: false, may_be_done: false, is_gone, wish: Duration::ZERO }
    }

    /// Returns whether the call may be made again.
    fn may_repeat(&self, repeat: Repeat) -> bool {
        self.is_gone && (repeat == Repeat::Safe || !self.may_be_done)
    }
}

/// Returns whether the service says that nothing was written.
fn is_not_written(status: &Status) -> bool {
    status.code() == Code::Unavailable
        && status.get_details_error_info().is_some_and(|info| NOT_WRITTEN.contains(&info.reason.as_str()))
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
    fn what_is_not_safe_to_repeat_is_repeated_only_if_it_cannot_be_done() {
        let failed = |may_be_done, is_gone| {
            let error = Error::Unavailable { address: String::new(), message: String::new() };
            Failed { error, has_left: true, may_be_done, is_gone, wish: Duration::ZERO }
        };
        for (may_be_done, is_gone, safe, never) in
            [(true, true, true, false), (false, true, true, true), (true, false, false, false)]
        {
            let failed = failed(may_be_done, is_gone);
            assert_eq!((failed.may_repeat(Repeat::Safe), failed.may_repeat(Repeat::Never)), (safe, never));
        }
    }
}
