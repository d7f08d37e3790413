//! Parsing of the `grpc-timeout` header.

use std::time::Duration;

/// Maximum number of digits of a timeout.
const MAX_DIGITS: usize = 8;

/// Parses the value of the header `grpc-timeout`: at most eight digits and a unit, of hours, minutes, seconds,
/// milli-, micro- or nanoseconds ("Timeout" in the gRPC over HTTP/2 protocol).
#[must_use]
pub fn parse(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > MAX_DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
    Some(match unit {
        b'H' => Duration::from_secs(3600 * number),
        b'M' => Duration::from_secs(60 * number),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_unit_is_supported() {
        let cases: [(&[u8], Duration); 6] = [
            (b"2H", Duration::from_hours(2)),
            (b"3M", Duration::from_mins(3)),
            (b"10S", Duration::from_secs(10)),
            (b"250m", Duration::from_millis(250)),
            (b"7u", Duration::from_micros(7)),
            (b"00000001n", Duration::from_nanos(1)),
        ];
        for (value, expected) in cases {
            assert_eq!(parse(value), Some(expected));
        }
    }

    #[test]
    fn malformed_values_are_rejected() {
        for value in ["", "S", "10", "-1S", "+1S", "1.5S", "1s", "123456789S", "1 S", "١S"] {
            assert_eq!(parse(value.as_bytes()), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_value_panics(value in proptest::collection::vec(any::<u8>(), 0..12)) {
            let _ = parse(&value);
        }
    }
}
