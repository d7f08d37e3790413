//! Watches of `movie.catalog.v1`: changes as they are made.

use std::sync::Arc;

use movie_proto::catalog::v1::watch_movies_request::Start;
use movie_proto::catalog::v1::watch_movies_response::Event as Told;
use movie_proto::catalog::v1::{WatchMoviesRequest, WatchMoviesResponse};
use tokio::sync::{mpsc, watch};

use super::error::CallError;
use super::reached;
use crate::catalogue::{Catalogue, Event, Record};
use crate::movie;

/// Messages that wait for a watcher: few, as the changes themselves wait in the catalogue.
const WAITING: usize = 32;

/// Changes that are taken from the catalogue at a time.
const AT_A_TIME: usize = 64;

pub(super) type Message = Result<WatchMoviesResponse, CallError>;

/// Begins a watch; what it has to tell can be received. It ends with `stopping`, or when nobody receives it. A watcher that
/// was level with the changes once may be `most_behind` of them behind.
pub(super) fn begin(
    catalogue: Arc<Catalogue>,
    request: &WatchMoviesRequest,
    most_behind: usize,
    stopping: watch::Receiver<bool>,
) -> mpsc::Receiver<Message> {
    let (messages, received) = mpsc::channel(WAITING);
    let start = request.start;
    let newest = catalogue.newest();
    let mut watcher = Watcher { catalogue, newest, messages, most_behind: most_behind as u64, told: 0 };
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
    newest: watch::Receiver<u64>,
    messages: mpsc::Sender<Message>,
    most_behind: u64,
    /// The last revision that was told.
    told: u64,
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
                self.told = self.started_at(revision).await?;
                self.catalogue.snapshot().revision()
            }
            Some(Start::FullCopy(true)) => self.copy().await?,
            Some(Start::FullCopy(false)) | None => {
                self.told = self.catalogue.snapshot().revision();
                self.told
            }
        };
        let mut is_level = false;
        loop {
            if !is_level && self.told >= level {
                is_level = true;
                self.send(self.told, Told::CaughtUp(true)).await?;
            }
            let newest = *self.newest.borrow_and_update();
            if is_level && newest.saturating_sub(self.told) > self.most_behind {
                return Err(CallError::TooSlow { resume: self.told }.into());
            }
            let (told, most) =
                (self.told, if is_level { AT_A_TIME } else { AT_A_TIME.min(distance(self.told, level)) });
            let events = self.catalogue.changes(told, most);
            let events = events.map_err(|compacted| {
                // Also where a full copy took longer than the changes were kept.
                CallError::Compacted { from: told, oldest: compacted.oldest }
            })?;
            if events.is_empty() {
                // The sender lives as long as the catalogue, which is ours.
                let _ = self.newest.changed().await;
            }
            for event in events {
                self.send(event.revision, told_of(&event)).await?;
                self.told = event.revision;
            }
        }
    }

    /// Tells all movies, and returns the revision that they are at.
    async fn copy(&mut self) -> Result<u64, End> {
        let snapshot = self.catalogue.snapshot();
        self.told = snapshot.revision();
        for movie in snapshot.movies() {
            self.send(self.told, Told::Upserted(movie::from_record(&Record::new(&movie)))).await?;
        }
        Ok(self.told)
    }

    /// Returns the revision that was asked for, once the catalogue is at it.
    async fn started_at(&mut self, asked: i64) -> Result<u64, CallError> {
        match u64::try_from(asked) {
            Ok(revision) if reached(&mut self.newest, revision).await => Ok(revision),
            _ => Err(CallError::RevisionUnknown { asked, revision: *self.newest.borrow() }),
        }
    }

    async fn send(&self, revision: u64, event: Told) -> Result<(), End> {
        let revision = i64::try_from(revision).unwrap_or(i64::MAX);
        let message = WatchMoviesResponse { revision, event: Some(event) };
        self.messages.send(Ok(message)).await.map_err(|_| End::Unheard)
    }
}

fn distance(from: u64, to: u64) -> usize {
    usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX)
}

fn told_of(event: &Event) -> Told {
    match &event.after {
        Some(record) => Told::Upserted(movie::from_record(record)),
        None => Told::DeletedId(event.id.to_string()),
    }
}
