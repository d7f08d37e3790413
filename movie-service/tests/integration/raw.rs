//! A peer that speaks HTTP/2 and leaves gRPC to the test.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Method, Request};
use tokio::net::TcpStream;

/// A connection.
pub(crate) struct Peer(SendRequest<Bytes>, Vec<Unfinished>);

/// A call that is kept open.
type Unfinished = (h2::client::ResponseFuture, h2::SendStream<Bytes>);

/// What a test sends: a request in all its parts.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    /// One DATA frame each.
    pub(crate) frames: Vec<Vec<u8>>,
    /// Whether the last frame says that it is the last, or an empty one follows.
    pub(crate) ends_with_last_frame: bool,
    pub(crate) trailers: bool,
}

/// What came back.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
}

/// Returns the body of a call with one message.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    [&[0], length.to_be_bytes().as_slice(), message].concat()
}

impl Call {
    /// A call as gRPC clients make it.
    pub(crate) fn new(path: &'static str, message: &[u8]) -> Self {
        Self {
            method: Method::POST,
            path,
            headers: vec![("content-type", "application/grpc"), ("te", "trailers")],
            frames: vec![framed(message)],
            ends_with_last_frame: true,
            trailers: false,
        }
    }

    /// The same with another header.
    pub(crate) fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same with other frames.
    pub(crate) fn frames(mut self, frames: &[&[u8]]) -> Self {
        self.frames = frames.iter().map(|frame| frame.to_vec()).collect();
        self
    }
}

impl Peer {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (peer, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Self(peer.ready().await.unwrap(), Vec::new())
    }

    /// Asks for the list and never reads what comes, for as long as what is returned is kept.
    pub(crate) async fn stall(&mut self) -> h2::RecvStream {
        let request = Request::post("http://localhost/Movie/GetListMovies").header("te", "trailers");
        let request = request.header("content-type", "application/grpc").body(()).unwrap();
        let (response, mut body) = self.0.send_request(request, false).unwrap();
        body.send_data(framed(b"").into(), true).unwrap();
        response.await.unwrap().into_body()
    }

    /// Starts a call with a prefix that announces 4 MiB, and leaves it at that.
    pub(crate) async fn announce(&mut self) {
        let request = Request::post("http://localhost/Movie/GetMovieByID").header("te", "trailers");
        let request = request.header("content-type", "application/grpc").body(()).unwrap();
        let (response, mut body) = self.0.send_request(request, false).unwrap();
        body.send_data(Bytes::from_static(b"\0\0\x40\0\0x"), false).unwrap();
        self.1.push((response, body));
        // Until the server has it.
        tokio::task::yield_now().await;
    }

    /// Makes a call. An error is one of HTTP/2.
    pub(crate) async fn call(&mut self, call: &Call) -> Result<Answer, h2::Error> {
        let mut request =
            Request::builder().method(call.method.clone()).uri(format!("http://localhost{}", call.path));
        for (name, value) in &call.headers {
            request = request.header(*name, *value);
        }
        let (response, mut body) = self.0.send_request(request.body(()).unwrap(), false)?;
        let last = call.frames.len().saturating_sub(1);
        for (number, frame) in call.frames.iter().enumerate() {
            let end = number == last && call.ends_with_last_frame && !call.trailers;
            // An error means that the server has heard enough; its answer tells.
            if body.send_data(frame.clone().into(), end).is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        if call.trailers {
            let _ = body.send_trailers(HeaderMap::new());
        } else if !call.ends_with_last_frame || call.frames.is_empty() {
            let _ = body.send_data(Bytes::new(), true);
        }

        let (parts, mut incoming) = response.await?.into_parts();
        let mut body = Vec::new();
        while let Some(data) = incoming.data().await {
            let data = data?;
            incoming.flow_control().release_capacity(data.len())?;
            body.extend(data);
        }
        let mut headers = parts.headers;
        headers.remove("date");
        if body.is_empty() {
            // Some say it, some leave it to the end of the stream.
            headers.remove("content-length");
        }
        Ok(Answer { status: parts.status.as_u16(), headers, body, trailers: incoming.trailers().await? })
    }
}
