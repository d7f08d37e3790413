//! What was done, and what came of it.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many complaints are printed; the others are only counted.
const PRINTED: u64 = 20;

/// Counts, which all that runs adds to.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    calls: BTreeMap<&'static str, usize>,
    peers: BTreeMap<&'static str, usize>,
    wrong: u64,
    failed: u64,
}

/// What can be amiss with a call.
#[derive(Debug)]
pub(crate) enum Amiss {
    /// It was answered, but not with what the database says.
    Wrong(String),
    /// It was not answered.
    Failed(String),
}

impl Tally {
    /// Counts an ordinary call, or a reload.
    pub(crate) fn call(&self, kind: &'static str, outcome: Result<(), Amiss>) {
        let mut counts = self.counts();
        *counts.calls.entry(kind).or_default() += 1;
        if let Err(amiss) = outcome {
            counts.complain(kind, &amiss);
        }
    }

    /// Counts hostile peers of a kind, or what they were answered that they should not have been.
    pub(crate) fn peers(&self, kind: &'static str, outcome: Result<usize, String>) {
        let mut counts = self.counts();
        match outcome {
            Ok(peers) => *counts.peers.entry(kind).or_default() += peers,
            Err(complaint) => counts.complain(kind, &Amiss::Wrong(complaint)),
        }
    }

    /// Returns whether nothing was wrong and nothing failed.
    pub(crate) fn is_clean(&self) -> bool {
        let counts = self.counts();
        counts.wrong + counts.failed == 0
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Counts are right whenever the lock is free.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn complain(&mut self, kind: &str, amiss: &Amiss) {
        let (count, complaint) = match amiss {
            Amiss::Wrong(complaint) => (&mut self.wrong, complaint),
            Amiss::Failed(complaint) => (&mut self.failed, complaint),
        };
        *count += 1;
        if self.wrong + self.failed <= PRINTED {
            eprintln!("{kind}: {complaint}");
        }
    }
}

impl Display for Tally {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Counts { calls, peers, wrong, failed } = &*self.counts();
        write!(f, "{} calls ({}), ", calls.values().sum::<usize>(), list(calls))?;
        write!(f, "{wrong} wrong, {failed} failed; ")?;
        write!(f, "{} hostile peers ({})", peers.values().sum::<usize>(), list(peers))
    }
}

fn list(counts: &BTreeMap<&str, usize>) -> String {
    counts.iter().map(|(kind, count)| format!("{kind} {count}")).collect::<Vec<_>>().join(", ")
}
