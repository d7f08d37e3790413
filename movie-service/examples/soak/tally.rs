//! Counts of calls, peers and problems.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Maximum number of problems that are printed; others are only counted.
const PRINTED: u64 = 20;

/// Counts, shared by all tasks and threads.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    calls: BTreeMap<String, usize>,
    peers: BTreeMap<String, usize>,
    wrong: u64,
    failed: u64,
}

/// A problem with a call.
#[derive(Debug)]
pub(crate) enum Problem {
    /// The response was wrong.
    Wrong(String),
    /// The call failed.
    Failed(String),
}

impl Tally {
    /// Counts an ordinary call, or a reload.
    pub(crate) fn call(&self, kind: String, outcome: Result<(), Problem>) {
        let mut counts = self.counts();
        if let Err(problem) = outcome {
            counts.add(&kind, &problem);
        }
        *counts.calls.entry(kind).or_default() += 1;
    }

    /// Counts hostile peers of a kind, or their unexpected response.
    pub(crate) fn peers(&self, kind: &'static str, outcome: Result<usize, String>) {
        let mut counts = self.counts();
        match outcome {
            Ok(peers) => *counts.peers.entry(kind.to_owned()).or_default() += peers,
            Err(text) => counts.add(kind, &Problem::Wrong(text)),
        }
    }

    /// Returns whether there was no problem.
    pub(crate) fn is_clean(&self) -> bool {
        let counts = self.counts();
        counts.wrong + counts.failed == 0
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Counts are consistent whenever the lock is free.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn add(&mut self, kind: &str, problem: &Problem) {
        let (count, text) = match problem {
            Problem::Wrong(text) => (&mut self.wrong, text),
            Problem::Failed(text) => (&mut self.failed, text),
        };
        *count += 1;
        if self.wrong + self.failed <= PRINTED {
            eprintln!("{kind}: {text}");
        }
    }
}

impl Display for Tally {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Counts { calls, peers, wrong, failed } = &*self.counts();
        write!(f, "{} calls ({}), ", calls.values().sum::<usize>(), list(calls))?;
        write!(f, "{wrong} wrong, {failed} failed")?;
        if peers.is_empty() {
            return Ok(());
        }
        write!(f, "; {} hostile peers ({})", peers.values().sum::<usize>(), list(peers))
    }
}

fn list(counts: &BTreeMap<String, usize>) -> String {
    counts.iter().map(|(kind, count)| format!("{kind} {count}")).collect::<Vec<_>>().join(", ")
}
