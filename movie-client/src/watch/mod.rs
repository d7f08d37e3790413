//! Following changes across cuts, each once and in order.

mod place;

use std::fmt::Display;
use std::sync::Arc;

use futures_util::stream::try_unfold;
use movie_proto::catalog::v1::{self, watch_movies_request, watch_movies_response};
use tokio::time::{sleep, timeout};
use tracing::info;

use self::place::Place;
use crate::call::{Caller, Items, Messages, Repeat, catalog};
use crate::movie::unsigned;
use crate::{Error, Movie};

/// How often a service is asked for a revision that it does not have yet.
const PATIENCE_WITH_NODES: u32 = 10;

/// Where to begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// With the next change.
    #[default]
    Now,
    /// With the first change after this revision.
    After(u64),
    /// With all movies, each as if it had just been changed, and then the changes since.
    Copy,
}

/// A change, or the mark that there are no more for now.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The revision of the catalogue with this change; for movies of a copy, that of the copy.
    pub revision: u64,
    /// What happened.
    pub event: Event,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The movie was added, or changed to this.
    Upserted(Movie),
    /// The movie with this id was removed.
    Deleted(String),
    /// Everything that had happened when the watch began has been told. Comes once.
    CaughtUp,
}

/// Begins to follow.
pub(crate) async fn follow(caller: Arc<Caller>, start: Start) -> Result<Items<Change>, Error> {
    let messages = ask(&caller, start).await?;
    let mut watch =
        Watch { caller, messages: Some(messages), start, place: Place::new(start), tried: 0, behind: 0 };
    if start == Start::Now {
        // Which revision it begins at, the service says at once. Until then, "now" would be a later one after each cut.
        let deadline = watch.caller.deadline();
        let late = Error::DeadlineExceeded { address: watch.caller.name(), after: deadline };
        timeout(deadline, watch.arrive()).await.map_err(|_| late)??;
    }
    Ok(Box::pin(try_unfold(watch, async |mut watch| Ok(Some((watch.next().await?, watch))))))
}

async fn ask(caller: &Caller, start: Start) -> Result<Messages<v1::WatchMoviesResponse>, Error> {
    use watch_movies_request::Start as At;
    let start = match start {
        Start::Now => None,
        Start::After(revision) => Some(At::FromRevision(i64::try_from(revision).unwrap_or(i64::MAX))),
        Start::Copy => Some(At::FullCopy(true)),
    };
    let send = |channel, request| async move { catalog(channel).watch_movies(request).await };
    caller.stream(Repeat::Safe, v1::WatchMoviesRequest { start }, true, send).await
}

struct Watch {
    caller: Arc<Caller>,
    messages: Option<Messages<v1::WatchMoviesResponse>>,
    /// Where the caller began.
    start: Start,
    place: Place,
    /// How often it was tried to go on since the last message.
    tried: u32,
    /// How often nodes said since then that they do not have the revision.
    behind: u32,
}

impl Watch {
    async fn next(&mut self) -> Result<Change, Error> {
        loop {
            if let Some(change) = self.place.next() {
                return Ok(change);
            }
            self.arrive().await?;
        }
    }

    /// Waits for the next message.
    async fn arrive(&mut self) -> Result<(), Error> {
        loop {
            let next = match &mut self.messages {
                Some(messages) => messages.next().await,
                None => match ask(&self.caller, self.place.start()).await {
                    Ok(messages) => {
                        self.messages = Some(messages);
                        continue;
                    }
                    Err(error) => Err(error),
                },
            };
            match next {
                Ok(Some(message)) => {
                    self.tried = 0;
                    match read(message).map(|change| self.place.take(change)) {
                        Some(true) => {
                            self.behind = 0;
                            return Ok(());
                        }
                        Some(false) => self.cut("the node is behind").await,
                        None => {}
                    }
                }
                // No service ends a watch by itself.
                Ok(None) => self.cut("the service ended the watch").await,
                Err(error) if self.can_wait_out(&error) => {
                    self.behind += u32::from(matches!(error, Error::RevisionUnknown { .. }));
                    self.cut(&error).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns whether a stream that ended so can be gone on with.
    fn can_wait_out(&self, error: &Error) -> bool {
        // A revision that the service has told is one that another node has, and this one will have soon.
        let is_told = self.place.start() != self.start;
        let is_behind = matches!(error, Error::RevisionUnknown { .. }) && self.behind < PATIENCE_WITH_NODES;
        (is_told && is_behind) || *error == Error::TooSlow || error.is_temporary()
    }

    async fn cut(&mut self, why: impl Display) {
        self.messages = None;
        self.place.cut();
        self.tried += 1;
        let pause = self.caller.pause(self.tried);
        info!("{why}; going on {} in {pause:.1?}", self.place);
        sleep(pause).await;
    }
}

fn read(message: v1::WatchMoviesResponse) -> Option<Change> {
    use watch_movies_response::Event as Told;
    let event = match message.event? {
        Told::Upserted(movie) => Event::Upserted(movie.into()),
        Told::DeletedId(id) => Event::Deleted(id),
        Told::CaughtUp(_) => Event::CaughtUp,
    };
    Some(Change { revision: unsigned(message.revision), event })
}
