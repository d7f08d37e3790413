//! Times as people write them.

use std::time::Duration;

/// Reads a time with its unit.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let expected = || format!("`{text}` is no time; expected a number and a unit, such as 500ms, 10s or 2m");
    humantime::parse_duration(text).ok().filter(|time| !time.is_zero()).ok_or_else(expected)
}
