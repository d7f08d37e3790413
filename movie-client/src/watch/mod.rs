//! Change stream that survives reconnects and delivers each change once and in order.

mod copy_tracker;
mod position;

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::try_unfold;
use movie_proto::catalog::v1::{self, watch_movies_request, watch_movies_response};
use tokio::time::{Instant, sleep, timeout};
use tracing::info;

use self::position::Position;
use crate::call::{Caller, MessageStream, ResponseStream, RetrySafety, catalog};
use crate::movie::unsigned;
use crate::{Error, Movie};

/// Number of responses from lagging nodes, and time since the first one, after which the watch no longer waits for the
/// nodes to catch up.
const LAGGING_NODE_MAX_RESPONSES: u32 = 10;
const LAGGING_NODE_MAX_WAIT: Duration = Duration::from_secs(5);

/// Start of a watch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// Start with the next change.
    #[default]
    Now,
    /// Start with the first change after this revision. A number does not identify a history: prefer
    /// [`Start::Resume`].
    After(u64),
    /// Start with the first change after the one with this [`Change::resume_token`].
    Resume(String),
    /// Start with all movies as upserts, followed by the changes since.
    ///
    /// The watch keeps the ids and etags of all movies in memory. If it cannot resume, because the store was replaced
    /// or the changes were compacted, it requests another copy. It then delivers only the differences, with
    /// [`Event::Deleted`] for removed movies.
    FullCopy,
}

/// A change of the catalogue, or the mark that the watch has caught up.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Revision of the catalogue after the change. Movies of a copy have the revision of the copy.
    pub revision: u64,
    /// The event.
    pub event: Event,
    /// Token to resume after this change, see [`Start::Resume`]. Empty within a copy, before its [`Event::CaughtUp`].
    pub resume_token: String,
}

/// Kind of a change.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly every event has a movie")]
pub enum Event {
    /// The movie was added or updated.
    Upserted(Movie),
    /// The movie with this id was deleted.
    Deleted(String),
    /// All changes from before the start of the watch were delivered. This event comes once, and again after each
    /// further copy of [`Start::FullCopy`].
    CaughtUp,
}

/// Starts a watch.
pub(crate) async fn follow(caller: Arc<Caller>, start: Start) -> Result<ResponseStream<Change>, Error> {
    let messages = open_stream(&caller, &start).await?;
    let is_now = start == Start::Now;
    let position = Position::new(start);
    let mut watch = Watch { caller, messages: Some(messages), position, attempts: 0, lagging: None };
    if is_now {
        // The service sends its current revision at once. Without it, a reconnect would skip changes.
        let deadline = watch.caller.deadline();
        let late = Error::DeadlineExceeded { address: watch.caller.name(), after: deadline };
        timeout(deadline, watch.receive()).await.map_err(|_| late)??;
    }
    Ok(Box::pin(try_unfold(watch, async |mut watch| Ok(Some((watch.next().await?, watch))))))
}

async fn open_stream(
    caller: &Caller,
    start: &Start,
) -> Result<MessageStream<v1::WatchMoviesResponse>, Error> {
    use watch_movies_request::Start as At;
    let start = match start {
        Start::Now => None,
        Start::After(revision) => Some(At::FromRevision(i64::try_from(*revision).unwrap_or(i64::MAX))),
        Start::Resume(token) => Some(At::ResumeToken(token.clone())),
        Start::FullCopy => Some(At::FullCopy(true)),
    };
    let send = |channel, request| async move { catalog(channel).watch_movies(request).await };
    caller.stream(RetrySafety::Idempotent, v1::WatchMoviesRequest { start }, true, send).await
}

struct Watch {
    caller: Arc<Caller>,
    messages: Option<MessageStream<v1::WatchMoviesResponse>>,
    position: Position,
    /// Number of attempts to reconnect since the last message.
    attempts: u32,
    /// Number of responses from lagging nodes since the last change, and the time of the first one.
    lagging: Option<(u32, Instant)>,
}

impl Watch {
    async fn next(&mut self) -> Result<Change, Error> {
        loop {
            if let Some(change) = self.position.next_change() {
                return Ok(change);
            }
            self.receive().await?;
        }
    }

    /// Waits for the next message.
    async fn receive(&mut self) -> Result<(), Error> {
        loop {
            let next = match &mut self.messages {
                Some(messages) => messages.next().await,
                None => match open_stream(&self.caller, self.position.start()).await {
                    Ok(messages) => {
                        self.messages = Some(messages);
                        continue;
                    }
                    Err(error) => Err(error),
                },
            };
            match next {
                Ok(Some(message)) => match decode(message).map(|change| self.position.take(change)) {
                    Some(true) => {
                        (self.attempts, self.lagging) = (0, None);
                        return Ok(());
                    }
                    Some(false) => self.wait_for_node().await,
                    None => {}
                },
                // A watch has no regular end.
                Ok(None) => self.reconnect("the service ended the watch").await,
                Err(error) if error == Error::WatcherTooSlow || error.is_temporary() => {
                    self.reconnect(&error).await;
                }
                // Another node has this revision already, and this one will have it soon.
                Err(Error::RevisionUnknown { .. })
                    if self.position.is_from_service() && self.may_wait_for_node() =>
                {
                    self.wait_for_node().await;
                }
                Err(
                    error @ (Error::HistoryChanged
                    | Error::RevisionCompacted { .. }
                    | Error::RevisionUnknown { .. }),
                ) if self.position.is_copy() => {
                    self.position.start_over();
                    self.lagging = None;
                    self.reconnect(&error).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns whether a lagging node may still catch up in time.
    fn may_wait_for_node(&self) -> bool {
        self.lagging.is_none_or(|(responses, since)| {
            responses < LAGGING_NODE_MAX_RESPONSES && since.elapsed() < LAGGING_NODE_MAX_WAIT
        })
    }

    /// Reconnects, perhaps to another node, because this node lags behind the watch.
    async fn wait_for_node(&mut self) {
        let (responses, since) = self.lagging.unwrap_or((0, Instant::now()));
        self.lagging = Some((responses + 1, since));
        if !self.may_wait_for_node() {
            self.position.accept_older_copy();
        }
        self.reconnect("the node is lagging").await;
    }

    async fn reconnect(&mut self, why: impl Display) {
        self.messages = None;
        self.position.connection_lost();
        self.attempts += 1;
        let backoff = self.caller.backoff(self.attempts);
        info!("{why}; resuming {} in {backoff:.1?}", self.position);
        sleep(backoff).await;
    }
}

fn decode(message: v1::WatchMoviesResponse) -> Option<Change> {
    use watch_movies_response::Event as WireEvent;
    let event = match message.event? {
        WireEvent::Upserted(movie) => Event::Upserted(movie.into()),
        WireEvent::DeletedId(id) => Event::Deleted(id),
        WireEvent::CaughtUp(_) => Event::CaughtUp,
    };
    Some(Change { revision: unsigned(message.revision), event, resume_token: message.resume_token })
}
