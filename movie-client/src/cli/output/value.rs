//! Values that several formats write in the same way.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

use crate::movie::Value;

/// The end of the year 9999, which is the end of RFC 3339 and of protobuf's timestamps.
const YEAR_10000: Duration = Duration::from_hours(24 * 2_932_897);

/// A time in the format of RFC 3339, in UTC. A fraction of a second has nine digits.
pub(super) struct Time(SystemTime);

impl Time {
    /// Returns `None` for no time, and for a time that the format cannot represent.
    pub(super) fn of(time: Option<SystemTime>) -> Option<Self> {
        let since = time?.duration_since(UNIX_EPOCH).ok()?;
        (since < YEAR_10000).then_some(Self(time?))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_rfc3339(self.0).fmt(f)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A rating: the shortest digits that read back the same, always with a decimal point.
pub(super) struct Rating(pub(super) f32);

impl fmt::Display for Rating {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl Value<'_> {
    /// Returns whether the value is unknown, or cannot be represented.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Rating(rating) => rating.is_none(),
            Self::Number(number) => number.is_none(),
            Self::Count(count) => count.is_none(),
            Self::List(list) => list.is_empty(),
            Self::Time(time) => Time::of(**time).is_none(),
        }
    }

    /// Formats the value for people. An unknown value is empty.
    pub(super) fn to_text(self) -> String {
        fn text(value: Option<impl fmt::Display>) -> String {
            value.map(|value| value.to_string()).unwrap_or_default()
        }
        match self {
            Self::Text(text) => text.to_owned(),
            Self::Rating(rating) => text(rating.map(Rating)),
            Self::Number(number) => text(*number),
            Self::Count(count) => text(*count),
            Self::List(list) => list.join(", "),
            Self::Time(time) => text(Time::of(*time)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_fraction_only_if_it_needs_one() {
        let written = |nanos| {
            let time = UNIX_EPOCH + Duration::new(1_700_000_000, nanos);
            Time::of(Some(time)).unwrap().to_string()
        };
        assert_eq!(written(0), "2023-11-14T22:13:20Z");
        assert_eq!(written(5_000_000), "2023-11-14T22:13:20.005000000Z");
        assert_eq!(written(1), "2023-11-14T22:13:20.000000001Z");
    }

    #[test]
    fn a_time_that_cannot_be_represented_is_none() {
        assert!(Time::of(Some(UNIX_EPOCH - Duration::from_secs(1))).is_none());
        assert!(Time::of(Some(UNIX_EPOCH + YEAR_10000)).is_none());
        let last = UNIX_EPOCH + YEAR_10000 - Duration::from_nanos(1);
        assert_eq!(Time::of(Some(last)).unwrap().to_string(), "9999-12-31T23:59:59.999999999Z");
    }
}
