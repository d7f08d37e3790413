//! Supervision of a connection: keep-alive, age, idle time, stalled readers.

use std::time::Duration;

use tokio::time::Instant;

use crate::server::accept::listener::Stream;
use crate::server::accept::sniff::ReplayedStream;
use crate::server::call::connection_state::ConnectionState;
use crate::server::connection::write_buffer::WriteBuffer;
use crate::telemetry::metrics::Drain;

/// The shortest time between two checks of a connection.
const MIN_CHECK_INTERVAL: Duration = Duration::from_millis(5);

/// Supervises a connection. On drop, it records the remaining traffic and how the drain ended.
pub(super) struct Supervisor<'a> {
    connection: &'a ConnectionState,
    write_buffer: WriteBuffer<ReplayedStream<Stream>>,
    check_interval: Duration,
    /// How long a call may be in flight after its deadline.
    overdue_tolerance: Duration,
    max_age_at: Instant,
    /// Bytes sent and received by the connection, as of the last check.
    sent: u64,
    received: u64,
    /// `unsent.sent_bytes()` of the connection as of the last check.
    response_bytes: usize,
    /// Value of `sent` at which all response data taken so far is on the wire.
    flushed_at: u64,
    last_read: Instant,
    last_received: Instant,
    /// Time of the outstanding keep-alive PING.
    pinged_at: Option<Instant>,
    /// Start of the graceful shutdown.
    drain_began: Option<Instant>,
    /// Whether the connection closed in an orderly way; otherwise it was force-closed.
    is_closed: bool,
}

/// What to do with a connection.
pub(super) enum Action {
    /// Serve on.
    Continue,
    /// Send a keep-alive PING.
    Ping,
    /// Start a graceful shutdown, for this reason.
    Drain(&'static str),
    /// Close the connection: it is drained.
    Close,
    /// Drop the connection: the peer does not read.
    DropStalled,
    /// Drop the connection: the peer did not answer a PING.
    DropUnresponsive,
}

impl<'a> Supervisor<'a> {
    /// `number` differs between connections. A call may be in flight for `overdue_tolerance` after its deadline.
    pub(super) fn new(
        connection: &'a ConnectionState,
        write_buffer: WriteBuffer<ReplayedStream<Stream>>,
        number: u64,
        overdue_tolerance: Duration,
    ) -> Self {
        let limits = &connection.server.limits;
        let now = Instant::now();
        // Jitter of ±10 %, derived from the number of the connection.
        let per_mille = 900 + u32::try_from(number % 201).unwrap_or_default();
        let shortest = [limits.unread, limits.age, limits.deadline, limits.keep_alive]
            .into_iter()
            .fold(limits.idle, Duration::min);
        Self {
            connection,
            write_buffer,
            check_interval: (shortest / 4).max(MIN_CHECK_INTERVAL),
            overdue_tolerance,
            max_age_at: now + limits.age / 1000 * per_mille,
            sent: 0,
            received: 0,
            response_bytes: 0,
            flushed_at: 0,
            last_read: now,
            last_received: now,
            pinged_at: None,
            drain_began: None,
            is_closed: false,
        }
    }

    /// Returns the time between two checks while the connection is not draining.
    pub(super) fn check_interval(&self) -> Duration {
        self.check_interval
    }

    /// Returns whether the graceful shutdown has begun.
    pub(super) fn is_draining(&self) -> bool {
        self.drain_began.is_some()
    }

    /// Records that the connection is being drained.
    pub(super) fn drain_began(&mut self) {
        self.drain_began = Some(Instant::now());
        self.connection.drain_began();
    }

    /// Records that a keep-alive PING was sent.
    pub(super) fn pinged(&mut self) {
        self.pinged_at = Some(Instant::now());
    }

    /// Records that the connection closed in an orderly way.
    pub(super) fn closed(&mut self) {
        self.is_closed = true;
    }

    /// Decides what to do from the changes since the last check. `reason` starts a drain regardless.
    pub(super) fn check(&mut self, reason: Option<&'static str>) -> Action {
        let connection = self.connection;
        let limits = &connection.server.limits;
        let now = Instant::now();
        let (sent, received) = self.write_buffer.traffic();
        let idle_since = connection.calls.idle_since();
        if idle_since.is_none() {
            connection.calls.mark_used(now.into_std());
        }
        if self.has_read(sent) {
            self.last_read = now;
        }
        if received != self.received {
            (self.last_received, self.pinged_at) = (now, None);
        }
        self.record_traffic(sent, received);
        // The PING waits behind data that a slow reader has not read yet.
        let ping_timeout = limits.keep_alive_timeout.max(limits.unread);
        if self.pinged_at.is_some_and(|pinged_at| now - pinged_at >= ping_timeout) {
            return Action::DropUnresponsive;
        }
        if now - self.last_read >= limits.unread || connection.calls.has_overdue(self.overdue_tolerance) {
            return Action::DropStalled;
        }
        if let Some(began) = self.drain_began {
            let is_drained = connection.calls.count() == 0
                && !self.write_buffer.has_unsent_data()
                && now - began >= limits.linger;
            return if is_drained { Action::Close } else { self.ping_if_silent(now) };
        }
        let is_old = now >= self.max_age_at;
        let is_idle = idle_since.is_some_and(|since| since.elapsed() >= limits.idle);
        let reason = reason
            .or_else(|| is_old.then_some("the maximum age is reached"))
            .or_else(|| is_idle.then_some("the connection is idle"));
        match reason {
            Some(reason) => {
                self.drain_began();
                Action::Drain(reason)
            }
            None => self.ping_if_silent(now),
        }
    }

    fn ping_if_silent(&self, now: Instant) -> Action {
        let is_silent = now - self.last_received >= self.connection.server.limits.keep_alive;
        if is_silent && self.pinged_at.is_none() { Action::Ping } else { Action::Continue }
    }

    /// Returns whether the peer has read data since the last check, or none is waiting.
    ///
    /// While response data is waiting, only progress on that data counts: PING acknowledgements do not.
    fn has_read(&mut self, sent: u64) -> bool {
        let Self { connection, write_buffer, .. } = self;
        let response_bytes = connection.unsent.sent_bytes();
        let has_sent_response = response_bytes != self.response_bytes;
        if has_sent_response {
            self.response_bytes = response_bytes;
            self.flushed_at = sent + write_buffer.buffered_bytes() as u64;
        }
        if connection.unsent.is_waiting() {
            has_sent_response || (sent != self.sent && self.sent < self.flushed_at)
        } else {
            sent != self.sent || !write_buffer.has_unsent_data()
        }
    }

    /// Adds the traffic since the last check to the metrics.
    fn record_traffic(&mut self, sent: u64, received: u64) {
        let metrics = &self.connection.server.metrics;
        metrics.sent(sent - self.sent);
        metrics.received(received - self.received);
        (self.sent, self.received) = (sent, received);
    }
}

impl Drop for Supervisor<'_> {
    fn drop(&mut self) {
        let (sent, received) = self.write_buffer.traffic();
        self.record_traffic(sent, received);
        if self.is_draining() {
            let drain = if self.is_closed { Drain::Finished } else { Drain::Forced };
            self.connection.server.metrics.drained(drain);
        }
    }
}
