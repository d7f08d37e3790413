//! The body of a streamed response: an array, lines, or server-sent events.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::time::{Instant, Sleep, sleep};
use tonic::{Code, Status};

use crate::catalogue::encoding::frame;
use crate::server::call::message::prefix::PREFIX_BYTES;
use crate::server::call::refusal::Refusal;
use crate::server::call::transcoding::json_writer::{Layout, text_field};
use crate::server::call::transcoding::routes::Route;

/// How the messages of a stream are separated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// The elements of a JSON array. An error leaves it without its end.
    Array,
    /// A line for each message (<https://github.com/ndjson/ndjson-spec>). An error is the last line.
    Lines,
    /// Server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>). The field `resume_token` of a
    /// message is the id of its event; without one, the event has no id. An error is an event of the type `error`.
    Events,
}

impl Framing {
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Array => "application/json",
            Self::Lines => "application/x-ndjson",
            Self::Events => "text/event-stream",
        }
    }
}

/// A streamed response in JSON, made of one in gRPC. Each data frame of it must contain whole messages.
pub(crate) struct TranscodedStream {
    body: tonic::body::Body,
    /// The first frame, which was read to know whether the call failed.
    first: Option<Frame<Bytes>>,
    route: Arc<Route>,
    framing: Framing,
    layout: Layout,
    /// The time of the next comment, of events only.
    heartbeat: Option<Pin<Box<Sleep>>>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// No message has been written.
    Beginning,
    Continuing,
    Ended,
}

/// Time between comments of a stream of events, so that proxies do not end a silent one. Messages do not reset the
/// timer: that would cost more than a few comments between them.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// A comment of a stream of events, which browsers pass over.
const COMMENT: &[u8] = b":\n\n";

impl TranscodedStream {
    pub(crate) fn new(
        first: Frame<Bytes>,
        body: tonic::body::Body,
        route: Arc<Route>,
        framing: Framing,
        layout: Layout,
    ) -> Self {
        // A line break ends a line, and the data of an event.
        let layout = if framing == Framing::Array { layout } else { Layout::Compact };
        let heartbeat = (framing == Framing::Events).then(|| Box::pin(sleep(HEARTBEAT)));
        Self { body, first: Some(first), route, framing, layout, heartbeat, state: State::Beginning }
    }

    /// Writes the messages of a data frame.
    fn messages(&mut self, data: &Bytes) -> Result<Vec<u8>, Status> {
        let mut out = Vec::with_capacity(data.len() * 2);
        for (_, message) in frame::each(data) {
            let message = &message[PREFIX_BYTES..];
            match self.framing {
                Framing::Array => out.extend_from_slice(self.separator()),
                Framing::Lines => {}
                Framing::Events => {
                    let id = self.route.resume_token.and_then(|number| text_field(message, number));
                    // An id cannot have line breaks, or it would be cut.
                    if let Some(id) = id.filter(|id| !id.is_empty() && !id.contains(['\r', '\n', '\0'])) {
                        out.extend_from_slice(b"id: ");
                        out.extend_from_slice(id.as_bytes());
                        out.push(b'\n');
                    }
                    out.extend_from_slice(b"data: ");
                }
            }
            let written = self.route.writer.write(message, self.layout, &mut out);
            written.map_err(|_| Status::from(Refusal::Internal))?;
            out.extend_from_slice(match self.framing {
                Framing::Array => b"",
                Framing::Lines => b"\n",
                Framing::Events => b"\n\n",
            });
            self.state = State::Continuing;
        }
        Ok(out)
    }

    /// Returns what stands before the next element of an array.
    fn separator(&self) -> &'static [u8] {
        match (self.state == State::Beginning, self.layout) {
            (true, Layout::Compact) => b"[",
            (true, Layout::Pretty) => b"[\n",
            (false, Layout::Compact) => b",",
            (false, Layout::Pretty) => b",\n",
        }
    }

    /// Returns what ends the stream; an error if it has to be cut off.
    fn end(&mut self, status: Status) -> Result<Vec<u8>, Status> {
        let is_empty = self.state == State::Beginning;
        self.state = State::Ended;
        if status.code() == Code::Ok {
            return Ok(match (self.framing, is_empty) {
                (Framing::Array, true) => b"[]\n".to_vec(),
                (Framing::Array, false) => b"]\n".to_vec(),
                (Framing::Lines | Framing::Events, _) => Vec::new(),
            });
        }
        let error = || self.route.error(&status);
        match self.framing {
            Framing::Array => Err(status),
            Framing::Lines => Ok(format!("{}\n", error()).into_bytes()),
            Framing::Events => Ok(format!("event: error\ndata: {}\n\n", error()).into_bytes()),
        }
    }

    fn frame(&mut self, frame: Frame<Bytes>) -> Result<Vec<u8>, Status> {
        match frame.into_data() {
            Ok(data) => self.messages(&data),
            Err(frame) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                let status = Status::from_header_map(&trailers);
                self.end(status.unwrap_or_else(|| Refusal::Internal.into()))
            }
        }
    }
}

impl Body for TranscodedStream {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            if self.state == State::Ended {
                return Poll::Ready(None);
            }
            let frame = match self.first.take() {
                Some(frame) => Ok(frame),
                None => match Pin::new(&mut self.body).poll_frame(cx) {
                    Poll::Ready(Some(frame)) => frame,
                    // gRPC always ends with trailers, so the response is incomplete.
                    Poll::Ready(None) => Err(Refusal::Internal.into()),
                    Poll::Pending => {
                        let Some(heartbeat) = &mut self.heartbeat else { return Poll::Pending };
                        ready!(heartbeat.as_mut().poll(cx));
                        heartbeat.as_mut().reset(Instant::now() + HEARTBEAT);
                        return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(COMMENT)))));
                    }
                },
            };
            let written = frame.or_else(|status| {
                let mut trailers = http::HeaderMap::new();
                // Statuses of this service fit into a header.
                let _ = status.add_header(&mut trailers);
                Ok::<_, Status>(Frame::trailers(trailers))
            });
            let written = written.and_then(|frame| self.frame(frame));
            match written {
                Ok(data) if data.is_empty() => {}
                Ok(data) => return Poll::Ready(Some(Ok(Frame::data(data.into())))),
                Err(status) => {
                    self.state = State::Ended;
                    return Poll::Ready(Some(Err(status)));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.state == State::Ended
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use http_body_util::{BodyExt, StreamBody};
    use prost_reflect::DescriptorPool;
    use tokio::time::timeout;

    use super::*;
    use crate::server::call::transcoding::routes::Routes;

    /// Returns a watch that has sent one message, and is silent from then on.
    fn silent(framing: Framing) -> TranscodedStream {
        let descriptors = DescriptorPool::decode(movie_proto::FILE_DESCRIPTOR_SET).unwrap();
        let routes = Routes::new(&descriptors).unwrap();
        let route = routes.find(&Method::GET, "/v1/movies:watch").unwrap().clone();
        let silence = StreamBody::new(tokio_stream::pending::<Result<Frame<Bytes>, Status>>());
        let first = Frame::data(Bytes::from_static(&[0; PREFIX_BYTES]));
        TranscodedStream::new(first, tonic::body::Body::new(silence), route, framing, Layout::Compact)
    }

    async fn next(stream: &mut TranscodedStream) -> Bytes {
        BodyExt::frame(stream).await.unwrap().unwrap().into_data().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_stream_of_events_sends_comments_and_others_send_nothing() {
        let mut events = silent(Framing::Events);
        assert_eq!(next(&mut events).await, "data: {}\n\n");
        for _ in 0..3 {
            let began = Instant::now();
            assert_eq!(next(&mut events).await, ":\n\n");
            let waited = began.elapsed();
            assert!(waited >= HEARTBEAT && waited < HEARTBEAT + Duration::from_secs(1), "{waited:?}");
        }
        let mut lines = silent(Framing::Lines);
        assert_eq!(next(&mut lines).await, "{}\n");
        timeout(10 * HEARTBEAT, BodyExt::frame(&mut lines)).await.unwrap_err();
    }
}
