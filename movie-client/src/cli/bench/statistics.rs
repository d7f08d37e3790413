//! Statistics of a measurement.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::calls::CallResult;
use crate::Error;

/// Statistics of a measurement.
pub(super) struct Statistics {
    /// Latencies of the answered calls and of the calls that were given up, in microseconds with three significant
    /// digits. The latency of a call without a response is a lower bound; without these calls, a stalled service
    /// would look fast.
    pub(super) latency: Histogram<u64>,
    /// Latencies of the calls that failed in other ways. Many may have been rejected quickly.
    failed_latency: Histogram<u64>,
    pub(super) answered: u64,
    /// Number of wrong responses among the answered calls.
    pub(super) wrong: u64,
    /// Failures by kind.
    pub(super) failures: BTreeMap<&'static str, Failures>,
    /// Number of calls without a response at the end.
    pub(super) unfinished: u64,
    /// Number of calls that were due and not sent.
    pub(super) not_sent: u64,
    /// Responses during the measurement, without those of the drain.
    pub(super) rate: Throughput,
}

/// Numbers of responses and of movies in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Throughput {
    pub(super) responses: u64,
    pub(super) movies: u64,
}

/// Failures of one kind.
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
            not_sent: 0,
            rate: Throughput::default(),
        }
    }

    /// Counts a call with its latency.
    pub(super) fn record(&mut self, outcome: Result<CallResult, Error>, latency: Duration) {
        let is_timed = matches!(outcome, Ok(_) | Err(Error::DeadlineExceeded { .. }));
        record(if is_timed { &mut self.latency } else { &mut self.failed_latency }, latency);
        match outcome {
            Ok(result) => {
                self.answered += 1;
                self.wrong += u64::from(!result.is_correct);
            }
            Err(error) => self.add_failures(error_kind(&error), Failures { count: 1, first: error }),
        }
    }

    /// Counts a call that was given up at this age.
    pub(super) fn record_unfinished(&mut self, latency: Duration) {
        record(&mut self.latency, latency);
        self.unfinished += 1;
    }

    /// Adds the statistics of another connection.
    pub(super) fn add(&mut self, other: &Self) {
        let Self { latency, failed_latency, answered, wrong, failures, unfinished, not_sent, rate } = other;
        // An auto-resizing histogram accepts every value.
        let _ = self.latency.add(latency);
        let _ = self.failed_latency.add(failed_latency);
        self.answered += answered;
        self.wrong += wrong;
        self.unfinished += unfinished;
        self.not_sent += not_sent;
        self.rate.responses += rate.responses;
        self.rate.movies += rate.movies;
        for (kind, failures) in failures {
            self.add_failures(kind, failures.clone());
        }
    }

    /// Returns the latencies of all calls, including the failed ones.
    pub(super) fn all_latencies(&self) -> Histogram<u64> {
        let mut all = self.latency.clone();
        // An auto-resizing histogram accepts every value.
        let _ = all.add(&self.failed_latency);
        all
    }

    /// Returns the number of failed calls.
    pub(super) fn failed(&self) -> u64 {
        self.failures.values().map(|failures| failures.count).sum()
    }

    /// Returns the number of calls that ended.
    pub(super) fn ended(&self) -> u64 {
        self.answered + self.failed()
    }

    fn add_failures(&mut self, kind: &'static str, failures: Failures) {
        let count = failures.count;
        self.failures.entry(kind).and_modify(|known| known.count += count).or_insert(failures);
    }
}

impl Throughput {
    pub(super) fn add(&mut self, result: CallResult) {
        self.responses += 1;
        self.movies += result.movies;
    }
}

fn record(latencies: &mut Histogram<u64>, latency: Duration) {
    let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
    // An auto-resizing histogram accepts every value.
    let _ = latencies.record(micros);
}

/// Returns the key of an error in reports. Programs depend on it.
fn error_kind(error: &Error) -> &'static str {
    match error {
        Error::Config(_) => "config",
        Error::Address(_) => "address",
        Error::Unreachable { .. } => "unreachable",
        Error::UntrustedCertificate { .. } => "untrusted",
        Error::TlsMismatch { .. } => "tls_mismatch",
        Error::NotGrpc { .. } => "not_grpc",
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
        Error::PermissionDenied { .. } | Error::AnonymousWrite { .. } => "permission_denied",
        Error::ResourceExhausted { .. } => "busy",
        Error::TooLarge { .. } => "too_much",
        Error::SearchOff { .. } => "search_off",
        Error::Unimplemented { .. } => "unimplemented",
        Error::Failed { .. } => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORRECT: CallResult = CallResult { movies: 1, is_correct: true };

    fn late() -> Error {
        Error::DeadlineExceeded { address: "a".into(), after: Duration::from_secs(1) }
    }

    fn of(calls: impl IntoIterator<Item = (Result<CallResult, Error>, u64)>) -> Statistics {
        let mut statistics = Statistics::new();
        for (outcome, millis) in calls {
            statistics.record(outcome, Duration::from_millis(millis));
        }
        statistics
    }

    #[test]
    fn statistics_of_connections_add_up() {
        let refused = || Error::TooLarge { address: "a".into(), message: "first".into() };
        let mut one =
            of([(Ok(CORRECT), 1), (Err(refused()), 2), (Ok(CallResult { movies: 0, is_correct: false }), 3)]);
        let other = of([
            (Ok(CORRECT), 1000),
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
    fn an_expired_deadline_counts_as_slow_and_a_quick_rejection_does_not_count_as_fast() {
        let statistics = of([(Err(late()), 1000), (Err(Error::WatcherTooSlow), 0)]);
        assert_eq!(statistics.latency.len(), 1);
        assert!(statistics.latency.min() >= 999_000);
    }
}
