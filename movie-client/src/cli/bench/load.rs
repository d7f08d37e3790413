//! Load generator: a closed or an open loop of calls.

use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::task::JoinSet;
use tokio::task::coop::consume_budget;
use tokio::time::timeout_at;

use super::args::Bench;
use super::calls::{CallResult, Workload};
use super::connections;
use super::schedule::Schedule;
use super::statistics::Statistics;
use crate::{Client, Config, Error};

/// Maximum number of calls in flight in an open loop. Further due calls wait, and their latency counts.
const MAX_IN_FLIGHT_CALLS: usize = 10_000;

/// Time after its deadline at which a call is given up. Only a list whose items keep arriving exceeds its deadline.
const OVERDUE_CALL_GRACE: Duration = Duration::from_secs(1);

/// State of a measurement.
pub(super) struct Load {
    workload: Workload,
    connections: Vec<MeasuredConnection>,
    /// Number of addresses.
    pub(super) addresses: usize,
    pace: Pace,
    /// Maximum number of calls in flight, in an open loop.
    pub(super) max_in_flight: usize,
    /// Deadline of a call.
    deadline: Duration,
    /// Time from which calls are measured.
    pub(super) measure_from: Instant,
    /// Time after which no call is sent.
    pub(super) end_time: Option<Instant>,
    /// Maximum number of measured calls.
    pub(super) max_calls: Option<u64>,
    /// Number of measured calls that were sent.
    sent: AtomicU64,
    /// Number of the next call, in an open loop.
    next: AtomicU64,
}

/// Time at which the next call is sent.
#[derive(Clone, Copy)]
enum Pace {
    /// After each response, with this number of concurrent calls per connection.
    Closed { concurrency: u16 },
    /// On a schedule.
    Open(Schedule),
}

struct MeasuredConnection {
    client: Client,
    statistics: Mutex<Statistics>,
}

/// Times of a measurement.
pub(super) struct Run {
    pub(super) was_interrupted: bool,
    /// Time until which calls were sent.
    pub(super) sent_until: Instant,
    /// Time at which the last call ended or was given up.
    pub(super) ended: Instant,
}

/// A call in flight. Dropped before its end, it counts as unfinished.
struct Call {
    load: Arc<Load>,
    connection: usize,
    number: u64,
    due: Instant,
    has_ended: bool,
}

impl Load {
    /// Connects, and then starts the clock.
    ///
    /// # Errors
    ///
    /// [`Error`] if the service is unreachable.
    pub(super) async fn connect(config: &Config, args: &Bench, workload: Workload) -> Result<Self, Error> {
        let (clients, addresses) = connections::connect(config, args.connections, &workload).await?;
        let connection = |client| MeasuredConnection { client, statistics: Mutex::new(Statistics::new()) };
        let start = Instant::now();
        let measure_from = start + args.warm_up;
        Ok(Self {
            workload,
            connections: clients.into_iter().map(connection).collect(),
            addresses,
            pace: match args.rate {
                Some(rate) => Pace::Open(Schedule { start, rate }),
                None => Pace::Closed { concurrency: args.concurrency },
            },
            max_in_flight: MAX_IN_FLIGHT_CALLS,
            deadline: config.deadline,
            measure_from,
            end_time: args.max_duration().map(|duration| measure_from + duration),
            max_calls: args.calls,
            sent: AtomicU64::new(0),
            next: AtomicU64::new(0),
        })
    }

    /// Sends the calls, and waits for the last responses within the deadline of a call. An interruption aborts the
    /// calls in flight.
    ///
    /// # Errors
    ///
    /// The schedule thread cannot be started.
    pub(super) async fn run(self: &Arc<Self>, interrupted: impl Future<Output = ()>) -> anyhow::Result<Run> {
        let mut interrupted = pin!(interrupted);
        let mut calls = JoinSet::new();
        let mut was_interrupted = tokio::select! {
            biased;
            () = &mut interrupted => true,
            sent = self.send_calls(&mut calls) => sent.map(|()| false).context("cannot start the schedule thread")?,
        };
        let sent_until = self.end_time.map_or_else(Instant::now, |end_time| end_time.min(Instant::now()));
        let give_up_at = Instant::now().checked_add(self.deadline.saturating_add(OVERDUE_CALL_GRACE));
        if !was_interrupted {
            was_interrupted = tokio::select! {
                biased;
                () = interrupted => true,
                () = run_until(give_up_at, join_all(&mut calls)) => false,
            };
        }
        let ended = Instant::now();
        self.count_not_sent(sent_until, ended);
        // Aborted calls are counted when they are dropped.
        calls.shutdown().await;
        Ok(Run { was_interrupted, sent_until, ended })
    }

    /// Returns the statistics of all connections.
    pub(super) fn statistics(&self) -> Statistics {
        let mut all = Statistics::new();
        for connection in &self.connections {
            all.add(&connection.statistics());
        }
        all
    }

    /// Returns the number of measured calls that were sent.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Returns the duration of the measurement so far.
    pub(super) fn measured(&self, now: Instant) -> Duration {
        self.end_time.map_or(now, |end_time| end_time.min(now)).saturating_duration_since(self.measure_from)
    }

    /// Sends calls until the measurement ends.
    async fn send_calls(self: &Arc<Self>, calls: &mut JoinSet<()>) -> io::Result<()> {
        match self.pace {
            Pace::Closed { concurrency } => {
                self.start_closed_loop(concurrency, calls);
                run_until(self.end_time, join_all(calls)).await;
            }
            Pace::Open(schedule) => {
                // Calls that are still due at the end are not sent.
                let mut sent = Ok(());
                run_until(self.end_time, async { sent = self.run_open_loop(schedule, calls).await }).await;
                sent?;
            }
        }
        Ok(())
    }

    fn start_closed_loop(self: &Arc<Self>, concurrency: u16, callers: &mut JoinSet<()>) {
        for caller in 0..u64::from(concurrency) {
            for connection in 0..self.connections.len() {
                let load = Arc::clone(self);
                callers.spawn(async move {
                    // Each loop has its own range of call numbers.
                    let first = (caller << 48) | ((connection as u64) << 32);
                    for number in first.. {
                        let due = Instant::now();
                        if !load.admits(due) {
                            break;
                        }
                        load.call(connection, number, due).make().await;
                    }
                });
            }
        }
    }

    async fn run_open_loop(self: &Arc<Self>, schedule: Schedule, calls: &mut JoinSet<()>) -> io::Result<()> {
        let mut clock = schedule.clock()?;
        let first_that_counts = schedule.due_before(self.measure_from);
        let (mut number, mut connections) = (0, (0..self.connections.len()).cycle());
        while clock.wait_for(|due_count| *due_count > number).await.is_ok() {
            // Yields to other tasks even if calls are always due.
            consume_budget().await;
            while calls.try_join_next().is_some() {}
            if calls.len() >= self.max_in_flight {
                calls.join_next().await;
            }
            if number < first_that_counts && Instant::now() >= self.measure_from {
                // Calls of the warm-up that are still due are skipped.
                number = first_that_counts;
                continue;
            }
            let due = schedule.due(number);
            let Some(connection) = connections.next().filter(|_| self.admits(due)) else { break };
            calls.spawn(self.call(connection, number, due).make());
            number += 1;
            self.next.store(number, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Returns whether a call that is due at this time may be sent, and counts it.
    fn admits(&self, due: Instant) -> bool {
        if self.end_time.is_some_and(|end_time| due >= end_time) {
            return false;
        }
        let max = self.max_calls.unwrap_or(u64::MAX);
        let more = |sent| (sent < max).then_some(sent + 1);
        due < self.measure_from || self.sent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn call(self: &Arc<Self>, connection: usize, number: u64, due: Instant) -> Call {
        Call { load: Arc::clone(self), connection, number, due, has_ended: false }
    }

    fn count(&self, connection: usize, due: Instant, outcome: Result<CallResult, Error>) {
        let now = Instant::now();
        let mut statistics = self.connections[connection].statistics();
        let counts = due >= self.measure_from;
        // With a limited number of calls, only these calls count for the throughput.
        let is_in_throughput = now >= self.measure_from
            && self.end_time.is_none_or(|end_time| now <= end_time)
            && (counts || self.max_calls.is_none());
        if let Some(result) = outcome.as_ref().ok().filter(|_| is_in_throughput) {
            statistics.rate.add(*result);
        }
        if counts {
            statistics.record(outcome, now.saturating_duration_since(due));
        }
    }

    /// Counts the calls that were due and not sent, with their age as latency.
    fn count_not_sent(&self, sent_until: Instant, now: Instant) {
        let Pace::Open(schedule) = self.pace else { return };
        let first = self.next.load(Ordering::Relaxed).max(schedule.due_before(self.measure_from));
        let more = self.max_calls.map_or(u64::MAX, |max| max.saturating_sub(self.sent()));
        let end = schedule.due_before(sent_until).min(first.saturating_add(more)).max(first);
        let mut statistics = self.connections[0].statistics();
        statistics.not_sent = end - first;
        schedule.record_ages(first..end, now, &mut statistics.latency);
    }
}

impl MeasuredConnection {
    fn statistics(&self) -> MutexGuard<'_, Statistics> {
        self.statistics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Call {
    async fn make(mut self) {
        let Self { load, connection, number, due, .. } = &self;
        let outcome = load.workload.call(&load.connections[*connection].client, *number).await;
        load.count(*connection, *due, outcome);
        self.has_ended = true;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.has_ended && self.due >= self.load.measure_from {
            self.load.connections[self.connection].statistics().record_unfinished(self.due.elapsed());
        }
    }
}

/// Waits for all calls to end.
async fn join_all(calls: &mut JoinSet<()>) {
    while calls.join_next().await.is_some() {}
}

/// Runs a future until a time.
async fn run_until(end_time: Option<Instant>, done: impl Future<Output = ()>) {
    match end_time {
        None => done.await,
        // The timeout is expected.
        Some(end_time) => drop(timeout_at(end_time.into(), done).await),
    }
}
