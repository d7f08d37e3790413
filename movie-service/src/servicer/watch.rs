//! Watches of `movie.catalog.v1`: changes as they are made.

use std::sync::Arc;

use movie_proto::catalog::v1::watch_movies_request::Start;
use movie_proto::catalog::v1::watch_movies_response::Event as WatchEvent;
use movie_proto::catalog::v1::{WatchMoviesRequest, WatchMoviesResponse};
use tokio::sync::{mpsc, watch};

use crate::catalogue::{Catalogue, ChangesError, Event, HistoryPoint, Record};
use crate::movie::{Revision, Violation};
use crate::servicer::catch_up::wait_for_revision;
use crate::servicer::error::CallError;
use crate::servicer::{convert, resume_token};

/// Messages that wait for a watcher: few, as the changes themselves wait in the catalogue.
const WAITING: usize = 32;

/// Changes that are taken from the catalogue at a time.
const AT_A_TIME: usize = 64;

pub(super) type Message = Result<WatchMoviesResponse, CallError>;

/// Begins a watch; what it has to tell can be received. It ends with `stopping`, or when nobody receives it. A watcher that
/// was level with the changes once may be `most_behind` of them behind.
pub(super) fn start(
    catalogue: Arc<Catalogue>,
    request: &WatchMoviesRequest,
    most_behind: usize,
    stopping: watch::Receiver<bool>,
) -> mpsc::Receiver<Message> {
    let (messages, received) = mpsc::channel(WAITING);
    let start = request.start.clone();
    let newest = catalogue.newest();
    let told = catalogue.snapshot().point();
    let mut watcher = Watcher { catalogue, newest, messages, most_behind: most_behind as u64, told };
    tokio::spawn(async move {
        let Err(end) = watcher.run(start, stopping).await;
        if let End::For(error) = end {
            // Nobody may be there any more.
            let _ = watcher.messages.send(Err(error)).await;
        }
    });
    received
}

struct Watcher {
    catalogue: Arc<Catalogue>,
    newest: watch::Receiver<Revision>,
    messages: mpsc::Sender<Message>,
    most_behind: u64,
    /// The history up to the last change that was sent.
    told: HistoryPoint,
}

/// Why a watch ends.
enum End {
    /// Nobody receives it.
    Unheard,
    For(CallError),
}

impl From<CallError> for End {
    fn from(error: CallError) -> Self {
        Self::For(error)
    }
}

/// What never comes.
enum Never {}

impl Watcher {
    async fn run(&mut self, start: Option<Start>, mut stopping: watch::Receiver<bool>) -> Result<Never, End> {
        let gone = self.messages.clone();
        tokio::select! {
            end = self.tell(start) => end,
            // Dropped when the service stops.
            () = async { while stopping.changed().await.is_ok() {} } => Err(CallError::Stopping.into()),
            () = gone.closed() => Err(End::Unheard),
        }
    }

    async fn tell(&mut self, start: Option<Start>) -> Result<Never, End> {
        let level = match start {
            Some(Start::FromRevision(revision)) => {
                self.told = self.at_revision(revision).await?;
                self.catalogue.snapshot().revision()
            }
            Some(Start::ResumeToken(token)) => {
                self.told = self.at_token(&token).await?;
                self.catalogue.snapshot().revision()
            }
            Some(Start::FullCopy(true)) => self.copy().await?,
            Some(Start::FullCopy(false)) | None => self.told.revision,
        };
        let mut is_level = false;
        loop {
            if !is_level && self.told.revision >= level {
                is_level = true;
                self.send(self.told, WatchEvent::CaughtUp(true)).await?;
            }
            let newest = *self.newest.borrow_and_update();
            let behind = newest.since(self.told.revision).unwrap_or_default();
            if is_level && behind > self.most_behind {
                return Err(CallError::TooSlow { resume: self.told.revision }.into());
            }
            let most = if is_level { AT_A_TIME } else { AT_A_TIME.min(distance(self.told.revision, level)) };
            // Also `Compacted` if the full copy took so long that later changes were dropped.
            let events = self.catalogue.changes(self.told, most);
            let events = events.map_err(|error| not_followed(error, self.told.revision))?;
            if events.is_empty() {
                // The sender lives as long as the catalogue, which is ours.
                let _ = self.newest.changed().await;
            }
            for event in events {
                self.send(event.point, told_of(&event)).await?;
                self.told = event.point;
            }
        }
    }

    /// Sends all movies, and returns the revision that they are at.
    async fn copy(&mut self) -> Result<Revision, End> {
        let snapshot = self.catalogue.snapshot();
        self.told = snapshot.point();
        let revision = self.told.revision.to_i64();
        for movie in snapshot.movies() {
            let event = Some(WatchEvent::Upserted(convert::response(&Record::new(&movie))));
            // A copy cannot be resumed in the middle, so it has no token.
            self.send_message(WatchMoviesResponse { revision, event, resume_token: String::new() }).await?;
        }
        Ok(self.told.revision)
    }

    /// Returns the point at a revision, once the catalogue is at it.
    async fn at_revision(&mut self, asked: i64) -> Result<HistoryPoint, CallError> {
        let Ok(revision) = Revision::try_from(asked) else {
            return Err(CallError::RevisionUnknown { asked, revision: *self.newest.borrow() });
        };
        if let Err(ChangesError::Ahead { .. }) = self.catalogue.point_at(revision) {
            wait_for_revision(&mut self.newest, revision).await;
        }
        self.catalogue.point_at(revision).map_err(|error| not_followed(error, revision))
    }

    /// Returns the point that a token is of, once the catalogue is at it.
    async fn at_token(&mut self, token: &str) -> Result<HistoryPoint, CallError> {
        let point = resume_token::parse(token).ok_or_else(|| {
            let expected = "expected the resume_token of a message of WatchMovies";
            CallError::from(vec![Violation::new("resume_token", expected)])
        })?;
        let mut followed = self.catalogue.changes(point, 0);
        if let Err(ChangesError::Ahead { .. }) = followed {
            wait_for_revision(&mut self.newest, point.revision).await;
            followed = self.catalogue.changes(point, 0);
        }
        followed.map(|_| point).map_err(|error| not_followed(error, point.revision))
    }

    async fn send(&self, point: HistoryPoint, event: WatchEvent) -> Result<(), End> {
        let (revision, event) = (point.revision.to_i64(), Some(event));
        let resume_token = resume_token::encode(point);
        self.send_message(WatchMoviesResponse { revision, event, resume_token }).await
    }

    async fn send_message(&self, message: WatchMoviesResponse) -> Result<(), End> {
        self.messages.send(Ok(message)).await.map_err(|_| End::Unheard)
    }
}

/// Returns the error of a watch that wants the changes after a revision.
fn not_followed(error: ChangesError, from: Revision) -> CallError {
    match error {
        ChangesError::Compacted { oldest } => CallError::Compacted { from, oldest },
        ChangesError::HistoryChanged => CallError::HistoryChanged { from },
        ChangesError::Ahead { newest } => {
            CallError::RevisionUnknown { asked: from.to_i64(), revision: newest }
        }
    }
}

fn distance(from: Revision, to: Revision) -> usize {
    usize::try_from(to.since(from).unwrap_or_default()).unwrap_or(usize::MAX)
}

fn told_of(event: &Event) -> WatchEvent {
    match &event.after {
        Some(record) => WatchEvent::Upserted(convert::response(record)),
        None => WatchEvent::DeletedId(event.id.to_string()),
    }
}
