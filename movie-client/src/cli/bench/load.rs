//! Makes the calls.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::args::Bench;
use super::calls::Questions;
use super::statistics::Statistics;
use crate::{Client, Config, Error, Retry};

/// As many calls of an open loop are in flight at most. Those that are due beyond wait, and their time runs.
const MOST_IN_FLIGHT: usize = 10_000;

/// As many calls may be due and not yet noticed, before the clock waits for them. It then catches up.
const MOST_DUE: usize = 1000;

/// The calls of a measurement.
pub(super) struct Load {
    questions: Questions,
    connections: Vec<Connection>,
    pace: Pace,
    /// In an open loop.
    pub(super) most_in_flight: usize,
    begins: Instant,
    /// When calls begin to count.
    pub(super) counts_from: Instant,
    /// When no more calls are made.
    pub(super) ends: Option<Instant>,
    /// How many calls to count.
    pub(super) most_calls: Option<u64>,
    /// How many calls that count have been made.
    made: AtomicU64,
}

/// When the next call is made.
#[derive(Clone, Copy)]
enum Pace {
    /// On every connection when one of so many is answered.
    Closed { concurrency: u16 },
    /// So often a second.
    Open { rate: u32 },
}

struct Connection {
    /// Its own, so that it shares its connection with no other.
    client: Client,
    statistics: Mutex<Statistics>,
}

impl Load {
    /// Connects. The time begins when that is done.
    ///
    /// # Errors
    ///
    /// [`Error`] if the service cannot be reached.
    pub(super) async fn connect(config: &Config, args: &Bench, questions: Questions) -> Result<Self, Error> {
        let config = Config { retry: Retry::never(), ..config.clone() };
        let mut connections = Vec::new();
        for number in 0..args.connections {
            let client = Client::connect(&config)?;
            // The first call connects; what else becomes of it tells of the service, which is not measured yet.
            if let Err(error @ Error::Unreachable { .. }) = questions.ask(&client, number.into()).await {
                return Err(error);
            }
            connections.push(Connection { client, statistics: Mutex::new(Statistics::new()) });
        }
        let pace = match args.rate {
            Some(rate) => Pace::Open { rate },
            None => Pace::Closed { concurrency: args.concurrency },
        };
        let begins = Instant::now();
        let counts_from = begins + args.warm_up;
        Ok(Self {
            questions,
            connections,
            pace,
            most_in_flight: MOST_IN_FLIGHT,
            begins,
            counts_from,
            ends: args.longest().map(|longest| counts_from + longest),
            most_calls: args.calls,
            made: AtomicU64::new(0),
        })
    }

    /// Makes the calls and waits for the last answer. Dropped, it gives up those that are in flight.
    ///
    /// # Errors
    ///
    /// If there is no thread for the clock.
    pub(super) async fn run(self: &Arc<Self>) -> anyhow::Result<()> {
        match self.pace {
            Pace::Closed { concurrency } => self.run_closed(concurrency).await,
            Pace::Open { rate } => self.run_open(rate).await.context("the schedule needs a thread")?,
        }
        Ok(())
    }

    /// Returns what has been measured.
    pub(super) fn statistics(&self) -> Statistics {
        let mut all = Statistics::new();
        for connection in &self.connections {
            all.add(&connection.statistics.lock().unwrap_or_else(PoisonError::into_inner));
        }
        all
    }

    /// Returns how many calls that count have been made.
    pub(super) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    async fn run_closed(self: &Arc<Self>, concurrency: u16) {
        let mut callers = JoinSet::new();
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
                        load.call(connection, number, due).await;
                    }
                });
            }
        }
        while callers.join_next().await.is_some() {}
    }

    async fn run_open(self: &Arc<Self>, rate: u32) -> io::Result<()> {
        let mut clock = clock(self.begins, rate)?;
        let mut calls = JoinSet::new();
        let connections = (0..self.connections.len()).cycle();
        for (number, connection) in (0..).zip(connections) {
            let Some(due) = clock.recv().await.filter(|due| self.admits(*due)) else { break };
            while calls.try_join_next().is_some() {}
            while calls.len() >= self.most_in_flight {
                calls.join_next().await;
            }
            let load = Arc::clone(self);
            calls.spawn(async move { load.call(connection, number, due).await });
        }
        while calls.join_next().await.is_some() {}
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

    async fn call(&self, connection: usize, number: u64, due: Instant) {
        let Connection { client, statistics } = &self.connections[connection];
        let outcome = self.questions.ask(client, number).await;
        let latency = due.elapsed();
        if due >= self.counts_from {
            statistics.lock().unwrap_or_else(PoisonError::into_inner).record(outcome, latency);
        }
    }
}

/// Says when calls are due, at the time. It is a thread, as Tokio's timers are late by up to a millisecond, which is more
/// than an answer takes. It ends with the receiver.
fn clock(begins: Instant, rate: u32) -> io::Result<mpsc::Receiver<Instant>> {
    let (sender, receiver) = mpsc::channel(MOST_DUE);
    let tell = move || {
        for due in schedule(begins, rate) {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if sender.blocking_send(due).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("schedule".to_owned()).spawn(tell)?;
    Ok(receiver)
}

/// Returns when calls are due: from the beginning on at equal intervals, whatever happens meanwhile. Latencies that count
/// from then hide no stall (Gil Tene, "How not to measure latency": coordinated omission).
fn schedule(begins: Instant, rate: u32) -> impl Iterator<Item = Instant> {
    let rate = u64::from(rate);
    (0..).map(move |number: u64| {
        let nanos = number % rate * 1_000_000_000 / rate;
        begins + Duration::from_secs(number / rate) + Duration::from_nanos(nanos)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_due_at_equal_intervals_and_without_drift() {
        let begins = Instant::now();
        let due = |rate, number| schedule(begins, rate).nth(number).unwrap() - begins;
        assert_eq!(due(100, 0), Duration::ZERO);
        assert_eq!(due(100, 7), Duration::from_millis(70));
        assert_eq!(due(3, 1), Duration::from_nanos(333_333_333));
        assert_eq!(due(3, 3000), Duration::from_secs(1000));
    }

    #[test]
    fn the_clock_says_what_is_due_even_when_it_is_late() {
        let begins = Instant::now();
        let mut clock = clock(begins, 1_000_000).unwrap();
        for number in 0..5000 {
            let due = clock.blocking_recv().unwrap();
            assert_eq!(due - begins, Duration::from_micros(number));
            assert!(due <= Instant::now(), "told before it is due");
        }
    }
}
