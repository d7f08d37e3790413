//! Bodies of requests and answers.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame};
use tonic::Status;

use super::gather::Data;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The body of an answer.
pub(super) enum Answer {
    /// Ready bytes, then trailers that say OK.
    Ready(Ready),
    /// Whatever the generated code answers.
    Generated(tonic::body::Body),
}

/// Ready bytes, each item some gRPC frames, asked for one at a time as fast as the peer reads.
pub(super) enum Ready {
    /// At most one item.
    One(Option<Bytes>),
    /// Any number of items.
    Many(Box<dyn Iterator<Item = Bytes> + Send>),
    /// The trailers were sent, too.
    Ended,
}

impl Iterator for Ready {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        match self {
            Self::One(frame) => frame.take(),
            Self::Many(frames) => frames.next(),
            Self::Ended => None,
        }
    }
}

impl Body for Answer {
    type Data = Data;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Data>, Status>>> {
        let ready = match &mut *self {
            Self::Ready(ready) => ready,
            Self::Generated(body) => {
                let frame = ready!(Pin::new(body).poll_frame(cx));
                return Poll::Ready(frame.map(|frame| Ok(frame?.map_data(Data::made))));
            }
        };
        Poll::Ready(match ready.next() {
            Some(data) => Some(Ok(Frame::data(Data::lasting(data)))),
            None if matches!(ready, Ready::Ended) => None,
            None => {
                *ready = Ready::Ended;
                let ok = HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static("0"))]);
                Some(Ok(Frame::trailers(ok)))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Ready(ready) => matches!(ready, Ready::Ended),
            Self::Generated(body) => body.is_end_stream(),
        }
    }
}

/// The body of a request of which some frames were read already.
pub(super) struct Replayed<B> {
    /// What was read, the last first.
    pub(super) read: Vec<Result<Frame<Bytes>, hyper::Error>>,
    /// What was not.
    pub(super) rest: B,
}

impl<B: Body<Data = Bytes, Error = hyper::Error> + Unpin> Body for Replayed<B> {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.read.pop() {
            Some(frame) => Poll::Ready(Some(frame)),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_empty() && self.rest.is_end_stream()
    }
}
