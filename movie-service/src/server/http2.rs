//! Connections of HTTP/2, on h2, and the bodies of their requests.

use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use h2::server::{Builder, Connection};
use h2::{Ping, PingPong, RecvStream};
use http_body::{Body, Frame};
use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::{Left, Serving};
use super::data::Data;
use super::limits::Limits;
use super::service::Calls;

/// A connection of HTTP/2.
pub(super) struct Http2<S> {
    connection: Connection<S, Data>,
    pings: Option<PingPong>,
    calls: Calls,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Http2<S> {
    /// Begins a connection: reads the peer's preface and says what it may do.
    ///
    /// # Errors
    ///
    /// If the preface is none, or the connection fails.
    pub(super) async fn begin(io: S, limits: &Limits, calls: Calls) -> Result<Self, h2::Error> {
        let mut connection = Builder::new()
            .max_concurrent_streams(size(limits.streams))
            .max_pending_accept_reset_streams(limits.resets)
            .max_local_error_reset_streams(Some(limits.resets))
            .max_header_list_size(size(limits.header_list))
            .initial_window_size(size(limits.window))
            .initial_connection_window_size(size(limits.window.saturating_mul(4)))
            .max_send_buffer_size(limits.send_buffer)
            .handshake(io)
            .await?;
        Ok(Self { pings: connection.ping_pong(), connection, calls })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Serving for Http2<S> {
    const HAS_TASKS: bool = true;

    fn poll_serve(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Left> {
        while let Some(call) = ready!(self.connection.poll_accept(cx)) {
            let (request, respond) = call?;
            self.calls.answer(request.map(Incoming), respond);
        }
        Poll::Ready(Ok(()))
    }

    fn leave(mut self: Pin<&mut Self>) {
        self.connection.graceful_shutdown();
    }

    fn ping(mut self: Pin<&mut Self>) -> bool {
        let Some(pings) = &mut self.pings else { return false };
        // Has h2 forget the last one if it was answered. If it was not, no other can be sent, and it still asks. To see
        // any answer, whoever asks watches what arrives.
        let _ = pings.poll_pong(&mut Context::from_waker(Waker::noop()));
        let _ = pings.send_ping(Ping::opaque());
        true
    }
}

/// Returns a size, or the largest that a window may have (RFC 9113, section 6.9.1), which suits every setting.
fn size(size: usize) -> u32 {
    const MOST: u32 = (1 << 31) - 1;
    u32::try_from(size).map_or(MOST, |size| size.min(MOST))
}

/// The body of a request. What was read of it makes room for as much.
pub(super) struct Incoming(RecvStream);

impl Body for Incoming {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let stream = &mut self.0;
        match ready!(stream.poll_data(cx)) {
            Some(Ok(bytes)) => {
                // It fails only for more than was received.
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

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Request, Response};
    use http_body_util::BodyExt;
    use tokio::io::duplex;

    use super::*;

    /// Has a client send some of a request and end it in such a way; returns what its reader gets last.
    async fn last(
        end: impl FnOnce(&mut h2::SendStream<Bytes>) + Send + 'static,
    ) -> Option<Result<Frame<Bytes>, h2::Error>> {
        let (ours, theirs) = duplex(1024);
        let client = async {
            let (mut calls, connection) = h2::client::handshake(theirs).await.unwrap();
            let (answer, mut body) =
                calls.send_request(Request::post("http://localhost/").body(()).unwrap(), false).unwrap();
            body.send_data(Bytes::from_static(b"some"), false).unwrap();
            tokio::spawn(connection);
            // Once the headers of the answer are here, what was sent before was read.
            let answer = answer.await.unwrap();
            end(&mut body);
            (answer, body)
        };
        let client = tokio::spawn(client);
        let mut server = h2::server::handshake(ours).await.unwrap();
        let (request, mut respond) = server.accept().await.unwrap().unwrap();
        tokio::spawn(async move { while server.accept().await.is_some() {} });
        let mut body = Incoming(request.into_body());
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "some");
        let _stream: h2::SendStream<Bytes> = respond.send_response(Response::new(()), false).unwrap();
        let _open = client.await.unwrap();
        body.frame().await
    }

    #[tokio::test]
    async fn a_request_ends_with_its_end_or_its_trailers() {
        let ended = last(|body| body.send_data(Bytes::new(), true).unwrap()).await;
        assert!(ended.is_none_or(|frame| frame.unwrap().into_data().unwrap().is_empty()));
        let trailers = HeaderMap::from_iter([(http::header::TE, "trailers".parse().unwrap())]);
        let sent = trailers.clone();
        let ended = last(|body| body.send_trailers(sent).unwrap()).await;
        assert_eq!(ended.unwrap().unwrap().into_trailers().unwrap(), trailers);
    }

    #[tokio::test]
    async fn a_request_that_is_broken_off_does_not_look_as_if_it_had_ended() {
        for reason in [h2::Reason::NO_ERROR, h2::Reason::CANCEL, h2::Reason::INTERNAL_ERROR] {
            let broken = last(move |body| body.send_reset(reason)).await;
            assert_eq!(broken.unwrap().unwrap_err().reason(), Some(reason));
        }
    }
}
