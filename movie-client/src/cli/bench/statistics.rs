//! What was measured.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::calls::Answer;
use crate::Error;

/// What was measured.
pub(super) struct Statistics {
    /// In microseconds, to three digits. Of the calls that were answered, and of those that had no answer when they were
    /// given up, whose latency is at least what they had: without them, a stalled service would look fast.
    pub(super) latency: Histogram<u64>,
    /// As above, of the calls that failed otherwise. They may have been slow, too, and many may have been refused fast.
    failed_latency: Histogram<u64>,
    pub(super) answered: u64,
    /// Of the answers, those that are wrong.
    pub(super) wrong: u64,
    /// By their kinds.
    pub(super) failures: BTreeMap<&'static str, Failures>,
    /// The calls that had no answer yet when the measurement ended.
    pub(super) unfinished: u64,
    /// The calls that were due and could not be made in time.
    pub(super) not_made: u64,
    /// What was answered while calls were made, rather than when only the last answers were waited for.
    pub(super) rate: Answered,
}

/// Answers, and the movies in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) answers: u64,
    pub(super) movies: u64,
}

/// The failures of one kind.
#[derive(Clone, Debug)]
pub(super) struct Failures {
    pub(super) count: u64,
    pub(super) first: Error,
}

impl Statistics {
    pub(super) fn new() -> Self {
        let latency: Histogram<u64> = Histogram::new(3).expect("three digits are a precision that there is");
        Self {
            failed_latency: latency.clone(),
            latency,
            answered: 0,
            wrong: 0,
            failures: BTreeMap::new(),
            unfinished: 0,
            not_made: 0,
            rate: Answered::default(),
        }
    }

    /// Counts a call and how long it took.
    pub(super) fn record(&mut self, outcome: Result<Answer, Error>, latency: Duration) {
        let had_its_time = matches!(outcome, Ok(_) | Err(Error::DeadlineExceeded { .. }));
        record(if had_its_time { &mut self.latency } else { &mut self.failed_latency }, latency);
        match outcome {
            Ok(answer) => {
                self.answered += 1;
                self.wrong += u64::from(!answer.is_right);
            }
            Err(error) => self.fail(kind(&error), Failures { count: 1, first: error }),
        }
    }

    /// Counts a call that was given up after so long.
    pub(super) fn record_unfinished(&mut self, latency: Duration) {
        record(&mut self.latency, latency);
        self.unfinished += 1;
    }

    /// Counts what was counted apart.
    pub(super) fn add(&mut self, other: &Self) {
        let Self { latency, failed_latency, answered, wrong, failures, unfinished, not_made, rate } = other;
        // They grow with what they are given.
        let _ = self.latency.add(latency);
        let _ = self.failed_latency.add(failed_latency);
        self.answered += answered;
        self.wrong += wrong;
        self.unfinished += unfinished;
        self.not_made += not_made;
        self.rate.answers += rate.answers;
        self.rate.movies += rate.movies;
        for (kind, failures) in failures {
            self.fail(kind, failures.clone());
        }
    }

    /// Returns the latencies of all calls, those that failed as well.
    pub(super) fn all_latencies(&self) -> Histogram<u64> {
        let mut all = self.latency.clone();
        // It grows with what it is given.
        let _ = all.add(&self.failed_latency);
        all
    }

    /// Returns how many calls failed.
    pub(super) fn failed(&self) -> u64 {
        self.failures.values().map(|failures| failures.count).sum()
    }

    /// Returns how many calls have ended.
    pub(super) fn ended(&self) -> u64 {
        self.answered + self.failed()
    }

    fn fail(&mut self, kind: &'static str, failures: Failures) {
        let count = failures.count;
        self.failures.entry(kind).and_modify(|known| known.count += count).or_insert(failures);
    }
}

impl Answered {
    pub(super) fn add(&mut self, answer: Answer) {
        self.answers += 1;
        self.movies += answer.movies;
    }
}

fn record(latencies: &mut Histogram<u64>, latency: Duration) {
    let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
    // The histogram grows with what it is given, up to more than the age of the world.
    let _ = latencies.record(micros);
}

/// Returns the kind of an error: part of the output, so none changes its name.
fn kind(error: &Error) -> &'static str {
    match error {
        Error::Config(_) => "config",
        Error::Address(_) => "address",
        Error::Unreachable { .. } => "unreachable",
        Error::UntrustedCertificate { .. } => "untrusted",
        Error::Unavailable { .. } => "unavailable",
        Error::OutcomeUnknown { .. } => "outcome_unknown",
        Error::DeadlineExceeded { .. } => "deadline_exceeded",
        Error::NotFound { .. } => "not_found",
        Error::AlreadyExists { .. } => "already_exists",
        Error::Invalid { .. } => "invalid",
        Error::Conflict { .. } => "conflict",
        Error::ReadOnly { .. } => "read_only",
        Error::PageTokenExpired => "list_expired",
        Error::RevisionCompacted { .. } => "compacted",
        Error::HistoryChanged => "history_changed",
        Error::RevisionUnknown { .. } => "revision_unknown",
        Error::WatcherTooSlow => "too_slow",
        Error::Unauthenticated { .. } => "unauthenticated",
        Error::PermissionDenied { .. } => "permission_denied",
        Error::ResourceExhausted { .. } => "busy",
        Error::TooLarge { .. } => "too_much",
        Error::Unimplemented { .. } => "unimplemented",
        Error::Failed { .. } => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: Answer = Answer { movies: 1, is_right: true };

    fn late() -> Error {
        Error::DeadlineExceeded { address: "a".into(), after: Duration::from_secs(1) }
    }

    fn of(calls: impl IntoIterator<Item = (Result<Answer, Error>, u64)>) -> Statistics {
        let mut statistics = Statistics::new();
        for (outcome, millis) in calls {
            statistics.record(outcome, Duration::from_millis(millis));
        }
        statistics
    }

    #[test]
    fn what_was_counted_apart_adds_up() {
        let refused = || Error::TooLarge { address: "a".into(), message: "first".into() };
        let mut one =
            of([(Ok(RIGHT), 1), (Err(refused()), 2), (Ok(Answer { movies: 0, is_right: false }), 3)]);
        let other = of([
            (Ok(RIGHT), 1000),
            (Err(Error::WatcherTooSlow), 1),
            (Err(refused()), 1),
            (Err(refused()), 1),
        ]);
        one.add(&other);
        assert_eq!((one.answered, one.wrong), (3, 1));
        assert_eq!((one.failed(), one.ended(), one.latency.len()), (4, 7, 3));
        assert_eq!(one.all_latencies().len(), 7);
        let kinds: Vec<_> = one.failures.iter().map(|(kind, failures)| (*kind, failures.count)).collect();
        assert_eq!(kinds, [("too_much", 3), ("too_slow", 1)]);
        assert_eq!(one.failures["too_much"].first, refused());
        assert!((1_000_000..1_001_000).contains(&one.latency.max()));
    }

    #[test]
    fn a_call_that_was_not_answered_in_time_counts_as_slow_and_one_that_was_refused_not_as_fast() {
        let statistics = of([(Err(late()), 1000), (Err(Error::WatcherTooSlow), 0)]);
        assert_eq!(statistics.latency.len(), 1);
        assert!(statistics.latency.min() >= 999_000);
    }
}
