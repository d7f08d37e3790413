//! Bodies of requests and responses.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame};
use tokio_stream::Stream;
use tonic::Status;

use crate::server::call::context::CallContext;
use crate::server::call::permit::{Permit, PermitHandle};
use crate::server::call::refusal::Refusal;
use crate::server::call::response_data::ResponseData;
use crate::servicer::watch::{Batch, BatchSink, Watch};

/// The body of a response. The call stays in flight until the last byte is written or the body is dropped.
pub(crate) struct ResponseBody {
    content: Content,
    call: Option<CallContext>,
    /// Permit of a call that another body ends (gRPC-Web): held until the last frame of this body is written.
    permit: Option<PermitHandle>,
}

/// Content of a response.
#[derive(Default)]
pub(crate) enum Content {
    /// No frames.
    #[default]
    Empty,
    /// Encoded frames from the catalogue, then trailers with status OK.
    Encoded(EncodedFrames),
    /// A watch.
    Watch(Box<Watch>),
    /// The body of the generated code.
    Generated(tonic::body::Body),
}

/// Encoded gRPC frames. Items are pulled one at a time, as the peer reads; each holds one frame or more.
pub(crate) enum EncodedFrames {
    /// At most one item.
    One(Option<Bytes>),
    /// Any number of items.
    Many(Box<dyn Iterator<Item = Bytes> + Send>),
}

impl Iterator for EncodedFrames {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        match self {
            Self::One(frame) => frame.take(),
            Self::Many(frames) => frames.next(),
        }
    }
}

impl ResponseBody {
    /// The body of the response to a call in flight.
    pub(crate) fn for_call(call: CallContext, content: Content) -> Self {
        Self { content, call: Some(call), permit: None }
    }

    /// The body of a response without a call in flight, or of a call that another body ends; that call keeps `permit`.
    pub(crate) fn detached(content: Content, permit: Option<Arc<Permit>>) -> Self {
        Self { content, call: None, permit: permit.map(PermitHandle::Shared) }
    }

    /// Keeps the call's permit until the returned guard is dropped.
    pub(crate) fn share_permit(&mut self) -> Option<Arc<Permit>> {
        self.call.as_mut().and_then(|call| PermitHandle::share(call.permit()))
    }

    /// Returns whether this is the body of a watch.
    pub(crate) fn is_watch(&self) -> bool {
        matches!(self.content, Content::Watch(_))
    }

    /// If this is the body of a watch, has batches of changes passed to `sink`.
    pub(crate) fn attach(&self, sink: Weak<dyn BatchSink>) {
        if let Content::Watch(watch) = &self.content {
            watch.attach(sink);
        }
    }

    /// Returns the data of a batch of changes, if this is the body of a watch, the batch comes next, and h2 has written
    /// all data before it.
    pub(crate) fn next_batch(&mut self, batch: &Batch) -> Option<ResponseData> {
        let (Content::Watch(watch), Some(call)) = (&mut self.content, &mut self.call) else { return None };
        let permit = call.permit();
        if permit.as_ref().is_none_or(PermitHandle::is_held_elsewhere) {
            return None;
        }
        let frames = watch.advance(batch)?;
        Some(ResponseData::shared(frames, PermitHandle::unsent_guard(permit)))
    }

    /// Returns why the call cannot go on, if it cannot.
    fn refusal(&self) -> Option<Refusal> {
        self.call.as_ref().and_then(CallContext::refusal)
    }

    /// Ends the call with a status that the service made.
    fn end_with(&mut self, status: &Status) -> Frame<ResponseData> {
        let mut trailers = HeaderMap::new();
        // Such statuses always fit into headers.
        let _ = status.add_header(&mut trailers);
        self.end(trailers)
    }

    /// Ends the call and returns the trailers frame.
    fn end(&mut self, trailers: HeaderMap) -> Frame<ResponseData> {
        self.content = Content::Empty;
        if let Some(call) = self.call.take() {
            call.end(&trailers);
        }
        Frame::trailers(trailers)
    }
}

/// Empty body, for a trailers-only response.
impl Default for ResponseBody {
    fn default() -> Self {
        Self { content: Content::Empty, call: None, permit: None }
    }
}

impl Body for ResponseBody {
    type Data = ResponseData;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<ResponseData>, Status>>> {
        let this = &mut *self;
        let may_last = match &this.content {
            Content::Empty | Content::Encoded(EncodedFrames::One(_)) => false,
            // Looks at the clock only when it has nothing to send.
            Content::Watch(watch) => !watch.is_live(),
            Content::Encoded(EncodedFrames::Many(_)) | Content::Generated(_) => true,
        };
        if may_last && let Some(refusal) = this.refusal() {
            return Poll::Ready(Some(Ok(this.end_with(&Status::from(refusal)))));
        }
        Poll::Ready(match &mut this.content {
            Content::Empty => None,
            Content::Encoded(frames) => {
                let is_only = matches!(frames, EncodedFrames::One(_));
                if let Some(data) = frames.next() {
                    let call = this.call.as_mut();
                    let unsent = call.and_then(|call| {
                        if is_only {
                            call.take_unsent_guard()
                        } else {
                            PermitHandle::unsent_guard(call.permit())
                        }
                    });
                    return Poll::Ready(Some(Ok(Frame::data(ResponseData::shared(data, unsent)))));
                }
                this.content = Content::Empty;
                if let Some(call) = this.call.take() {
                    call.end_ok();
                }
                let ok = HeaderMap::from_iter([(Status::GRPC_STATUS, HeaderValue::from_static("0"))]);
                Some(Ok(Frame::trailers(ok)))
            }
            Content::Watch(watch) => match Pin::new(watch).poll_next(cx) {
                Poll::Pending => match this.refusal() {
                    Some(refusal) => Some(Ok(this.end_with(&Status::from(refusal)))),
                    None => return Poll::Pending,
                },
                Poll::Ready(Some(Ok(frames))) => {
                    let unsent =
                        this.call.as_mut().and_then(|call| PermitHandle::unsent_guard(call.permit()));
                    Some(Ok(Frame::data(ResponseData::shared(frames, unsent))))
                }
                Poll::Ready(Some(Err(error))) => Some(Ok(this.end_with(&Status::from(error)))),
                Poll::Ready(None) => None,
            },
            Content::Generated(body) => {
                let polled = ready!(Pin::new(body).poll_frame(cx));
                match polled.transpose()?.map(Frame::into_trailers) {
                    Some(Ok(mut trailers)) => {
                        if let Some(call) = &mut this.call {
                            call.hide_internals(&mut trailers);
                        }
                        Some(Ok(this.end(trailers)))
                    }
                    Some(Err(frame)) => {
                        let permit = this.call.as_mut().map_or(&mut this.permit, CallContext::permit);
                        let unsent = PermitHandle::unsent_guard(permit);
                        Some(Ok(frame.map_data(|bytes| ResponseData::owned(bytes, unsent))))
                    }
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
            Content::Encoded(_) | Content::Watch(_) => false,
            Content::Generated(body) => body.is_end_stream(),
        }
    }
}

/// Request body over HTTP/2. Reading releases flow-control capacity.
pub(crate) struct RequestBody(pub(crate) RecvStream);

impl Body for RequestBody {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let stream = &mut self.0;
        match ready!(stream.poll_data(cx)) {
            Some(Ok(bytes)) => {
                // Fails only if more is released than was received.
                let _ = stream.flow_control().release_capacity(bytes.len());
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            None => stream
                .poll_trailers(cx)
                .map(|trailers| trailers.transpose().map(|trailers| trailers.map(Frame::trailers))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }
}

/// A request body that returns frames that were read already, then the remaining ones.
pub(crate) struct ReplayedBody<B: Body> {
    /// Frames that were read, in reverse order.
    pub(crate) read: Vec<Result<Frame<Bytes>, B::Error>>,
    /// The remaining body.
    pub(crate) rest: B,
}

impl<B: Body<Data = Bytes, Error: Unpin> + Unpin> Body for ReplayedBody<B> {
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

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Request, Response};
    use http_body_util::BodyExt;
    use tokio::io::duplex;

    use super::*;

    /// Sends the start of a request, ends it with `end`, and returns the last frame that the server reads.
    async fn last_frame(
        end: impl FnOnce(&mut h2::SendStream<Bytes>) + Send + 'static,
    ) -> Option<Result<Frame<Bytes>, h2::Error>> {
        let (ours, theirs) = duplex(1024);
        let client = async {
            let (mut calls, connection) = h2::client::handshake(theirs).await.unwrap();
            let (response, mut body) =
                calls.send_request(Request::post("http://localhost/").body(()).unwrap(), false).unwrap();
            body.send_data(Bytes::from_static(b"some"), false).unwrap();
            tokio::spawn(connection);
            // Once the headers of the response have arrived, the server has read the data sent before.
            let response = response.await.unwrap();
            end(&mut body);
            (response, body)
        };
        let client = tokio::spawn(client);
        let mut server = h2::server::handshake(ours).await.unwrap();
        let (request, mut respond) = server.accept().await.unwrap().unwrap();
        tokio::spawn(async move { while server.accept().await.is_some() {} });
        let mut body = RequestBody(request.into_body());
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "some");
        let _stream: h2::SendStream<Bytes> = respond.send_response(Response::new(()), false).unwrap();
        let _open = client.await.unwrap();
        body.frame().await
    }

    #[tokio::test]
    async fn a_request_ends_with_its_last_data_or_its_trailers() {
        let ended = last_frame(|body| body.send_data(Bytes::new(), true).unwrap()).await;
        assert!(ended.is_none_or(|frame| frame.unwrap().into_data().unwrap().is_empty()));
        let trailers = HeaderMap::from_iter([(http::header::TE, "trailers".parse().unwrap())]);
        let sent = trailers.clone();
        let ended = last_frame(|body| body.send_trailers(sent).unwrap()).await;
        assert_eq!(ended.unwrap().unwrap().into_trailers().unwrap(), trailers);
    }

    #[tokio::test]
    async fn a_request_that_is_reset_is_an_error_and_not_an_end() {
        for reason in [h2::Reason::NO_ERROR, h2::Reason::CANCEL, h2::Reason::INTERNAL_ERROR] {
            let reset = last_frame(move |body| body.send_reset(reason)).await;
            assert_eq!(reset.unwrap().unwrap_err().reason(), Some(reason));
        }
    }
}
