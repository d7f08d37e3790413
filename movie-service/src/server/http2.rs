//! Connections of HTTP/2, on h2.

use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use h2::server::{Builder, Connection};
use h2::{Ping, PingPong};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::body::Incoming;
use super::data::Data;
use super::limits::Limits;
use super::reply::Reply;
use super::service::Calls;
use super::serving::{Left, Serving};
use super::{Phase, executor};

/// A connection of HTTP/2.
pub(super) struct Http2<S> {
    connection: Connection<S, Data>,
    pings: Option<PingPong>,
    calls: Calls,
    phase: watch::Receiver<Phase>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Http2<S> {
    /// Begins a connection: reads the peer's preface and says what it may do.
    ///
    /// # Errors
    ///
    /// If the preface is none, or the connection fails.
    pub(super) async fn begin(
        io: S,
        limits: &Limits,
        calls: Calls,
        phase: watch::Receiver<Phase>,
    ) -> Result<Self, h2::Error> {
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
        Ok(Self { pings: connection.ping_pong(), connection, calls, phase })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Serving for Http2<S> {
    const HAS_TASKS: bool = true;

    fn poll_serve(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Left> {
        while let Some(call) = ready!(self.connection.poll_accept(cx)) {
            let (request, respond) = call?;
            let call = self.calls.answer(request.map(Incoming));
            let deadline = call.deadline();
            executor::execute(Reply::new(call, respond), deadline, &self.phase);
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
