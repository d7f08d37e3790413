//! Bodies of requests and answers.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame};
use tonic::Status;

use super::call::InFlight;
use super::gather::Data;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The body of an answer. The call is in flight until the last of it was taken, or it is dropped.
pub(super) struct Answer {
    content: Content,
    call: Option<InFlight>,
}

/// What an answer consists of.
#[derive(Default)]
pub(super) enum Content {
    /// Nothing.
    #[default]
    Empty,
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
}

impl Iterator for Ready {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        match self {
            Self::One(frame) => frame.take(),
            Self::Many(frames) => frames.next(),
        }
    }
}

impl Answer {
    /// An answer to a call that is in flight.
    pub(super) fn to(mut call: InFlight, content: Content) -> Self {
        call.owe(true);
        Self { content, call: Some(call) }
    }

    /// An answer that is of no call, or of one that is counted elsewhere.
    pub(super) fn to_none(content: Content) -> Self {
        Self { content, call: None }
    }

    /// The last frame: a status.
    fn end(&mut self, trailers: HeaderMap) -> Frame<Data> {
        self.content = Content::Empty;
        if let Some(call) = self.call.take() {
            call.end(&trailers);
        }
        Frame::trailers(trailers)
    }
}

/// The body of an answer of which the headers say it all.
impl Default for Answer {
    fn default() -> Self {
        Self { content: Content::Empty, call: None }
    }
}

impl Body for Answer {
    type Data = Data;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Data>, Status>>> {
        let this = &mut *self;
        let long = !matches!(this.content, Content::Empty | Content::Ready(Ready::One(_)));
        if long && let Some(refusal) = this.call.as_ref().and_then(InFlight::refusal) {
            let mut trailers = HeaderMap::new();
            // Every message of a refusal fits a header.
            let _ = Status::from(refusal).add_header(&mut trailers);
            return Poll::Ready(Some(Ok(this.end(trailers))));
        }
        Poll::Ready(match &mut this.content {
            Content::Empty => None,
            Content::Ready(ready) => {
                if let Some(data) = ready.next() {
                    return Poll::Ready(Some(Ok(Frame::data(Data::lasting(data)))));
                }
                this.content = Content::Empty;
                if let Some(call) = this.call.take() {
                    call.end_well();
                }
                let ok = HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static("0"))]);
                Some(Ok(Frame::trailers(ok)))
            }
            Content::Generated(body) => {
                let polled = Pin::new(body).poll_frame(cx);
                if let Some(call) = &mut this.call {
                    // While nothing is ready, the peer is not the one to wait for.
                    call.owe(polled.is_ready());
                }
                match ready!(polled).transpose()?.map(Frame::into_trailers) {
                    Some(Ok(mut trailers)) => {
                        if let Some(call) = &mut this.call {
                            call.hide_internals(&mut trailers);
                        }
                        Some(Ok(this.end(trailers)))
                    }
                    Some(Err(frame)) => Some(Ok(frame.map_data(Data::made))),
                    None => {
                        this.content = Content::Empty;
                        None
                    }
                }
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Empty => true,
            Content::Ready(_) => false,
            Content::Generated(body) => body.is_end_stream(),
        }
    }
}

/// The body of a request of which some frames were read already.
pub(super) struct Replayed<B: Body> {
    /// What was read, the last first.
    pub(super) read: Vec<Result<Frame<Bytes>, B::Error>>,
    /// What was not.
    pub(super) rest: B,
}

impl<B: Body<Data = Bytes, Error: Unpin> + Unpin> Body for Replayed<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.read.pop() {
            Some(frame) => Poll::Ready(Some(frame)),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_empty() && self.rest.is_end_stream()
    }
}
