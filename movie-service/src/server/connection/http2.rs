//! HTTP/2 connections, on h2.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use h2::server::{Builder, Connection};
use h2::{Ping, PingPong, Reason};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::debug;

use crate::server::call::body::RequestBody;
use crate::server::call::response::ResponseTask;
use crate::server::call::response_data::ResponseData;
use crate::server::call::server_state::Phase;
use crate::server::call::task::CallHandler;
use crate::server::connection::executor;
use crate::server::connection::serve_connection::{ServeConnection, ServeResult};
use crate::server::connection::write_buffer::WriteBuffer;
use crate::server::limits::Limits;

/// GOAWAY with the highest stream and no error: tells the peer to open no more streams; streams already on their way
/// are still served (RFC 9113, section 6.8).
const GO_AWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// A connection of HTTP/2.
pub(crate) struct Http2<S> {
    connection: Connection<WriteBuffer<S>, ResponseData>,
    write_buffer: WriteBuffer<S>,
    pings: Option<PingPong>,
    calls: CallHandler,
    phase: watch::Receiver<Phase>,
    shutdown: Shutdown,
    /// Time after which new streams are refused, once shutdown was announced.
    refuses_from: Option<Instant>,
    /// How long streams are still accepted after the peer acknowledged the PING.
    linger: Duration,
    /// How long to wait for that acknowledgement.
    pong_timeout: Duration,
}

/// Progress of a graceful shutdown.
///
/// h2's own graceful shutdown sends the final GOAWAY as soon as the peer acknowledges a PING. From then on, h2 ignores
/// new streams, but treats a `WINDOW_UPDATE` on such a stream as a connection error, which ends all calls in flight.
/// Such frames are common: gRPC's C core writes a PING acknowledgement ahead of the HEADERS of calls that it has begun.
/// Here, the final GOAWAY waits until no stream is open, and h2 reads nothing after it.
#[derive(Clone, Copy)]
enum Shutdown {
    /// No shutdown was requested.
    NotRequested,
    /// The first GOAWAY is to be sent, once h2 is not in the middle of a frame.
    Requested,
    /// The first GOAWAY was sent. A PING has to follow, once no other PING is outstanding.
    Announced,
    /// The PING was sent.
    Pinged,
    /// The peer acknowledged the PING.
    Acknowledged,
    /// h2 has the final GOAWAY.
    Final,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Http2<S> {
    /// Performs the HTTP/2 handshake: reads the preface and sends SETTINGS.
    ///
    /// # Errors
    ///
    /// If the preface is invalid, or the connection fails.
    pub(crate) async fn handshake(
        write_buffer: WriteBuffer<S>,
        limits: &Limits,
        calls: CallHandler,
        phase: watch::Receiver<Phase>,
    ) -> Result<Self, h2::Error> {
        let mut connection = Builder::new()
            .max_concurrent_streams(clamp_to_window(limits.streams))
            .max_pending_accept_reset_streams(limits.resets)
            .max_local_error_reset_streams(Some(limits.resets))
            .max_header_list_size(clamp_to_window(limits.header_list))
            .initial_window_size(clamp_to_window(limits.window))
            .initial_connection_window_size(clamp_to_window(limits.window.saturating_mul(4)))
            .max_send_buffer_size(limits.send_buffer)
            .handshake(write_buffer.clone())
            .await?;
        Ok(Self {
            pings: connection.ping_pong(),
            connection,
            write_buffer,
            calls,
            phase,
            shutdown: Shutdown::NotRequested,
            refuses_from: None,
            linger: limits.linger,
            pong_timeout: limits.keep_alive_timeout.max(limits.linger),
        })
    }

    /// Advances the shutdown; returns whether h2 has to be polled again.
    fn advance_shutdown(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(pings) = &mut self.pings else { return false };
        if matches!(self.shutdown, Shutdown::Requested) && self.write_buffer.insert_frame(&GO_AWAY) {
            self.refuses_from = Some(Instant::now() + self.pong_timeout);
            self.shutdown = Shutdown::Announced;
        }
        match self.shutdown {
            Shutdown::Announced => {
                // The acknowledgement of an earlier PING says nothing about the GOAWAY.
                let _ = pings.poll_pong(cx);
                if pings.send_ping(Ping::opaque()).is_err() {
                    return false;
                }
                self.shutdown = Shutdown::Pinged;
                true
            }
            Shutdown::Pinged if pings.poll_pong(cx).is_ready() => {
                self.refuses_from = Some(Instant::now() + self.linger);
                self.shutdown = Shutdown::Acknowledged;
                true
            }
            Shutdown::Acknowledged if !self.connection.has_streams() => {
                self.send_final_goaway();
                true
            }
            Shutdown::NotRequested
            | Shutdown::Requested
            | Shutdown::Pinged
            | Shutdown::Acknowledged
            | Shutdown::Final => false,
        }
    }

    /// Has h2 send the final GOAWAY, with the last stream that it has seen, and close the connection.
    fn send_final_goaway(&mut self) {
        self.connection.abrupt_shutdown(Reason::NO_ERROR);
        self.shutdown = Shutdown::Final;
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> ServeConnection for Http2<S> {
    const HAS_TASKS: bool = true;

    fn poll_serve(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<ServeResult> {
        loop {
            while let Poll::Ready(accepted) = self.connection.poll_accept(cx) {
                let Some(call) = accepted else { return Poll::Ready(Ok(())) };
                let (request, mut respond) = call?;
                if self.refuses_from.is_some_and(|from| from <= Instant::now()) {
                    debug!("refused a stream that was opened after GOAWAY");
                    // The peer may send the request elsewhere: it was not processed (RFC 9113, section 8.7).
                    respond.send_reset(Reason::REFUSED_STREAM);
                    continue;
                }
                let call = self.calls.handle(request.map(RequestBody));
                let deadline = call.deadline();
                executor::execute(ResponseTask::new(call, respond), deadline, &self.phase);
            }
            if !self.advance_shutdown(cx) {
                return Poll::Pending;
            }
        }
    }

    fn start_shutdown(mut self: Pin<&mut Self>) {
        self.shutdown = Shutdown::Requested;
    }

    fn close(mut self: Pin<&mut Self>) {
        self.send_final_goaway();
    }

    fn ping(mut self: Pin<&mut Self>) -> bool {
        // The shutdown PING serves as keep-alive; polling here would consume its acknowledgement.
        if matches!(self.shutdown, Shutdown::Pinged) {
            return true;
        }
        let Some(pings) = &mut self.pings else { return false };
        // Clears an acknowledged PING. While one is outstanding, h2 cannot send another, which is fine. The caller
        // detects an acknowledgement by received bytes.
        let _ = pings.poll_pong(&mut Context::from_waker(Waker::noop()));
        let _ = pings.send_ping(Ping::opaque());
        true
    }
}

/// Converts a limit for h2, clamped to the largest window size (RFC 9113, section 6.9.1).
fn clamp_to_window(size: usize) -> u32 {
    const MAX_WINDOW_BYTES: u32 = (1 << 31) - 1;
    u32::try_from(size).map_or(MAX_WINDOW_BYTES, |size| size.min(MAX_WINDOW_BYTES))
}
