//! `LookupMovies`: a response to each id of a stream.

use std::collections::VecDeque;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use movie_proto::catalog::v1::{LookupMoviesRequest, LookupMoviesResponse};
use tokio_stream::Stream;
use tonic::Status;

use crate::servicer::batch::PREFETCHED_IDS;
use crate::servicer::catalog::CatalogServicer;
use crate::servicer::encoded::Encoded;

/// Total size in bytes of the ids from which no further request is taken.
const MAX_TAKEN_BYTES: usize = 16 * 1024;

/// The responses to a stream of requests. Requests that have arrived are taken together, so that their movies can be read into
/// the cache together.
pub(super) struct Lookups<R> {
    requests: R,
    servicer: CatalogServicer,
    /// Requests without a response.
    taken: VecDeque<LookupMoviesRequest>,
    /// State of the stream of requests.
    end: End,
}

enum End {
    Open,
    Ended,
    Failed(Status),
}

impl<R: Stream<Item = Result<LookupMoviesRequest, Status>> + Unpin> Lookups<R> {
    pub(super) fn new(requests: R, servicer: CatalogServicer) -> Self {
        Self { requests, servicer, taken: VecDeque::new(), end: End::Open }
    }

    /// Takes the requests that have arrived, up to a limit.
    fn take_requests(&mut self, cx: &mut Context<'_>) {
        let mut bytes = 0;
        while matches!(self.end, End::Open) && self.taken.len() < PREFETCHED_IDS && bytes < MAX_TAKEN_BYTES {
            match Pin::new(&mut self.requests).poll_next(cx) {
                Poll::Ready(Some(Ok(request))) => {
                    bytes += request.id.len();
                    self.taken.push_back(request);
                }
                Poll::Ready(Some(Err(status))) => self.end = End::Failed(status),
                Poll::Ready(None) => self.end = End::Ended,
                Poll::Pending => break,
            }
        }
        if self.taken.len() > 1 {
            self.servicer.prefetch(self.taken.iter().map(|request| request.id.as_bytes()));
        }
    }
}

impl<R: Stream<Item = Result<LookupMoviesRequest, Status>> + Unpin> Stream for Lookups<R> {
    type Item = Result<Encoded<LookupMoviesResponse>, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.taken.is_empty() {
            self.take_requests(cx);
        }
        if let Some(request) = self.taken.pop_front() {
            return Poll::Ready(Some(Ok(self.servicer.look_up(request))));
        }
        if matches!(self.end, End::Open) {
            return Poll::Pending;
        }
        match mem::replace(&mut self.end, End::Ended) {
            End::Failed(status) => Poll::Ready(Some(Err(status))),
            End::Open | End::Ended => Poll::Ready(None),
        }
    }
}
