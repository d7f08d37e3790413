//! `WatchMovies`: a stream of changes.

use std::convert::Infallible;
use std::sync::Arc;

use movie_proto::catalog::v1::watch_movies_request::Start;
use movie_proto::catalog::v1::watch_movies_response::Event;
use movie_proto::catalog::v1::{WatchMoviesRequest, WatchMoviesResponse};
use tokio::sync::{mpsc, watch};

use crate::catalogue::{Catalogue, ChangesError, HistoryPoint, LogEntry, Record};
use crate::movie::{Revision, Violation};
use crate::servicer::catch_up::wait_for_revision;
use crate::servicer::convert;
use crate::servicer::error::CallError;
use crate::servicer::tokens::resume_token;

/// Capacity of the queue of a watch, in messages. It is small, because the change log keeps the changes.
const MESSAGE_QUEUE_CAPACITY: usize = 32;

/// Maximum number of changes that are read from the change log at a time.
const MAX_CHANGES_PER_READ: usize = 64;

pub(super) type Message = Result<WatchMoviesResponse, CallError>;

/// Starts a watch, and returns the receiver of its messages. The watch ends when the sender of `stopping` or the receiver
/// is dropped. After it has caught up, it may lag at most `max_lag` changes behind.
pub(super) fn start(
    catalogue: Arc<Catalogue>,
    request: &WatchMoviesRequest,
    max_lag: usize,
    stopping: watch::Receiver<bool>,
) -> mpsc::Receiver<Message> {
    let (messages, received) = mpsc::channel(MESSAGE_QUEUE_CAPACITY);
    let start = request.start.clone();
    let newest = catalogue.newest();
    let sent = catalogue.snapshot().point();
    let mut watcher = Watcher { catalogue, newest, messages, max_lag: max_lag as u64, sent };
    tokio::spawn(async move {
        let Err(end) = watcher.run(start, stopping).await;
        if let End::Error(error) = end {
            // Sending fails if the receiver has been dropped.
            let _ = watcher.messages.send(Err(error)).await;
        }
    });
    received
}

struct Watcher {
    catalogue: Arc<Catalogue>,
    newest: watch::Receiver<Revision>,
    messages: mpsc::Sender<Message>,
    max_lag: u64,
    /// History point of the last change that was sent.
    sent: HistoryPoint,
}

/// Reason for the end of a watch.
enum End {
    /// The receiver has been dropped.
    ReceiverDropped,
    Error(CallError),
}

impl From<CallError> for End {
    fn from(error: CallError) -> Self {
        Self::Error(error)
    }
}

impl Watcher {
    async fn run(
        &mut self,
        start: Option<Start>,
        mut stopping: watch::Receiver<bool>,
    ) -> Result<Infallible, End> {
        let messages = self.messages.clone();
        tokio::select! {
            end = self.send_changes(start) => end,
            // Completes when the sender is dropped, which happens when the service stops.
            () = async { while stopping.changed().await.is_ok() {} } => Err(CallError::Stopping.into()),
            () = messages.closed() => Err(End::ReceiverDropped),
        }
    }

    async fn send_changes(&mut self, start: Option<Start>) -> Result<Infallible, End> {
        let catch_up_revision = match start {
            Some(Start::FromRevision(revision)) => {
                self.sent = self.at_revision(revision).await?;
                self.catalogue.snapshot().revision()
            }
            Some(Start::ResumeToken(token)) => {
                self.sent = self.at_token(&token).await?;
                self.catalogue.snapshot().revision()
            }
            Some(Start::FullCopy(true)) => self.send_copy().await?,
            Some(Start::FullCopy(false)) | None => self.sent.revision,
        };
        let mut is_caught_up = false;
        loop {
            if !is_caught_up && self.sent.revision >= catch_up_revision {
                is_caught_up = true;
                self.send(self.sent, Event::CaughtUp(true)).await?;
            }
            let newest = *self.newest.borrow_and_update();
            let lag = newest.since(self.sent.revision).unwrap_or_default();
            if is_caught_up && lag > self.max_lag {
                return Err(CallError::TooSlow { resume: self.sent.revision }.into());
            }
            let max_changes = if is_caught_up {
                MAX_CHANGES_PER_READ
            } else {
                MAX_CHANGES_PER_READ.min(distance(self.sent.revision, catch_up_revision))
            };
            // Fails with `Compacted` also if the full copy took so long that later changes were dropped.
            let events = self.catalogue.changes(self.sent, max_changes);
            let events = events.map_err(|error| watch_error(error, self.sent.revision))?;
            if events.is_empty() {
                // Cannot fail: the catalogue holds the sender.
                let _ = self.newest.changed().await;
            }
            for event in events {
                self.send(event.point, to_wire_event(&event)).await?;
                self.sent = event.point;
            }
        }
    }

    /// Sends all movies of the current snapshot, and returns its revision.
    async fn send_copy(&mut self) -> Result<Revision, End> {
        let snapshot = self.catalogue.snapshot();
        self.sent = snapshot.point();
        let revision = self.sent.revision.to_i64();
        for movie in snapshot.movies() {
            let event = Some(Event::Upserted(convert::response(&Record::new(&movie))));
            // A copy cannot be resumed, so its messages have no token.
            self.send_message(WatchMoviesResponse { revision, event, resume_token: String::new() }).await?;
        }
        Ok(self.sent.revision)
    }

    /// Returns the point at a revision. Waits until the catalogue has reached it.
    async fn at_revision(&mut self, requested: i64) -> Result<HistoryPoint, CallError> {
        let Ok(revision) = Revision::try_from(requested) else {
            return Err(CallError::RevisionUnknown { requested, revision: *self.newest.borrow() });
        };
        if let Err(ChangesError::Ahead { .. }) = self.catalogue.point_at(revision) {
            wait_for_revision(&mut self.newest, revision).await;
        }
        self.catalogue.point_at(revision).map_err(|error| watch_error(error, revision))
    }

    /// Returns the point of a token. Waits until the catalogue has reached it.
    async fn at_token(&mut self, token: &str) -> Result<HistoryPoint, CallError> {
        let point = resume_token::parse(token).ok_or_else(|| {
            let expected = "expected the resume_token of a message of WatchMovies";
            CallError::from(vec![Violation::new("resume_token", expected)])
        })?;
        let mut changes = self.catalogue.changes(point, 0);
        if let Err(ChangesError::Ahead { .. }) = changes {
            wait_for_revision(&mut self.newest, point.revision).await;
            changes = self.catalogue.changes(point, 0);
        }
        changes.map(|_| point).map_err(|error| watch_error(error, point.revision))
    }

    async fn send(&self, point: HistoryPoint, event: Event) -> Result<(), End> {
        let (revision, event) = (point.revision.to_i64(), Some(event));
        let resume_token = resume_token::encode(point);
        self.send_message(WatchMoviesResponse { revision, event, resume_token }).await
    }

    async fn send_message(&self, message: WatchMoviesResponse) -> Result<(), End> {
        self.messages.send(Ok(message)).await.map_err(|_| End::ReceiverDropped)
    }
}

/// Converts the error of a watch that wants to resume from a revision.
fn watch_error(error: ChangesError, from: Revision) -> CallError {
    match error {
        ChangesError::Compacted { oldest } => CallError::Compacted { from, oldest },
        ChangesError::HistoryChanged => CallError::HistoryChanged { from },
        ChangesError::Ahead { newest } => {
            CallError::RevisionUnknown { requested: from.to_i64(), revision: newest }
        }
    }
}

fn distance(from: Revision, to: Revision) -> usize {
    usize::try_from(to.since(from).unwrap_or_default()).unwrap_or(usize::MAX)
}

fn to_wire_event(entry: &LogEntry) -> Event {
    match &entry.after {
        Some(record) => Event::Upserted(convert::response(record)),
        None => Event::DeletedId(entry.id.to_string()),
    }
}
