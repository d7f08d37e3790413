//! Lifecycle of a connection: handshake, serving, shutdown.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{self, Instant, MissedTickBehavior};
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use crate::server::accept::admission::Ticket;
use crate::server::accept::listener::{Accepted, Stream};
use crate::server::accept::sniff::{self, Protocol, ReplayedStream};
use crate::server::accept::tls::{self, Tls};
use crate::server::call::connection_state::ConnectionState;
use crate::server::call::server_state::{Phase, ServerState};
use crate::server::call::task::CallHandler;
use crate::server::connection::executor::FINAL_STATUS_TIMEOUT;
use crate::server::connection::http1;
use crate::server::connection::http2::Http2;
use crate::server::connection::serve_connection::{ServeConnection, ServeResult};
use crate::server::connection::supervisor::{Action, Supervisor};
use crate::server::connection::write_buffer::WriteBuffer;
use crate::telemetry::metrics::Metrics;

/// If one poll buffered this much, wait for more before sending.
const LARGE_WRITE_BYTES: usize = 16 * 1024;

/// Maximum number of bytes read and discarded during a lingering close.
const MAX_DISCARDED_BYTES: u64 = 1024 * 1024;

/// What a worker passes to each of its connections.
pub(crate) struct WorkerContext {
    pub(crate) server: Arc<ServerState>,
    pub(crate) phase: watch::Receiver<Phase>,
    /// The worker's number.
    pub(crate) worker: usize,
}

/// Counts a connection as open until it is dropped.
struct OpenConnectionGauge(Metrics);

impl OpenConnectionGauge {
    fn increment(metrics: Metrics) -> Self {
        metrics.connection_opened();
        Self(metrics)
    }
}

impl Drop for OpenConnectionGauge {
    fn drop(&mut self) {
        self.0.connection_closed();
    }
}

/// Serves a connection until either side ends it.
pub(crate) async fn serve(accepted: Accepted, mut ticket: Ticket, context: WorkerContext) {
    let WorkerContext { server, mut phase, worker } = context;
    let _gauge = OpenConnectionGauge::increment(server.metrics.clone());
    let peer = accepted.peer();
    let handshaken = tokio::select! {
        handshaken = time::timeout(server.limits.handshake, handshake(accepted, server.tls.as_ref())) => handshaken,
        _ = &mut ticket.evicted => return debug!("evicted a connection before its handshake was finished"),
        // Let a handshake in progress finish, so that the peer gets a GOAWAY instead of a closed connection.
        () = async {
            let _ = phase.wait_for(|phase| *phase != Phase::Serving).await;
            time::sleep(server.limits.linger).await;
        } => return,
    };
    let Handshaken { protocol, stream, peer_subject_names } = match handshaken {
        Ok(Ok(handshaken)) => handshaken,
        Ok(Err(error)) => return debug!(%error, "the handshake of a connection failed"),
        Err(_) => return debug!("the handshake of a connection timed out"),
    };
    if !ticket.handshake_finished() {
        return;
    }
    let connection =
        ConnectionState::new(server, phase.clone(), worker, peer, ticket.usage(), peer_subject_names);
    let connection = Arc::new(connection);
    let limits = &connection.server.limits;
    let calls = CallHandler::new(connection.clone());
    match protocol {
        Protocol::Http2 => {
            let write_buffer = WriteBuffer::new(stream);
            // The preface has been read already, so this does not wait.
            match Http2::handshake(write_buffer.clone(), limits, calls, phase).await {
                Ok(serving) => drive(serving, write_buffer, &connection, &mut ticket).await,
                Err(error) => debug!(%error, "the HTTP/2 handshake of a connection failed"),
            }
        }
        Protocol::Http1 if connection.server.web.is_some() => {
            let write_buffer = WriteBuffer::new(stream);
            let serving =
                http1::builder(limits.idle).serve_connection(TokioIo::new(write_buffer.clone()), calls);
            drive(serving, write_buffer, &connection, &mut ticket).await;
        }
        Protocol::Http1 => {
            let drain = async { drop(phase.wait_for(|phase| *phase != Phase::Serving).await) };
            tokio::select! {
                refused = http1::refuse(stream, limits.handshake, &connection.server.metrics, drain) => if let Err(error) = refused {
                    debug!(%error, "a connection of HTTP/1.1 failed");
                },
                _ = &mut ticket.evicted => debug!("evicted a connection of HTTP/1.1"),
            }
        }
        Protocol::Tls => debug!("refused a connection that begins with TLS: TLS is off"),
        Protocol::Unknown => debug!("refused a connection of an unknown protocol"),
    }
}

/// A connection after TLS and protocol detection.
struct Handshaken {
    protocol: Protocol,
    stream: ReplayedStream<Stream>,
    /// Subject names of the verified peer certificate.
    peer_subject_names: Vec<String>,
}

/// Performs the TLS handshake, if TLS is on, and detects the protocol.
async fn handshake(accepted: Accepted, tls: Option<&Tls>) -> io::Result<Handshaken> {
    let mut stream = accepted.into_stream()?;
    let mut peer_subject_names = Vec::new();
    if let Some(tls) = tls {
        let secure = TlsAcceptor::from(tls.config()).accept(stream).await?;
        peer_subject_names = tls::peer_subject_names(secure.get_ref().1);
        stream = Stream::Tls(Box::new(secure));
    }
    let (protocol, stream) = sniff::sniff(stream).await?;
    Ok(Handshaken { protocol, stream, peer_subject_names })
}

/// Serves calls until either side closes the connection, or the supervisor does.
async fn drive<S: ServeConnection>(
    serving: S,
    write_buffer: WriteBuffer<ReplayedStream<Stream>>,
    connection: &Arc<ConnectionState>,
    ticket: &mut Ticket,
) {
    let limits = &connection.server.limits;
    // With HTTP/2, allow the same time as `unread`, because other calls may be fine; with HTTP/1.1, the overdue call
    // is the only one.
    let overdue_tolerance = if S::HAS_TASKS { limits.unread } else { FINAL_STATUS_TIMEOUT };
    let mut supervisor =
        Supervisor::new(connection, write_buffer.clone(), ticket.number(), overdue_tolerance);
    let mut is_used = false;
    let result = {
        let mut serving = pin!(serving);
        let mut phase = connection.phase.clone();
        let mut draining = pin!(phase.wait_for(|phase| *phase != Phase::Serving));
        let mut checks = check_interval(supervisor.check_interval());
        let mut deadline_timer = pin!(time::sleep(supervisor.check_interval()));
        loop {
            let event = poll_fn(|cx| {
                let (buffered, served) = (write_buffer.buffered_bytes(), serving.as_mut().poll_serve(cx));
                // Before the response is sent: once the peer has it, it may open another connection and cause an
                // eviction.
                if !is_used && connection.calls.has_had_call() {
                    is_used = true;
                    ticket.used(connection.clone());
                }
                if let Poll::Ready(result) = poll_send(&write_buffer, buffered, served, cx) {
                    return Poll::Ready(Event::Ended(result));
                }
                if Pin::new(&mut ticket.evicted).poll(cx).is_ready() {
                    return Poll::Ready(Event::Evicted);
                }
                if !supervisor.is_draining() && draining.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Event::Check(Some("the service is stopping")));
                }
                if !S::HAS_TASKS
                    && let Some(deadline) = connection.calls.latest_deadline().map(Instant::from_std)
                {
                    // First wake the call at its deadline, then check whether it has ended.
                    let at =
                        if Instant::now() < deadline { deadline } else { deadline + FINAL_STATUS_TIMEOUT };
                    if deadline_timer.deadline() != at {
                        deadline_timer.as_mut().reset(at);
                    }
                    if deadline_timer.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(Event::Check(None));
                    }
                }
                checks.poll_tick(cx).map(|_| Event::Check(None))
            });
            match event.await {
                Event::Ended(result) => break result,
                // A call began after this connection was chosen for eviction.
                Event::Evicted if connection.calls.count() > 0 => ticket.readmit(connection.clone()),
                Event::Evicted => {
                    debug!("evicting an idle connection");
                    supervisor.drain_began();
                    break close(serving, ticket.linger(limits.linger)).await;
                }
                Event::Check(reason) => match supervisor.check(reason) {
                    Action::Continue => {}
                    Action::Ping => {
                        if serving.as_mut().ping() {
                            supervisor.pinged();
                        }
                    }
                    Action::Drain(reason) => {
                        debug!(reason, "shutting a connection down gracefully");
                        checks = check_interval(limits.linger / 4);
                        serving.as_mut().start_shutdown();
                    }
                    Action::Close => break close(serving, limits.linger).await,
                    Action::DropStalled => return debug!("closing a connection: the peer does not read"),
                    Action::DropUnresponsive => {
                        return debug!("closing a connection: the peer did not answer a PING");
                    }
                },
            }
        }
    };
    if let Err(error) = result {
        debug!(error = &*error, "a connection failed");
    }
    supervisor.closed();
    // If unread data is left when a socket is closed, the system may discard data that the peer has not read yet (RFC
    // 9112 §9.6).
    let _ = time::timeout(ticket.linger(limits.linger), linger(write_buffer)).await;
}

enum Event {
    Ended(ServeResult),
    Evicted,
    /// Time for the supervisor to check the connection, or to drain it for this reason.
    Check(Option<&'static str>),
}

fn check_interval(period: Duration) -> time::Interval {
    let mut interval = time::interval_at(Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// Sends the buffered bytes after the connection was polled. `buffered_before` is the number of bytes buffered before.
fn poll_send(
    write_buffer: &WriteBuffer<ReplayedStream<Stream>>,
    buffered_before: usize,
    served: Poll<ServeResult>,
    cx: &mut Context<'_>,
) -> Poll<ServeResult> {
    // Much was written in this poll, so other tasks probably have more to write: yield once, then send everything
    // together.
    if served.is_pending() && write_buffer.buffered_bytes() >= buffered_before + LARGE_WRITE_BYTES {
        cx.waker().wake_by_ref();
        return Poll::Pending;
    }
    match write_buffer.poll_send(cx) {
        Poll::Ready(Err(error)) if served.is_pending() => Poll::Ready(Err(error.into())),
        Poll::Ready(_) | Poll::Pending => served,
    }
}

/// Closes a connection that has no calls in flight, within a time limit.
async fn close(mut serving: Pin<&mut impl ServeConnection>, limit: Duration) -> ServeResult {
    serving.as_mut().close();
    // Shutting the stream down flushes the write buffer.
    time::timeout(limit, poll_fn(|cx| serving.as_mut().poll_serve(cx))).await.unwrap_or(Ok(()))
}

/// Lingering close: flushes, closes the write side, and discards input until the peer closes.
async fn linger(mut write_buffer: WriteBuffer<ReplayedStream<Stream>>) -> io::Result<()> {
    write_buffer.shutdown().await?;
    tokio::io::copy(&mut write_buffer.take(MAX_DISCARDED_BYTES), &mut tokio::io::sink()).await.map(drop)
}
