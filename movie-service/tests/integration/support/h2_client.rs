//! A correct HTTP/2 client, with the h2 crate, that leaves gRPC to the test.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Method, Request};
use tokio::net::TcpStream;

use super::messages::framed;

/// A connection.
pub(crate) struct Client(SendRequest<Bytes>);

/// A request in all its parts.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    /// The payloads of the DATA frames.
    pub(crate) frames: Vec<Vec<u8>>,
    /// Whether the last frame has `END_STREAM`; otherwise an empty frame with it follows.
    pub(crate) ends_with_last_frame: bool,
    pub(crate) trailers: bool,
}

/// A complete response.
#[derive(Debug, PartialEq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Call {
    /// Returns a call as gRPC clients make it.
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

    /// Adds a header.
    pub(crate) fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Replaces the DATA frames.
    pub(crate) fn frames(mut self, frames: &[&[u8]]) -> Self {
        self.frames = frames.iter().map(|frame| frame.to_vec()).collect();
        self
    }
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (peer, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Self(peer.ready().await.unwrap())
    }

    /// Calls `GetListMovies` and never reads the response body, which it returns.
    pub(crate) async fn stall(&mut self) -> h2::RecvStream {
        let request = Request::post("http://localhost/Movie/GetListMovies").header("te", "trailers");
        let request = request.header("content-type", "application/grpc").body(()).unwrap();
        let (response, mut body) = self.0.send_request(request, false).unwrap();
        body.send_data(framed(b"").into(), true).unwrap();
        response.await.unwrap().into_body()
    }

    /// Makes a call. Errors are those of HTTP/2.
    pub(crate) async fn call(&mut self, call: &Call) -> Result<Response, h2::Error> {
        let mut request =
            Request::builder().method(call.method.clone()).uri(format!("http://localhost{}", call.path));
        for (name, value) in &call.headers {
            request = request.header(*name, *value);
        }
        let (response, mut body) = self.0.send_request(request.body(()).unwrap(), false)?;
        let last = call.frames.len().saturating_sub(1);
        for (number, frame) in call.frames.iter().enumerate() {
            let end = number == last && call.ends_with_last_frame && !call.trailers;
            // The server may respond before the request ends, and then reset the stream.
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
            // Optional in a response without a body.
            headers.remove("content-length");
        }
        Ok(Response { status: parts.status.as_u16(), headers, body, trailers: incoming.trailers().await? })
    }
}
