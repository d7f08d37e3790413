//! A server with scripted responses that records its calls.

use std::convert::Infallible;
use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::vec;

use futures_util::stream::{Stream, StreamExt, once, unfold};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use prost::bytes::{BufMut, Bytes, BytesMut};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::sleep;
use tonic::Status;

/// Length of the prefix of a gRPC message: the compression flag and the message length.
const FRAME_PREFIX_BYTES: usize = 5;

/// A step of a response. A response without further steps ends with the status OK.
#[derive(Clone)]
pub(crate) enum Step {
    /// Send a message.
    Message(Bytes),
    /// Wait.
    Pause(Duration),
    /// Never continue.
    Hang,
    /// End the call with this status.
    End(Status),
    /// Close the connection.
    Disconnect,
    /// Send an HTTP response that is not gRPC, like a proxy. Must be the only step.
    HttpResponse(HttpResponse),
}

/// An HTTP response that is not gRPC.
#[derive(Clone)]
pub(crate) struct HttpResponse {
    pub(crate) status: u16,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) body: &'static str,
}

/// A recorded call.
#[derive(Clone)]
pub(crate) struct RecordedCall {
    /// Number of calls before this one.
    pub(crate) number: usize,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    /// The first request message.
    message: Bytes,
}

/// A server with scripted responses.
pub(crate) struct ScriptedServer {
    pub(crate) address: SocketAddr,
    recorded: Arc<Mutex<Recorded>>,
}

#[derive(Default)]
struct Recorded {
    calls: Vec<RecordedCall>,
    /// Numbers of the calls that ended before their responses.
    cancelled: Vec<usize>,
    connections: usize,
}

/// The rest of a response.
struct Rest {
    steps: vec::IntoIter<Step>,
    disconnect: Arc<Notify>,
    /// Number of the call.
    number: usize,
    is_ended: bool,
    recorded: Arc<Mutex<Recorded>>,
}

impl Drop for Rest {
    fn drop(&mut self) {
        if !self.is_ended {
            self.recorded.lock().unwrap().cancelled.push(self.number);
        }
    }
}

type Script = dyn Fn(&RecordedCall) -> Vec<Step> + Send + Sync;

impl Step {
    /// Returns the step that sends a message.
    pub(crate) fn message(message: &impl Message) -> Self {
        Self::Message(message.encode_to_vec().into())
    }
}

impl HttpResponse {
    fn response(&self) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
        let mut response = Response::builder().status(self.status);
        if let Some(content_type) = self.content_type {
            response = response.header(CONTENT_TYPE, content_type);
        }
        response.body(Full::from(self.body).boxed_unsync()).unwrap()
    }
}

impl RecordedCall {
    /// Returns the first request message.
    pub(crate) fn message<M: Message + Default>(&self) -> M {
        M::decode(self.message.clone()).unwrap()
    }

    /// Returns the value of the header `grpc-timeout`.
    pub(crate) fn timeout(&self) -> Duration {
        let text = self.headers["grpc-timeout"].to_str().unwrap();
        let (number, unit) = text.split_at(text.len() - 1);
        let number = number.parse().unwrap();
        match unit {
            "n" => Duration::from_nanos(number),
            "u" => Duration::from_micros(number),
            "m" => Duration::from_millis(number),
            "S" => Duration::from_secs(number),
            _ => panic!("{text}"),
        }
    }
}

impl ScriptedServer {
    /// Starts a server that responds to each call with the steps of `script`.
    pub(crate) async fn start(script: impl Fn(&RecordedCall) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap(), script)
    }

    /// Starts a server on an existing listener.
    pub(crate) fn on(
        listener: TcpListener,
        script: impl Fn(&RecordedCall) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        let (address, recorded) = (listener.local_addr().unwrap(), Arc::<Mutex<Recorded>>::default());
        let (script, records): (Arc<Script>, _) = (Arc::new(script), Arc::clone(&recorded));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                records.lock().unwrap().connections += 1;
                let disconnect = Arc::new(Notify::new());
                let (script, records, to_disconnect) =
                    (Arc::clone(&script), Arc::clone(&records), Arc::clone(&disconnect));
                let service = service_fn(move |request| {
                    respond(request, Arc::clone(&script), Arc::clone(&records), Arc::clone(&to_disconnect))
                });
                let connection = http2::Builder::new(TokioExecutor::new());
                let connection = connection.serve_connection(TokioIo::new(socket), service);
                tokio::spawn(async move {
                    // Data from before the disconnect is sent first.
                    tokio::select! {
                        biased;
                        _ = connection => {}
                        () = disconnect.notified() => {}
                    }
                });
            }
        });
        Self { address, recorded }
    }

    /// Starts a server with the same response to each call.
    pub(crate) async fn always(steps: impl Into<Vec<Step>>) -> Self {
        let steps = steps.into();
        Self::start(move |_| steps.clone()).await
    }

    /// Returns the calls so far.
    pub(crate) fn calls(&self) -> Vec<RecordedCall> {
        self.recorded.lock().unwrap().calls.clone()
    }

    /// Returns the numbers of the calls that the client cancelled, or whose connection was lost.
    pub(crate) fn cancelled(&self) -> Vec<usize> {
        self.recorded.lock().unwrap().cancelled.clone()
    }

    /// Returns the number of connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.recorded.lock().unwrap().connections
    }
}

async fn respond(
    request: Request<Incoming>,
    script: Arc<Script>,
    recorded: Arc<Mutex<Recorded>>,
    disconnect: Arc<Notify>,
) -> Result<Response<UnsyncBoxBody<Bytes, Infallible>>, Infallible> {
    let (head, body) = request.into_parts();
    // A caller that disconnects has sent nothing.
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let (number, steps) = {
        let mut recorded = recorded.lock().unwrap();
        let number = recorded.calls.len();
        let call = RecordedCall {
            number,
            path: head.uri.path().to_owned(),
            headers: head.headers,
            message: first_message(body),
        };
        let steps = script(&call);
        recorded.calls.push(call);
        (number, steps)
    };
    if let [Step::HttpResponse(page)] = steps.as_slice() {
        return Ok(page.response());
    }
    let mut response = Response::builder();
    let headers = response.headers_mut().unwrap();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    let rest = Rest { steps: steps.into_iter(), disconnect, number, is_ended: false, recorded };
    let mut frames = Box::pin(frames(rest));
    // The headers are sent with the first frame. A response without messages consists of trailers only.
    let first = frames.next().await.unwrap();
    let first = match first.into_trailers() {
        Ok(trailers) => {
            headers.extend(trailers);
            None
        }
        Err(message) => Some(message),
    };
    let body = first.map(|first| once(async { first }).chain(frames).map(Ok));
    let body = futures_util::stream::iter(body).flatten();
    Ok(response.body(StreamBody::new(body).boxed_unsync()).unwrap())
}

fn first_message(mut body: Bytes) -> Bytes {
    if body.len() < FRAME_PREFIX_BYTES {
        return Bytes::new();
    }
    let prefix = body.split_to(FRAME_PREFIX_BYTES);
    let length = u32::from_be_bytes(prefix[1..].try_into().unwrap());
    body.slice(..length as usize)
}

/// Returns the frames of a response, which end with trailers.
fn frames(rest: Rest) -> impl Stream<Item = Frame<Bytes>> + Send {
    unfold(Some(rest), async |rest| {
        let mut rest = rest?;
        loop {
            match rest.steps.next() {
                Some(Step::Message(message)) => return Some((Frame::data(framed(&message)), Some(rest))),
                Some(Step::Pause(time)) => sleep(time).await,
                Some(Step::Hang) => pending::<()>().await,
                Some(Step::End(status)) => {
                    rest.is_ended = true;
                    return Some((ended(&status), None));
                }
                Some(Step::Disconnect) => {
                    rest.disconnect.notify_one();
                    pending::<()>().await;
                }
                Some(Step::HttpResponse(_)) => panic!("a page among other steps"),
                None => {
                    rest.is_ended = true;
                    return Some((ended(&Status::ok("")), None));
                }
            }
        }
    })
}

fn framed(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(FRAME_PREFIX_BYTES + message.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap());
    framed.put_slice(message);
    framed.freeze()
}

fn ended(status: &Status) -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    status.add_header(&mut trailers).unwrap();
    Frame::trailers(trailers)
}
