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

use crate::server::accept::admission::{Activity, Ticket};
use crate::server::accept::listener::{Accepted, Stream};
use crate::server::accept::sniff::{self, Protocol, Rewound};
use crate::server::accept::tls::{self, Tls};
use crate::server::call::connection_state::ConnectionState;
use crate::server::call::state::{Phase, Shared};
use crate::server::call::task::Calls;
use crate::server::connection::executor::FINAL_STATUS_TIMEOUT;
use crate::server::connection::http1;
use crate::server::connection::http2::Http2;
use crate::server::connection::serving::{Left, Serving};
use crate::server::connection::write_buffer::WriteBuffer;
use crate::telemetry::metrics::{Drain, Metrics};

/// If one poll buffered this much, wait for more before sending.
const LARGE_WRITE_BYTES: usize = 16 * 1024;

/// Maximum number of bytes read and discarded during a lingering close.
const MAX_DISCARDED_BYTES: u64 = 1024 * 1024;

/// What a worker passes to each of its connections.
pub(crate) struct WorkerContext {
    pub(crate) shared: Arc<Shared>,
    pub(crate) phase: watch::Receiver<Phase>,
    /// The worker's number.
    pub(crate) worker: usize,
}

/// Counts a connection as open until it is dropped.
struct Open(Metrics);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connection_closed();
    }
}

/// Serves a connection until either side ends it.
pub(crate) async fn serve(accepted: Accepted, mut ticket: Ticket, context: WorkerContext) {
    let WorkerContext { shared, mut phase, worker } = context;
    shared.metrics.connection_opened();
    let _open = Open(shared.metrics.clone());
    let peer = accepted.peer();
    let arrival = tokio::select! {
        arrival = time::timeout(shared.limits.handshake, arrive(accepted, shared.tls.as_ref())) => arrival,
        _ = &mut ticket.evicted => return debug!("a connection that had not begun made room for another"),
        // Let a handshake in progress finish, so that the peer gets a GOAWAY instead of a closed connection.
        () = async {
            let _ = phase.wait_for(|phase| *phase != Phase::Serving).await;
            time::sleep(shared.limits.linger).await;
        } => return,
    };
    let Arrival { protocol, stream, names } = match arrival {
        Ok(Ok(arrived)) => arrived,
        Ok(Err(error)) => return debug!(%error, "a connection was lost before its first call"),
        Err(_) => return debug!("a connection did not begin in time"),
    };
    if !ticket.arrived() {
        return;
    }
    let connection = ConnectionState::new(shared, phase.clone(), worker, peer, ticket.usage(), names);
    let connection = Arc::new(connection);
    let limits = &connection.shared.limits;
    let calls = Calls::of(connection.clone());
    match protocol {
        Protocol::Http2 => {
            let gather = WriteBuffer::new(stream);
            // The preface has been read already, so this does not wait.
            match Http2::begin(gather.clone(), limits, calls, phase).await {
                Ok(serving) => drive(serving, gather, &connection, &mut ticket).await,
                Err(error) => debug!(%error, "a connection of HTTP/2 did not begin"),
            }
        }
        Protocol::Http1 if connection.shared.web.is_some() => {
            let gather = WriteBuffer::new(stream);
            let serving =
                http1::builder(limits.handshake).serve_connection(TokioIo::new(gather.clone()), calls);
            drive(serving, gather, &connection, &mut ticket).await;
        }
        Protocol::Http1 => {
            let drain = async { drop(phase.wait_for(|phase| *phase != Phase::Serving).await) };
            tokio::select! {
                refused = http1::refuse(stream, limits.handshake, drain) => if let Err(error) = refused {
                    debug!(%error, "a connection of HTTP/1.1 failed");
                },
                _ = &mut ticket.evicted => debug!("a connection that makes no calls made room for another"),
            }
        }
        Protocol::Tls => debug!("a connection begins with TLS, which is not on"),
        Protocol::Unknown => debug!("a connection speaks nothing that is known here"),
    }
}

/// A connection of which it is known what it speaks.
struct Arrival {
    protocol: Protocol,
    stream: Rewound<Stream>,
    /// The names in the peer's certificate, which was verified.
    names: Vec<String>,
}

/// Performs the TLS handshake, if TLS is on, and detects the protocol.
async fn arrive(accepted: Accepted, tls: Option<&Tls>) -> io::Result<Arrival> {
    let mut stream = accepted.into_stream()?;
    let mut names = Vec::new();
    if let Some(tls) = tls {
        let secure = TlsAcceptor::from(tls.config()).accept(stream).await?;
        names = tls::names(secure.get_ref().1);
        stream = Stream::Tls(Box::new(secure));
    }
    let (protocol, stream) = sniff::sniff(stream).await?;
    Ok(Arrival { protocol, stream, names })
}

/// Serves calls until either side closes the connection, or the supervisor does.
async fn drive<S: Serving>(
    serving: S,
    gather: WriteBuffer<Rewound<Stream>>,
    connection: &Arc<ConnectionState>,
    ticket: &mut Ticket,
) {
    let limits = &connection.shared.limits;
    // With HTTP/2, allow the same time as `unread`, because other calls may be fine; with HTTP/1.1, the overdue call
    // is the only one.
    let overdue = if S::HAS_TASKS { limits.unread } else { FINAL_STATUS_TIMEOUT };
    let mut watch = Watch::new(connection, gather.clone(), ticket.number(), overdue);
    let mut is_used = false;
    let left = {
        let mut serving = pin!(serving);
        let mut phase = connection.phase.clone();
        let mut stopping = pin!(phase.wait_for(|phase| *phase != Phase::Serving));
        let mut looks = looks(watch.pause);
        let mut alarm = pin!(time::sleep(watch.pause));
        loop {
            let event = poll_fn(|cx| {
                let (waiting, left) = (gather.waiting(), serving.as_mut().poll_serve(cx));
                // Before the response is sent: once the peer has it, it may open another connection and cause an
                // eviction.
                if !is_used && connection.is_used() {
                    is_used = true;
                    ticket.used(connection.clone());
                }
                if let Poll::Ready(left) = poll_send(&gather, waiting, left, cx) {
                    return Poll::Ready(Event::Left(left));
                }
                if Pin::new(&mut ticket.evicted).poll(cx).is_ready() {
                    return Poll::Ready(Event::Evicted);
                }
                if !watch.is_leaving() && stopping.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Event::Look(Some("the service stops")));
                }
                if !S::HAS_TASKS
                    && let Some(due) = connection.due().map(Instant::from_std)
                {
                    // First wake the call at its deadline, then check whether it has ended.
                    let at = if Instant::now() < due { due } else { due + FINAL_STATUS_TIMEOUT };
                    if alarm.deadline() != at {
                        alarm.as_mut().reset(at);
                    }
                    if alarm.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(Event::Look(None));
                    }
                }
                looks.poll_tick(cx).map(|_| Event::Look(None))
            });
            match event.await {
                Event::Left(left) => break left,
                // A call began after this connection was chosen for eviction.
                Event::Evicted if connection.open() > 0 => ticket.stay(connection.clone()),
                Event::Evicted => {
                    debug!("an idle connection makes room for another");
                    watch.leaving = Some(Instant::now());
                    break end(serving, ticket.linger(limits.linger)).await;
                }
                Event::Look(reason) => match watch.look(reason) {
                    Verdict::Stay => {}
                    Verdict::Ask => watch.asked = serving.as_mut().ping().then(Instant::now),
                    Verdict::Leave(reason) => {
                        debug!(reason, "asking a peer to leave");
                        looks = self::looks(limits.linger / 4);
                        serving.as_mut().leave();
                    }
                    Verdict::Left => break end(serving, limits.linger).await,
                    Verdict::Stuck => return debug!("a peer did not read what waits for it"),
                    Verdict::Gone => return debug!("a peer did not answer"),
                },
            }
        }
    };
    if let Err(error) = left {
        debug!(error = &*error, "a connection failed");
    }
    watch.has_ended = true;
    // If unread data is left when a socket is closed, the system may discard data that the peer has not read yet (RFC
    // 9112 §9.6).
    let _ = time::timeout(ticket.linger(limits.linger), linger(gather)).await;
}

enum Event {
    Left(Left),
    /// It has to make room for another connection.
    Evicted,
    Look(Option<&'static str>),
}

fn looks(pause: Duration) -> time::Interval {
    let mut looks = time::interval_at(Instant::now() + pause, pause);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks
}

/// Sends the buffered bytes after the connection was polled. `waiting` is the number of bytes buffered before.
fn poll_send(
    gather: &WriteBuffer<Rewound<Stream>>,
    waiting: usize,
    left: Poll<Left>,
    cx: &mut Context<'_>,
) -> Poll<Left> {
    // Much was written in this poll, so other tasks probably have more to write: yield once, then send everything
    // together.
    if left.is_pending() && gather.waiting() >= waiting + LARGE_WRITE_BYTES {
        cx.waker().wake_by_ref();
        return Poll::Pending;
    }
    match gather.poll_send(cx) {
        Poll::Ready(Err(error)) if left.is_pending() => Poll::Ready(Err(error.into())),
        Poll::Ready(_) | Poll::Pending => left,
    }
}

/// Ends a connection that has no calls in flight, within a time limit.
async fn end(mut serving: Pin<&mut impl Serving>, limit: Duration) -> Left {
    serving.as_mut().end();
    // Shutting the stream down flushes the write buffer.
    time::timeout(limit, poll_fn(|cx| serving.as_mut().poll_serve(cx))).await.unwrap_or(Ok(()))
}

/// Lingering close: flushes, closes the write side, and discards input until the peer closes.
async fn linger(mut gather: WriteBuffer<Rewound<Stream>>) -> io::Result<()> {
    gather.shutdown().await?;
    tokio::io::copy(&mut gather.take(MAX_DISCARDED_BYTES), &mut tokio::io::sink()).await.map(drop)
}

/// Supervises a connection: keep-alive, age, idle time, stalled readers. On drop, it records the remaining traffic
/// and how the drain ended.
struct Watch<'a> {
    connection: &'a ConnectionState,
    gather: WriteBuffer<Rewound<Stream>>,
    pause: Duration,
    /// How long a call may be in flight after its deadline.
    overdue: Duration,
    age_ends: Instant,
    sent: u64,
    received: u64,
    taken: usize,
    /// How many bytes will have been sent once what was taken of responses has.
    taken_until: u64,
    last_read: Instant,
    last_heard: Instant,
    /// When the peer was asked whether it is still there, if it was not heard since.
    asked: Option<Instant>,
    leaving: Option<Instant>,
    /// Whether the connection closed in an orderly way; otherwise it was force-closed.
    has_ended: bool,
}

enum Verdict {
    Stay,
    /// The peer has to be asked whether it is still there.
    Ask,
    /// The peer has to be asked to leave, and why.
    Leave(&'static str),
    /// The peer was asked to leave, and has nothing more to do here.
    Left,
    /// The peer does not read.
    Stuck,
    /// The peer does not answer.
    Gone,
}

impl<'a> Watch<'a> {
    fn new(
        connection: &'a ConnectionState,
        gather: WriteBuffer<Rewound<Stream>>,
        number: u64,
        overdue: Duration,
    ) -> Self {
        let limits = &connection.shared.limits;
        let now = Instant::now();
        // Jitter of ±10 %, derived from the number of the connection.
        let share = u32::try_from(number % 201).unwrap_or_default();
        let age = limits.age / 1000 * (900 + share);
        let shortest = [limits.unread, limits.age, limits.deadline, limits.keep_alive]
            .into_iter()
            .fold(limits.idle, Duration::min);
        Self {
            connection,
            gather,
            pause: (shortest / 4).max(Duration::from_millis(5)),
            overdue,
            age_ends: now + age,
            sent: 0,
            received: 0,
            taken: 0,
            taken_until: 0,
            last_read: now,
            last_heard: now,
            asked: None,
            leaving: None,
            has_ended: false,
        }
    }

    fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }

    /// Counts what was sent and received since the last time.
    fn count(&mut self, sent: u64, received: u64) {
        let metrics = &self.connection.shared.metrics;
        metrics.sent(sent - self.sent);
        metrics.received(received - self.received);
        (self.sent, self.received) = (sent, received);
    }

    /// Returns whether the peer has read data since the last check, or none is waiting.
    ///
    /// While response data is waiting, only progress on that data counts: PING acknowledgements do not.
    fn reads(&mut self, sent: u64) -> bool {
        let Self { connection, gather, .. } = self;
        let was_taken = connection.taken() != self.taken;
        if was_taken {
            self.taken = connection.taken();
            self.taken_until = sent + gather.waiting() as u64;
        }
        if connection.has_unsent_data() {
            was_taken || (sent != self.sent && self.sent < self.taken_until)
        } else {
            sent != self.sent || !gather.is_waiting()
        }
    }

    /// Decides what to do from the changes since the last check. `reason` starts a drain regardless.
    fn look(&mut self, reason: Option<&'static str>) -> Verdict {
        let connection = self.connection;
        let limits = &connection.shared.limits;
        let now = Instant::now();
        let (sent, received) = self.gather.traffic();
        let idle_since = connection.idle_since();
        if idle_since.is_none() {
            connection.mark_used(now.into_std());
        }
        if self.reads(sent) {
            self.last_read = now;
        }
        if received != self.received {
            (self.last_heard, self.asked) = (now, None);
        }
        self.count(sent, received);
        // The PING waits behind data that a slow reader has not read yet.
        let patience = limits.keep_alive_timeout.max(limits.unread);
        if self.asked.is_some_and(|asked| now - asked >= patience) {
            return Verdict::Gone;
        }
        if now - self.last_read >= limits.unread || connection.is_overdue(self.overdue) {
            return Verdict::Stuck;
        }
        if let Some(since) = self.leaving {
            let done = connection.open() == 0 && !self.gather.is_waiting() && now - since >= limits.linger;
            return if done { Verdict::Left } else { self.stay(now) };
        }
        let reason =
            reason.or_else(|| (now >= self.age_ends).then_some("its connection is old")).or_else(|| {
                idle_since
                    .is_some_and(|since| since.elapsed() >= limits.idle)
                    .then_some("its connection is idle")
            });
        match reason {
            Some(reason) => {
                self.leaving = Some(now);
                Verdict::Leave(reason)
            }
            None => self.stay(now),
        }
    }

    fn stay(&self, now: Instant) -> Verdict {
        let is_silent = now - self.last_heard >= self.connection.shared.limits.keep_alive;
        if is_silent && self.asked.is_none() { Verdict::Ask } else { Verdict::Stay }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let (sent, received) = self.gather.traffic();
        self.count(sent, received);
        if self.is_leaving() {
            let drain = if self.has_ended { Drain::Finished } else { Drain::Forced };
            self.connection.shared.metrics.drained(drain);
        }
    }
}
