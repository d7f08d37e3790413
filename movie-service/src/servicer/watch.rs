//! `WatchMovies`: a stream of changes.

mod feed;
mod message;

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use movie_proto::catalog::v1::watch_movies_request::Start;
use movie_proto::catalog::v1::{WatchMoviesRequest, WatchMoviesResponse};
use tokio::sync::watch;
use tokio_stream::{Stream, StreamExt};

use self::feed::Subscription;
pub(crate) use self::feed::{Batch, BatchSink};
use crate::catalogue::{Catalogue, ChangesError, HistoryPoint, Record, Snapshot};
use crate::movie::{Revision, Violation};
use crate::servicer::catch_up::wait_for_revision;
use crate::servicer::error::CallError;
use crate::servicer::tokens::resume_token;
use crate::telemetry::watch_metrics::{OpenWatch, WatchEnd, WatchMetrics};

/// Starts watches.
#[derive(Clone, Debug)]
pub struct Watches {
    catalogue: Arc<Catalogue>,
    /// The sender is dropped when the service stops.
    stopping: watch::Receiver<bool>,
    max_lag: u64,
    metrics: WatchMetrics,
}

impl Watches {
    /// Watches end when the sender of `stopping` is dropped, or when they are more than `max_lag` changes behind after
    /// they have caught up.
    #[must_use]
    pub fn new(catalogue: Arc<Catalogue>, stopping: watch::Receiver<bool>, max_lag: usize) -> Self {
        Self { catalogue, stopping, max_lag: max_lag as u64, metrics: WatchMetrics::default() }
    }

    /// Counts watches in `metrics`.
    #[must_use]
    pub fn with_metrics(self, metrics: WatchMetrics) -> Self {
        Self { metrics, ..self }
    }

    /// Starts a watch.
    pub(crate) fn start(&self, request: WatchMoviesRequest) -> Watch {
        let catalogue = self.catalogue.clone();
        let snapshot = catalogue.snapshot();
        let sent = snapshot.point();
        let stage = match request.start {
            Some(Start::FromRevision(revision)) => {
                Stage::Starting(Box::pin(async move { at_revision(&catalogue, revision).await }))
            }
            Some(Start::ResumeToken(token)) => {
                Stage::Starting(Box::pin(async move { at_token(&catalogue, &token).await }))
            }
            Some(Start::FullCopy(true)) => Stage::Copying { snapshot, next_segment: 0 },
            Some(Start::FullCopy(false)) | None => Stage::CatchingUp { until: sent.revision },
        };
        let subscription = Subscription::new(&self.catalogue, &self.stopping, &self.metrics);
        Watch { subscription, open: self.metrics.opened(), max_lag: self.max_lag, sent, stage }
    }
}

/// A watch: a stream of encoded messages. Each item has one gRPC frame or more. It ends with an error.
pub(crate) struct Watch {
    subscription: Subscription,
    open: OpenWatch,
    max_lag: u64,
    /// History point of the last change that was sent.
    sent: HistoryPoint,
    stage: Stage,
}

enum Stage {
    /// Waits until the catalogue has the point after which the watch begins.
    Starting(Pin<Box<dyn Future<Output = Result<HistoryPoint, CallError>> + Send>>),
    /// Sends all movies of a snapshot.
    Copying {
        snapshot: Arc<Snapshot>,
        next_segment: usize,
    },
    /// Sends the changes up to a revision, then that it has caught up.
    CatchingUp {
        until: Revision,
    },
    /// Sends the changes as they happen.
    Live,
    Ended,
}

impl Stream for Watch {
    type Item = Result<Bytes, CallError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if matches!(self.stage, Stage::Ended) {
            return Poll::Ready(None);
        }
        // First, so that no change is missed between a look and the registration.
        self.subscription.register(cx);
        let frames = ready!(self.poll_frames(cx));
        if let Err(error) = &frames {
            self.open.set_end(end(error));
            self.stage = Stage::Ended;
        }
        Poll::Ready(Some(frames))
    }
}

impl Watch {
    /// Returns whether the watch has caught up.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.stage, Stage::Live)
    }

    /// Has the feed offer batches of changes to `sink`. [`Self::advance`] takes none before the watch has caught up.
    pub(crate) fn attach(&self, sink: Weak<dyn BatchSink>) {
        self.subscription.attach(sink);
    }

    /// Returns the frames of a batch, and counts them as sent, if they come next.
    pub(crate) fn advance(&mut self, batch: &Batch) -> Option<Bytes> {
        let lag = batch.to.revision.since(self.sent.revision)?;
        let is_next = self.is_live() && batch.from == self.sent && lag <= self.max_lag;
        is_next.then(|| {
            self.sent = batch.to;
            batch.frames.clone()
        })
    }

    fn poll_frames(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, CallError>> {
        if self.subscription.is_stopping() {
            return Poll::Ready(Err(CallError::Stopping));
        }
        if let Stage::Starting(point) = &mut self.stage {
            self.sent = ready!(point.as_mut().poll(cx))?;
            self.stage = Stage::CatchingUp { until: self.subscription.catalogue().snapshot().revision() };
        }
        if let Stage::Copying { snapshot, next_segment } = &mut self.stage {
            let mut frames = Vec::new();
            while frames.is_empty()
                && let Some(movies) = snapshot.movies_in(*next_segment)
            {
                *next_segment += 1;
                movies.for_each(|movie| message::put_copied(self.sent, &Record::new(&movie), &mut frames));
            }
            if !frames.is_empty() {
                return Poll::Ready(Ok(frames.into()));
            }
            self.stage = Stage::CatchingUp { until: self.sent.revision };
        }
        let mut max_changes = u64::MAX;
        if let Stage::CatchingUp { until } = self.stage {
            max_changes = until.since(self.sent.revision).unwrap_or_default();
            if max_changes == 0 {
                self.stage = Stage::Live;
                return Poll::Ready(Ok(message::caught_up(self.sent)));
            }
        }
        self.poll_changes(max_changes)
    }

    fn poll_changes(&mut self, max: u64) -> Poll<Result<Bytes, CallError>> {
        let Self { subscription, max_lag, sent, stage, .. } = self;
        let newest = subscription.catalogue().newest_point();
        if newest == *sent {
            return Poll::Pending;
        }
        let lag = newest.revision.since(sent.revision).unwrap_or_default();
        if matches!(stage, Stage::Live) && lag > *max_lag {
            return Poll::Ready(Err(CallError::TooSlow { resume: sent.revision }));
        }
        // Fails with `Compacted` also if the full copy took so long that later changes were dropped.
        let changes = subscription.changes_after(*sent, max);
        let Some(batch) = changes.map_err(|error| watch_error(error, sent.revision))? else {
            return Poll::Pending;
        };
        *sent = batch.to;
        Poll::Ready(Ok(batch.frames))
    }

    /// Returns the messages one by one, for the generated code.
    pub(super) fn into_messages(self) -> impl Stream<Item = Result<WatchMoviesResponse, CallError>> + Send {
        let messages = |item: Result<Bytes, CallError>| match item {
            Ok(frames) => message::decode(frames).into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        };
        futures_util::StreamExt::flat_map(StreamExt::map(self, messages), tokio_stream::iter)
    }
}

/// Returns the point at a revision. Waits until the catalogue has reached it.
async fn at_revision(catalogue: &Catalogue, requested: i64) -> Result<HistoryPoint, CallError> {
    let mut newest = catalogue.newest();
    let Ok(revision) = Revision::try_from(requested) else {
        return Err(CallError::RevisionUnknown { requested, revision: *newest.borrow() });
    };
    if let Err(ChangesError::Ahead { .. }) = catalogue.point_at(revision) {
        wait_for_revision(&mut newest, revision).await;
    }
    catalogue.point_at(revision).map_err(|error| watch_error(error, revision))
}

/// Returns the point of a token. Waits until the catalogue has reached it.
async fn at_token(catalogue: &Catalogue, token: &str) -> Result<HistoryPoint, CallError> {
    let point = resume_token::parse(token).ok_or_else(|| {
        let expected = "expected the resume_token of a message of WatchMovies";
        CallError::from(vec![Violation::new("resume_token", expected)])
    })?;
    let mut changes = catalogue.changes(point, 0);
    if let Err(ChangesError::Ahead { .. }) = changes {
        wait_for_revision(&mut catalogue.newest(), point.revision).await;
        changes = catalogue.changes(point, 0);
    }
    changes.map(|_| point).map_err(|error| watch_error(error, point.revision))
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

/// Returns the reason of a watch that ends with this error.
fn end(error: &CallError) -> WatchEnd {
    match error {
        CallError::TooSlow { .. } => WatchEnd::TooSlow,
        CallError::HistoryChanged { .. } => WatchEnd::HistoryChanged,
        CallError::Compacted { .. } => WatchEnd::Compacted,
        CallError::Stopping => WatchEnd::Stopping,
        // An unknown revision, or a token that is none. A watch has none of the other errors.
        CallError::RevisionUnknown { .. }
        | CallError::Write(_)
        | CallError::Missing(_)
        | CallError::TooLarge { .. }
        | CallError::PageTokenInvalid
        | CallError::PageTokenExpired
        | CallError::UnknownService { .. }
        | CallError::SearchOff
        | CallError::Busy => WatchEnd::Refused,
    }
}

#[cfg(test)]
mod tests;
