//! The calls in flight of a connection, and their deadlines.

use std::time::{Duration, Instant};

use crate::server::usage::LocalCounter;

/// Counts the calls in flight of a connection. Changed only by the thread of the connection.
///
/// Most calls end at their deadlines by themselves. [`CallsInFlight::has_overdue`] finds calls whose response h2 has
/// buffered but the peer does not read. To track each deadline would cost each call an entry in a list, so calls belong
/// to one of two generations, of which only the latest deadline is known. New calls join the current generation. Once
/// the other one is empty, the two change places.
pub(crate) struct CallsInFlight {
    /// When the connection began. Times are in milliseconds since then.
    began: Instant,
    /// Number of calls in flight, by generation.
    counts: [LocalCounter; 2],
    /// Latest deadline of each generation.
    deadlines_ms: [LocalCounter; 2],
    /// The generation of new calls.
    current: LocalCounter,
    /// When a call was last known to be in flight, plus 1; 0 if none was.
    last_call_ms: LocalCounter,
}

/// A generation of calls.
#[derive(Clone, Copy)]
pub(super) struct Generation(usize);

impl CallsInFlight {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            counts: Default::default(),
            deadlines_ms: Default::default(),
            current: LocalCounter::default(),
            last_call_ms: LocalCounter::default(),
        }
    }

    /// Returns the number of calls in flight, that is, whose response is not completely written.
    pub(crate) fn count(&self) -> usize {
        self.counts.iter().map(LocalCounter::get).sum()
    }

    /// Counts a call with this deadline; returns its generation.
    pub(super) fn begin(&self, deadline: Instant) -> Generation {
        let current = self.current.get();
        let deadline_ms = to_milliseconds(deadline.saturating_duration_since(self.began));
        if self.counts[current].add(1) == 0 || self.deadlines_ms[current].get() < deadline_ms {
            self.deadlines_ms[current].set(deadline_ms);
        }
        Generation(current)
    }

    /// Stops counting a call of this generation.
    pub(super) fn end(&self, Generation(generation): Generation) {
        self.counts[generation].subtract(1);
    }

    /// Returns whether a call has been past its deadline for longer than `tolerance`.
    pub(crate) fn has_overdue(&self, tolerance: Duration) -> bool {
        let other = 1 - self.current.get();
        if self.counts[other].get() == 0 {
            self.current.set(other);
        }
        let old = 1 - self.current.get();
        self.counts[old].get() > 0
            && to_milliseconds(self.began.elapsed().saturating_sub(tolerance)) > self.deadlines_ms[old].get()
    }

    /// Returns the latest deadline of the calls in flight.
    pub(crate) fn latest_deadline(&self) -> Option<Instant> {
        let generations = self.counts.iter().zip(&self.deadlines_ms);
        let in_flight = generations.filter(|(count, _)| count.get() > 0);
        let deadline_ms = in_flight.map(|(_, deadline_ms)| deadline_ms.get()).max()?;
        // Rounded up: a call polled before its deadline would not end.
        Some(self.began + Duration::from_millis(deadline_ms as u64 + 1))
    }

    /// Records that a call is in flight at `now`.
    pub(crate) fn mark_used(&self, now: Instant) {
        self.last_call_ms.set(to_milliseconds(now.saturating_duration_since(self.began)) + 1);
    }

    /// Returns whether the connection has ever had a call.
    pub(crate) fn has_had_call(&self) -> bool {
        self.last_call_ms.get() > 0
    }

    /// Returns since when no call has been in flight; `None` while one is.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let last_call_ms = self.last_call_ms.get().saturating_sub(1);
        (self.count() == 0).then(|| self.began + Duration::from_millis(last_call_ms as u64))
    }
}

fn to_milliseconds(duration: Duration) -> usize {
    usize::try_from(duration.as_millis()).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn a_call_past_its_deadline_is_overdue_even_if_later_calls_are_not() {
        let began = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
        let calls = CallsInFlight { began, ..CallsInFlight::new() };
        let overdue = calls.begin(began);
        // The first check starts a new generation, so that the deadlines of later calls hide none of the earlier ones.
        assert!(calls.has_overdue(Duration::ZERO));
        let later = calls.begin(began + HOUR);
        assert!(calls.has_overdue(Duration::ZERO));
        assert!(!calls.has_overdue(HOUR));
        calls.end(overdue);
        assert!(!calls.has_overdue(Duration::ZERO));
        calls.end(later);
        assert_eq!(calls.count(), 0);
    }

    #[test]
    fn the_latest_deadline_is_that_of_calls_in_flight() {
        let calls = CallsInFlight::new();
        assert_eq!(calls.latest_deadline(), None);
        let late = calls.begin(calls.began + 2 * HOUR);
        assert!(!calls.has_overdue(Duration::ZERO));
        calls.begin(calls.began + HOUR);
        assert!(calls.latest_deadline().unwrap() > calls.began + 2 * HOUR);
        calls.end(late);
        assert_eq!(calls.latest_deadline(), Some(calls.began + HOUR + Duration::from_millis(1)));
    }
}
