//! Makes the calls.

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
use super::calls::{Answer, Questions};
use super::connections;
use super::schedule::Schedule;
use super::statistics::Statistics;
use crate::{Client, Config, Error};

/// As many calls of an open loop are in flight at most. Those that are due beyond wait, and their time runs.
const MOST_IN_FLIGHT: usize = 10_000;

/// How long after its deadline a call is waited for: it ends by itself, unless it is a list that goes on and on.
const PATIENCE: Duration = Duration::from_secs(1);

/// The calls of a measurement.
pub(super) struct Load {
    questions: Questions,
    connections: Vec<Connection>,
    /// How many addresses the connections lead to.
    pub(super) addresses: usize,
    pace: Pace,
    /// In an open loop.
    pub(super) most_in_flight: usize,
    /// How long a call may take.
    deadline: Duration,
    /// When calls begin to count.
    pub(super) counts_from: Instant,
    /// When no more calls are made.
    pub(super) ends: Option<Instant>,
    /// How many calls to count.
    pub(super) most_calls: Option<u64>,
    /// How many calls that count have been made.
    made: AtomicU64,
    /// In an open loop: the number of the next call.
    next: AtomicU64,
}

/// When the next call is made.
#[derive(Clone, Copy)]
enum Pace {
    /// On every connection when one of so many is answered.
    Closed { concurrency: u16 },
    /// When one is due.
    Open(Schedule),
}

struct Connection {
    client: Client,
    statistics: Mutex<Statistics>,
}

/// How the calls were made.
pub(super) struct Run {
    pub(super) was_interrupted: bool,
    /// When the last call was made, or could have been.
    pub(super) made_until: Instant,
    /// When the last call had ended, or was given up.
    pub(super) ended: Instant,
}

/// A call that is made. Dropped before its end, it counts as one without an answer.
struct Call {
    load: Arc<Load>,
    connection: usize,
    number: u64,
    due: Instant,
    has_ended: bool,
}

impl Load {
    /// Connects. The time begins when that is done.
    ///
    /// # Errors
    ///
    /// [`Error`] if the service cannot be reached.
    pub(super) async fn connect(config: &Config, args: &Bench, questions: Questions) -> Result<Self, Error> {
        let (clients, addresses) = connections::connect(config, args.connections, &questions).await?;
        let connection = |client| Connection { client, statistics: Mutex::new(Statistics::new()) };
        let begins = Instant::now();
        let counts_from = begins + args.warm_up;
        Ok(Self {
            questions,
            connections: clients.into_iter().map(connection).collect(),
            addresses,
            pace: match args.rate {
                Some(rate) => Pace::Open(Schedule { begins, rate }),
                None => Pace::Closed { concurrency: args.concurrency },
            },
            most_in_flight: MOST_IN_FLIGHT,
            deadline: config.deadline,
            counts_from,
            ends: args.longest().map(|longest| counts_from + longest),
            most_calls: args.calls,
            made: AtomicU64::new(0),
            next: AtomicU64::new(0),
        })
    }

    /// Makes the calls and waits for the last answer, for as long as a call may take. Interrupted, it gives up those that
    /// are in flight.
    ///
    /// # Errors
    ///
    /// If there is no thread for the clock.
    pub(super) async fn run(self: &Arc<Self>, interrupted: impl Future<Output = ()>) -> anyhow::Result<Run> {
        let mut interrupted = pin!(interrupted);
        let mut calls = JoinSet::new();
        let mut was_interrupted = tokio::select! {
            biased;
            () = &mut interrupted => true,
            made = self.make(&mut calls) => made.map(|()| false).context("the schedule needs a thread")?,
        };
        let made_until = self.ends.map_or_else(Instant::now, |ends| ends.min(Instant::now()));
        let patience = Instant::now().checked_add(self.deadline.saturating_add(PATIENCE));
        if !was_interrupted {
            was_interrupted = tokio::select! {
                biased;
                () = interrupted => true,
                () = until(patience, all(&mut calls)) => false,
            };
        }
        let ended = Instant::now();
        self.count_those_not_made(made_until, ended);
        // They count as they are dropped.
        calls.shutdown().await;
        Ok(Run { was_interrupted, made_until, ended })
    }

    /// Returns what has been measured.
    pub(super) fn statistics(&self) -> Statistics {
        let mut all = Statistics::new();
        for connection in &self.connections {
            all.add(&connection.statistics());
        }
        all
    }

    /// Returns how many calls that count have been made.
    pub(super) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// Returns how long calls have counted.
    pub(super) fn measured(&self, now: Instant) -> Duration {
        self.ends.map_or(now, |ends| ends.min(now)).saturating_duration_since(self.counts_from)
    }

    /// Makes calls for as long as they are to be made.
    async fn make(self: &Arc<Self>, calls: &mut JoinSet<()>) -> io::Result<()> {
        match self.pace {
            Pace::Closed { concurrency } => {
                self.start_callers(concurrency, calls);
                until(self.ends, all(calls)).await;
            }
            Pace::Open(schedule) => {
                // What is still due then is not made.
                let mut made = Ok(());
                until(self.ends, async { made = self.keep_to(schedule, calls).await }).await;
                made?;
            }
        }
        Ok(())
    }

    fn start_callers(self: &Arc<Self>, concurrency: u16, callers: &mut JoinSet<()>) {
        for caller in 0..u64::from(concurrency) {
            for connection in 0..self.connections.len() {
                let load = Arc::clone(self);
                callers.spawn(async move {
                    // Each asks questions of its own.
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

    async fn keep_to(self: &Arc<Self>, schedule: Schedule, calls: &mut JoinSet<()>) -> io::Result<()> {
        let mut clock = schedule.clock()?;
        let first_that_counts = schedule.due_before(self.counts_from);
        let (mut number, mut connections) = (0, (0..self.connections.len()).cycle());
        while clock.wait_for(|told| *told > number).await.is_ok() {
            // There may be something to do for ever, and others have to come to their turn.
            consume_budget().await;
            while calls.try_join_next().is_some() {}
            if calls.len() >= self.most_in_flight {
                calls.join_next().await;
            }
            if number < first_that_counts && Instant::now() >= self.counts_from {
                // The warm-up has left calls behind, which nobody wants to know of any more.
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

    /// Returns whether a call that is due then is still to be made, and counts it.
    fn admits(&self, due: Instant) -> bool {
        if self.ends.is_some_and(|ends| due >= ends) {
            return false;
        }
        let most = self.most_calls.unwrap_or(u64::MAX);
        let more = |made| (made < most).then_some(made + 1);
        due < self.counts_from || self.made.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn call(self: &Arc<Self>, connection: usize, number: u64, due: Instant) -> Call {
        Call { load: Arc::clone(self), connection, number, due, has_ended: false }
    }

    fn count(&self, connection: usize, due: Instant, outcome: Result<Answer, Error>) {
        let now = Instant::now();
        let mut statistics = self.connections[connection].statistics();
        let counts = due >= self.counts_from;
        // With a number of calls to count, others say nothing of how fast these were.
        let is_of_the_rate = now >= self.counts_from
            && self.ends.is_none_or(|ends| now <= ends)
            && (counts || self.most_calls.is_none());
        if let Some(answer) = outcome.as_ref().ok().filter(|_| is_of_the_rate) {
            statistics.rate.add(*answer);
        }
        if counts {
            statistics.record(outcome, now.saturating_duration_since(due));
        }
    }

    /// Counts the calls that were due and could not be made. They would not have been answered by now.
    fn count_those_not_made(&self, made_until: Instant, now: Instant) {
        let Pace::Open(schedule) = self.pace else { return };
        let first = self.next.load(Ordering::Relaxed).max(schedule.due_before(self.counts_from));
        let more = self.most_calls.map_or(u64::MAX, |most| most.saturating_sub(self.made()));
        let end = schedule.due_before(made_until).min(first.saturating_add(more)).max(first);
        let mut statistics = self.connections[0].statistics();
        statistics.not_made = end - first;
        schedule.record_ages(first..end, now, &mut statistics.latency);
    }
}

impl Connection {
    fn statistics(&self) -> MutexGuard<'_, Statistics> {
        self.statistics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Call {
    async fn make(mut self) {
        let Self { load, connection, number, due, .. } = &self;
        let outcome = load.questions.ask(&load.connections[*connection].client, *number).await;
        load.count(*connection, *due, outcome);
        self.has_ended = true;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.has_ended && self.due >= self.load.counts_from {
            self.load.connections[self.connection].statistics().record_unfinished(self.due.elapsed());
        }
    }
}

/// Waits until all calls have ended.
async fn all(calls: &mut JoinSet<()>) {
    while calls.join_next().await.is_some() {}
}

/// Does something for as long as there is time.
async fn until(ends: Option<Instant>, done: impl Future<Output = ()>) {
    match ends {
        None => done.await,
        // That there was no more time is no failure.
        Some(ends) => drop(timeout_at(ends.into(), done).await),
    }
}
