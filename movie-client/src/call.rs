//! One call: load balancing, credentials, a deadline, and retries within a budget.

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

use crate::channel::{Channel, CloseReason, Connection, ConnectionPool, Peer};
use crate::error::{is_connection_lost, was_not_sent};
use crate::{Config, Error, RetryPolicy, Token};

/// Longest deadline. Longer ones overflow the header `grpc-timeout` and the clocks.
const MAX_DEADLINE: Duration = Duration::from_hours(24 * 365 * 10);

/// Largest response message. A batch has at most 4,000,000 bytes, and a page about as many.
const MAX_RESPONSE_BYTES: usize = 64 << 20;

/// Stream of response items. Dropping it cancels the call.
pub type ResponseStream<T> = Pin<Box<dyn Stream<Item = Result<T, Error>> + Send>>;

/// Statuses, with their reasons (`google.rpc.ErrorInfo`), by which a service states that it has done nothing.
const UNPROCESSED_REASONS: [(Code, &str); 3] = [
    (Code::ResourceExhausted, "SERVICE_BUSY"),
    (Code::Unavailable, "STORE_UNAVAILABLE"),
    (Code::Unavailable, "STORE_READ_ONLY"),
];

/// Whether a failed call may be retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RetrySafety {
    /// Repeating the call has no further effect.
    Idempotent,
    /// Retry only if the call was not sent, or the service states that it has done nothing.
    UnprocessedOnly,
}

/// Sends calls to the peers of a service.
pub(crate) struct Caller {
    pool: Arc<ConnectionPool>,
    token: Option<Token>,
    deadline: Duration,
    retry: RetryPolicy,
    budget: TpsBudget,
}

/// Response messages of a streaming call.
pub(crate) struct MessageStream<T> {
    address: String,
    stream: Streaming<T>,
    message_timeout: Option<Duration>,
}

/// A response and the peer that sent it.
struct PeerResponse<T> {
    peer: Arc<Peer>,
    message: T,
}

impl Caller {
    pub(crate) fn new(config: &Config) -> Result<Self, Error> {
        // Retry budget: one fifth of the calls of the last ten seconds, and one retry per second in addition.
        let budget = TpsBudget::new(Duration::from_secs(10), 1, 0.2);
        let pool = Arc::new(ConnectionPool::new(config)?);
        let token = config.token.clone();
        Ok(Self {
            pool,
            token,
            deadline: config.deadline.min(MAX_DEADLINE),
            retry: config.retry.clone(),
            budget,
        })
    }

    /// Sends a unary call.
    pub(crate) async fn unary<M, T, F>(
        &self,
        safety: RetrySafety,
        message: M,
        send: impl Fn(Channel, Request<M>) -> F,
    ) -> Result<T, Error>
    where
        M: Clone,
        F: Future<Output = Result<Response<T>, Status>>,
    {
        self.unary_at(None, safety, message, send).await.map(|(response, _)| response)
    }

    /// Sends a unary call, to the preferred peer if it is connected. Also returns the peer that responded.
    pub(crate) async fn unary_at<M, T, F>(
        &self,
        preferred: Option<&Arc<Peer>>,
        safety: RetrySafety,
        message: M,
        send: impl Fn(Channel, Request<M>) -> F,
    ) -> Result<(T, Arc<Peer>), Error>
    where
        M: Clone,
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let send = |channel, mut request: Request<M>, deadline: Instant| {
            // The header `grpc-timeout` lets the service give up at the same time.
            request.set_timeout(deadline.saturating_duration_since(Instant::now()));
            send(channel, request)
        };
        let response = self.call(safety, preferred, message, send).await?;
        Ok((response.message, response.peer))
    }

    /// Sends a server-streaming call. The deadline applies to each message, or only to the first response if
    /// `is_endless`.
    pub(crate) async fn stream<M, T, F>(
        &self,
        safety: RetrySafety,
        message: M,
        is_endless: bool,
        send: impl Fn(Channel, Request<M>) -> F,
    ) -> Result<MessageStream<T>, Error>
    where
        M: Clone,
        F: Future<Output = Result<Response<Streaming<T>>, Status>>,
    {
        let send = |channel, request, _| send(channel, request);
        let PeerResponse { peer, message: stream } = self.call(safety, None, message, send).await?;
        let message_timeout = (!is_endless).then_some(self.deadline);
        Ok(MessageStream { address: peer.name.clone(), stream, message_timeout })
    }

    async fn call<M, T, F>(
        &self,
        safety: RetrySafety,
        preferred: Option<&Arc<Peer>>,
        message: M,
        send: impl Fn(Channel, Request<M>, Instant) -> F,
    ) -> Result<PeerResponse<T>, Error>
    where
        M: Clone,
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let deadline = Instant::now() + self.deadline;
        self.budget.deposit();
        let mut attempts = 0;
        let mut last: Option<Error> = None;
        loop {
            attempts += 1;
            // Boxed, because the future is large.
            let failed = match Box::pin(self.attempt(preferred, &message, &send, deadline)).await {
                Ok(response) => return Ok(response),
                Err(failed) => failed,
            };
            // The previous connection error is more helpful than the expired deadline.
            if matches!(failed.error, Error::DeadlineExceeded { .. }) && !failed.was_sent {
                return Err(last.unwrap_or(failed.error));
            }
            // In addition to the delay, so that refused callers do not return all at once.
            let backoff = self.retry.backoff(attempts).saturating_add(failed.retry_delay);
            let in_time = backoff < deadline.saturating_duration_since(Instant::now());
            if !failed.may_retry(safety)
                || attempts >= self.retry.max_attempts
                || !in_time
                || !self.budget.withdraw()
            {
                return Err(failed.error);
            }
            debug!("{}; retrying in {backoff:.1?}", failed.error);
            self.pool.expire_names();
            sleep(backoff).await;
            last = Some(failed.error).filter(|_| !failed.was_sent);
        }
    }

    /// Sends a call once to the next peer. A call whose connection was lost before it was sent is sent again at once.
    async fn attempt<M, T, F>(
        &self,
        preferred: Option<&Arc<Peer>>,
        message: &M,
        send: &impl Fn(Channel, Request<M>, Instant) -> F,
        deadline: Instant,
    ) -> Result<PeerResponse<T>, FailedAttempt>
    where
        M: Clone,
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let started = Instant::now();
        let deadline_exceeded = |address| Error::DeadlineExceeded { address, after: self.deadline };
        let mut lost_connections = 0;
        loop {
            let selected = timeout_at(deadline, self.pool.select(preferred)).await;
            let selected = selected.unwrap_or_else(|_| Err(deadline_exceeded(self.pool.name())));
            let (peer, connection) = selected.map_err(FailedAttempt::unsent)?;
            let mut request = Request::new(message.clone());
            if let Some(token) = &self.token {
                request.metadata_mut().insert("authorization", token.value().clone());
            }
            let call = send(connection.channel.clone(), request, deadline);
            let status = match timeout_at(deadline, call).await {
                Ok(Ok(response)) => {
                    debug!("first response from {} in {:.1?}", peer.name, started.elapsed());
                    return Ok(PeerResponse { peer, message: response.into_inner() });
                }
                Ok(Err(status)) => status,
                Err(_) => {
                    peer.mark_unresponsive(&connection);
                    let error = deadline_exceeded(peer.name.clone());
                    let retry_delay = Duration::ZERO;
                    return Err(FailedAttempt {
                        error,
                        was_sent: true,
                        may_be_processed: true,
                        may_succeed_later: false,
                        retry_delay,
                    });
                }
            };
            let error = self.call_error(&status, &peer, &connection);
            if matches!(error, Error::DeadlineExceeded { .. }) {
                peer.mark_unresponsive(&connection);
            } else if was_not_sent(&status) || is_connection_lost(&status) {
                peer.mark_lost(&connection);
            }
            if !was_not_sent(&status) {
                let retry_info = status.get_details_retry_info();
                // Without a `RetryInfo`, it may be a quota that lasts.
                let may_succeed_later =
                    matches!(error, Error::Unavailable { .. } | Error::OutcomeUnknown { .. })
                        || matches!(error, Error::ResourceExhausted { .. }) && retry_info.is_some();
                return Err(FailedAttempt {
                    error,
                    was_sent: true,
                    may_be_processed: !is_unprocessed(&status),
                    may_succeed_later,
                    retry_delay: retry_info.and_then(|info| info.retry_delay).unwrap_or_default(),
                });
            }
            debug!("{error}; the connection was lost");
            lost_connections += 1;
            // A lasting error concerns one address: the others are tried, each once.
            let max_lost = if error.is_temporary() { self.pool.count() } else { self.pool.count() - 1 };
            if lost_connections > max_lost {
                return Err(FailedAttempt::unsent(error));
            }
        }
    }

    /// Returns the error of a call over this connection.
    fn call_error(&self, status: &Status, peer: &Peer, connection: &Connection) -> Error {
        let error = Error::from_status(status, &peer.name, self.deadline);
        match (error, connection.close_reason.get()) {
            (Error::Unavailable { address, .. } | Error::Unreachable { address, .. }, Some(reason))
                if was_not_sent(status) || is_connection_lost(status) =>
            {
                match reason {
                    CloseReason::CertificateRefused(message) => Error::Unauthenticated { address, message },
                    CloseReason::ServerUsesTls => Error::TlsMismatch { address, server_uses_tls: true },
                    CloseReason::ServerUsesAnotherProtocol(reason) => {
                        Error::NotGrpc { address, reason: reason.to_owned() }
                    }
                    CloseReason::Other(message) => Error::Unavailable { address, message },
                }
            }
            (error, _) => error,
        }
    }

    /// Returns the deadline of a call.
    pub(crate) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Returns the addresses for messages.
    pub(crate) fn name(&self) -> String {
        self.pool.name()
    }

    /// Returns the backoff before an interrupted stream is opened again.
    pub(crate) fn backoff(&self, attempts: u32) -> Duration {
        self.retry.backoff(attempts)
    }
}

impl<T> MessageStream<T> {
    /// Returns the next message, or `None` after the last one.
    pub(crate) async fn next(&mut self) -> Result<Option<T>, Error> {
        let next = match self.message_timeout {
            None => Ok(self.stream.message().await),
            Some(message_timeout) => timeout(message_timeout, self.stream.message()).await,
        };
        let after = self.message_timeout.unwrap_or_default();
        match next {
            Ok(next) => next.map_err(|status| Error::from_status(&status, &self.address, after)),
            Err(_) => Err(self.deadline_exceeded(after)),
        }
    }

    /// Returns the error for a message that did not arrive within this time.
    pub(crate) fn deadline_exceeded(&self, after: Duration) -> Error {
        Error::DeadlineExceeded { address: self.address.clone(), after }
    }
}

/// Returns a stub of the catalogue's contract.
pub(crate) fn catalog(channel: Channel) -> MovieCatalogClient<Channel> {
    MovieCatalogClient::new(channel).max_decoding_message_size(MAX_RESPONSE_BYTES)
}

/// A failed attempt to call a peer.
struct FailedAttempt {
    error: Error,
    /// Whether the peer may have received the call.
    was_sent: bool,
    /// Whether the peer may have processed the call.
    may_be_processed: bool,
    /// Whether a retry may succeed: the service was unavailable, or busy and requests a retry.
    may_succeed_later: bool,
    /// Delay that the service requests (`google.rpc.RetryInfo`).
    retry_delay: Duration,
}

impl FailedAttempt {
    /// Returns the failure of a call that no peer received.
    fn unsent(error: Error) -> Self {
        let may_succeed_later = error.is_temporary();
        Self {
            error,
            was_sent: false,
            may_be_processed: false,
            may_succeed_later,
            retry_delay: Duration::ZERO,
        }
    }

    /// Returns whether the call may be retried.
    fn may_retry(&self, safety: RetrySafety) -> bool {
        self.may_succeed_later && (safety == RetrySafety::Idempotent || !self.may_be_processed)
    }
}

/// Returns whether the service states that it has done nothing.
fn is_unprocessed(status: &Status) -> bool {
    let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    UNPROCESSED_REASONS.contains(&(status.code(), reason.as_str()))
}

impl RetryPolicy {
    /// Returns the randomised backoff after this number of attempts.
    fn backoff(&self, attempts: u32) -> Duration {
        let doubled = self.initial_backoff.saturating_mul(1 << attempts.saturating_sub(1).min(20));
        // Without random numbers, the backoff is not randomised.
        let chance = getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX));
        doubled.min(self.max_backoff).mul_f64(0.5 + chance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backoff_doubles_up_to_its_maximum_and_is_randomised() {
        let retry = RetryPolicy::default();
        for (attempts, expected) in [(1, 100), (2, 200), (3, 400), (6, 2000), (60, 2000)] {
            let expected = Duration::from_millis(expected);
            let pauses: Vec<_> = (0..50).map(|_| retry.backoff(attempts)).collect();
            assert!(
                pauses.iter().all(|backoff| (expected / 2..=expected * 3 / 2).contains(backoff)),
                "{pauses:?}"
            );
            assert!(pauses.iter().any(|backoff| *backoff != pauses[0]), "no chance: {pauses:?}");
        }
    }

    #[test]
    fn a_call_that_is_not_idempotent_is_retried_only_if_it_was_not_processed() {
        let failed = |may_be_processed, may_succeed_later| {
            let error = Error::Unavailable { address: String::new(), message: String::new() };
            FailedAttempt {
                error,
                was_sent: true,
                may_be_processed,
                may_succeed_later,
                retry_delay: Duration::ZERO,
            }
        };
        for (may_be_processed, may_succeed_later, safe, never) in
            [(true, true, true, false), (false, true, true, true), (true, false, false, false)]
        {
            let failed = failed(may_be_processed, may_succeed_later);
            assert_eq!(
                (failed.may_retry(RetrySafety::Idempotent), failed.may_retry(RetrySafety::UnprocessedOnly)),
                (safe, never)
            );
        }
    }
}
