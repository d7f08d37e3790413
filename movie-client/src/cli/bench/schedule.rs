//! Schedule of an open loop.

use std::io;
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::sync::watch;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Calls due at equal intervals. Latencies that count from the time at which a call was due include stalls (Gil Tene,
/// "How not to measure latency": coordinated omission).
#[derive(Clone, Copy)]
pub(super) struct Schedule {
    pub(super) start: Instant,
    /// Calls per second.
    pub(super) rate: u32,
}

impl Schedule {
    /// Returns the time at which a call is due.
    pub(super) fn due(&self, number: u64) -> Instant {
        let rate = u64::from(self.rate);
        let nanos = number % rate * 1_000_000_000 / rate;
        self.start + Duration::from_secs(number / rate) + Duration::from_nanos(nanos)
    }

    /// Returns the number of calls that are due before an instant.
    pub(super) fn due_before(&self, instant: Instant) -> u64 {
        let nanos = instant.saturating_duration_since(self.start).as_nanos();
        let about = u64::try_from(nanos * u128::from(self.rate) / NANOS_PER_SECOND).unwrap_or(u64::MAX - 1);
        // Intervals are rounded down to nanoseconds.
        (about.saturating_sub(1)..=about + 1).find(|number| self.due(*number) >= instant).unwrap_or(about)
    }

    /// Starts a thread that sends the number of due calls. Tokio's timers are up to a millisecond late, which is
    /// longer than a call takes. The thread ends when the receiver is dropped.
    ///
    /// # Errors
    ///
    /// The thread cannot be started.
    pub(super) fn clock(self) -> io::Result<watch::Receiver<u64>> {
        let (sender, receiver) = watch::channel(0);
        let run = move || {
            let mut announced = 0;
            while !sender.is_closed() {
                thread::sleep(self.due(announced).saturating_duration_since(Instant::now()));
                announced = self.due_before(Instant::now()).max(announced + 1);
                sender.send_replace(announced);
            }
        };
        thread::Builder::new().name("schedule".to_owned()).spawn(run)?;
        Ok(receiver)
    }

    /// Records the ages of these calls, in microseconds. Calls within the resolution of the histogram are recorded
    /// together, because there may be very many.
    pub(super) fn record_ages(&self, calls: Range<u64>, now: Instant, ages: &mut Histogram<u64>) {
        let mut end = calls.end;
        while end > calls.start {
            let age = now.saturating_duration_since(self.due(end - 1)).as_micros();
            let age = u64::try_from(age).unwrap_or(u64::MAX);
            let distinct = Duration::from_micros(ages.highest_equivalent(age).saturating_add(1));
            let then = now.checked_sub(distinct).map(|then| then + Duration::from_nanos(1));
            let older = then.map_or(0, |then| self.due_before(then));
            let first = older.clamp(calls.start, end - 1);
            // An auto-resizing histogram accepts every value.
            let _ = ages.record_n(age, end - first);
            end = first;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(rate: u32) -> Schedule {
        Schedule { start: Instant::now(), rate }
    }

    #[test]
    fn calls_are_due_at_equal_intervals_and_without_drift() {
        let due = |rate, number| {
            let schedule = at(rate);
            schedule.due(number) - schedule.start
        };
        assert_eq!(due(100, 0), Duration::ZERO);
        assert_eq!(due(100, 7), Duration::from_millis(70));
        assert_eq!(due(3, 1), Duration::from_nanos(333_333_333));
        assert_eq!(due(3, 3000), Duration::from_secs(1000));
    }

    #[test]
    fn a_call_is_due_before_any_later_instant_and_not_before_its_own() {
        for rate in [1, 3, 7, 100, 999_999, 1_000_000] {
            let schedule = at(rate);
            assert_eq!(schedule.due_before(schedule.start), 0);
            for number in [0, 1, 2, 3, 6, 7, 1000, 12_345_678] {
                let due = schedule.due(number);
                assert_eq!(schedule.due_before(due), number, "{rate}");
                assert_eq!(schedule.due_before(due + Duration::from_nanos(1)), number + 1, "{rate}");
            }
        }
    }

    #[tokio::test]
    async fn the_clock_reports_due_calls_however_late_it_is_read() {
        let schedule = at(100_000);
        let mut clock = schedule.clock().unwrap();
        for number in [1, 100, 5000] {
            let announced = *clock.wait_for(|announced| *announced >= number).await.unwrap();
            assert!(schedule.due(announced - 1) <= Instant::now(), "announced before it is due");
        }
    }

    #[test]
    fn ages_recorded_together_equal_ages_recorded_one_by_one() {
        let schedule = at(10_000);
        let now = schedule.start + Duration::from_secs(7);
        let mut ages = Histogram::new(3).unwrap();
        schedule.record_ages(123..60_000, now, &mut ages);
        let mut each = Histogram::<u64>::new(3).unwrap();
        for number in 123..60_000 {
            each.record(u64::try_from((now - schedule.due(number)).as_micros()).unwrap()).unwrap();
        }
        assert!(ages == each, "{} and {} calls", ages.len(), each.len());
        // Recording each one would take for ever.
        schedule.record_ages(0..u64::MAX >> 20, now + Duration::from_hours(24 * 365), &mut ages);
    }
}
