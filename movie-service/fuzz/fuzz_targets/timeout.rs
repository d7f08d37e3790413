//! A `grpc-timeout` is parsed as the protocol defines it, to the nanosecond, or refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use movie_service::server::call::timeout;

fuzz_target!(|value: &[u8]| {
    let nanoseconds = timeout::parse(value).map(|timeout| timeout.as_nanos());
    assert_eq!(nanoseconds, model(value));
});

fn model(value: &[u8]) -> Option<u128> {
    let text = str::from_utf8(value).ok()?;
    let nanoseconds = match text.chars().next_back()? {
        'H' => 3_600_000_000_000,
        'M' => 60_000_000_000,
        'S' => 1_000_000_000,
        'm' => 1_000_000,
        'u' => 1_000,
        'n' => 1,
        _ => return None,
    };
    let digits = &text[..text.len() - 1];
    let fits = (1..=8).contains(&digits.len()) && !digits.starts_with('+');
    digits.parse::<u128>().ok().filter(|_| fits).map(|number| number * nanoseconds)
}
