//! Following changes across cuts, each once and in order.

mod copy;
mod place;

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::try_unfold;
use movie_proto::catalog::v1::{self, watch_movies_request, watch_movies_response};
use tokio::time::{Instant, sleep, timeout};
use tracing::info;

use self::place::Place;
use crate::call::{Caller, Items, Messages, Repeat, catalog};
use crate::movie::unsigned;
use crate::{Error, Movie};

/// How often nodes may say that they are not as far as the watch is, and for how long, before that is taken for good.
const PATIENCE_WITH_NODES: (u32, Duration) = (10, Duration::from_secs(5));

/// Where to begin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// With the next change.
    #[default]
    Now,
    /// With the first change after this revision. That it is of the same history cannot be told by a number: prefer
    /// [`Start::Resume`].
    After(u64),
    /// With the first change after the one that had this [`Change::resume_token`].
    Resume(String),
    /// With all movies, each as if it had just been changed, and then the changes since.
    ///
    /// Such a watch keeps the ids and etags of all movies in memory. If it cannot go on, since the store was replaced or
    /// no longer keeps the changes, it makes another copy and tells only what differs, with [`Event::Deleted`] for what is
    /// gone.
    Copy,
}

/// A change, or the mark that there are no more for now.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The revision of the catalogue with this change; for movies of a copy, that of the copy.
    pub revision: u64,
    /// What happened.
    pub event: Event,
    /// Resumes a watch after this change, see [`Start::Resume`]. Empty before [`Event::CaughtUp`] of a copy, which
    /// cannot be resumed in the middle.
    pub resume_token: String,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The movie was added, or changed to this.
    Upserted(Movie),
    /// The movie with this id was removed.
    Deleted(String),
    /// Everything that had happened when the watch began has been told. Comes once, and again after each further copy
    /// of [`Start::Copy`].
    CaughtUp,
}

/// Begins to follow.
pub(crate) async fn follow(caller: Arc<Caller>, start: Start) -> Result<Items<Change>, Error> {
    let messages = ask(&caller, &start).await?;
    let is_now = start == Start::Now;
    let place = Place::new(start);
    let mut watch = Watch { caller, messages: Some(messages), place, tried: 0, behind: None };
    if is_now {
        // Which revision it begins at, the service says at once. Until then, "now" would be a later one after each cut.
        let deadline = watch.caller.deadline();
        let late = Error::DeadlineExceeded { address: watch.caller.name(), after: deadline };
        timeout(deadline, watch.arrive()).await.map_err(|_| late)??;
    }
    Ok(Box::pin(try_unfold(watch, async |mut watch| Ok(Some((watch.next().await?, watch))))))
}

async fn ask(caller: &Caller, start: &Start) -> Result<Messages<v1::WatchMoviesResponse>, Error> {
    use watch_movies_request::Start as At;
    let start = match start {
        Start::Now => None,
        Start::After(revision) => Some(At::FromRevision(i64::try_from(*revision).unwrap_or(i64::MAX))),
        Start::Resume(token) => Some(At::ResumeToken(token.clone())),
        Start::Copy => Some(At::FullCopy(true)),
    };
    let send = |channel, request| async move { catalog(channel).watch_movies(request).await };
    caller.stream(Repeat::Safe, v1::WatchMoviesRequest { start }, true, send).await
}

struct Watch {
    caller: Arc<Caller>,
    messages: Option<Messages<v1::WatchMoviesResponse>>,
    place: Place,
    /// How often it was tried to go on since the last message.
    tried: u32,
    /// How often nodes said since the last change that they are not as far as the watch is, and when they did first.
    behind: Option<(u32, Instant)>,
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
                Ok(Some(message)) => match read(message).map(|change| self.place.take(change)) {
                    Some(true) => {
                        (self.tried, self.behind) = (0, None);
                        return Ok(());
                    }
                    Some(false) => self.wait_for_node().await,
                    None => {}
                },
                // No service ends a watch by itself.
                Ok(None) => self.cut("the service ended the watch").await,
                Err(error) if error == Error::TooSlow || error.is_temporary() => self.cut(&error).await,
                // A revision that the service has told is one that another node has, and this one will have soon.
                Err(Error::RevisionUnknown { .. }) if self.place.is_told() && self.may_wait_for_node() => {
                    self.wait_for_node().await;
                }
                Err(
                    error @ (Error::HistoryChanged | Error::Compacted { .. } | Error::RevisionUnknown { .. }),
                ) if self.place.is_copy() => {
                    self.place.start_over();
                    self.behind = None;
                    self.cut(&error).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns whether a node may still come to where the watch is.
    fn may_wait_for_node(&self) -> bool {
        let (most, longest) = PATIENCE_WITH_NODES;
        self.behind.is_none_or(|(times, since)| times < most && since.elapsed() < longest)
    }

    /// Tries another node, or this one again, since it is not as far as the watch is.
    async fn wait_for_node(&mut self) {
        let (times, since) = self.behind.unwrap_or((0, Instant::now()));
        self.behind = Some((times + 1, since));
        if !self.may_wait_for_node() {
            self.place.accept_older_copy();
        }
        self.cut("the node is behind").await;
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
    Some(Change { revision: unsigned(message.revision), event, resume_token: message.resume_token })
}
