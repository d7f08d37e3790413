//! A limit is set by its name and a value above 0. No other limit changes, and an invalid text changes none.

#![no_main]

use libfuzzer_sys::fuzz_target;
use movie_service::server::limits::Limits;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = str::from_utf8(input) else { return };
    let mut limits = Limits::default();
    let result = limits.set(text);
    if let Some(is_valid) = is_valid(text) {
        assert_eq!(result.is_ok(), is_valid, "{result:?}");
    }
    if result.is_err() {
        assert_eq!(limits, Limits::default());
        return;
    }
    let (was, is) = (format!("{:?}", Limits::default()), format!("{limits:?}"));
    let name = text.split('=').next().unwrap_or_default();
    for (was, is) in was.split([',', '{']).zip(is.split([',', '{'])) {
        assert!(was == is || is.trim().starts_with(&format!("{name}: ")), "{was} became {is}");
    }
});

/// Returns whether a limit is valid; `None` for a time that is not one number and one unit.
fn is_valid(text: &str) -> Option<bool> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let Some((_, default, _)) = Limits::table().into_iter().find(|(known, ..)| *known == name) else {
        return Some(false);
    };
    if default == "half" || default.ends_with(|character: char| character.is_ascii_digit()) {
        return Some(value.parse::<usize>().is_ok_and(|number| number > 0));
    }
    let (number, milliseconds) = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)]
        .iter()
        .find_map(|(unit, milliseconds)| Some((value.strip_suffix(unit)?, *milliseconds)))?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    // A number that exceeds u64 is too long in any unit.
    let number = is_number.then(|| number.parse::<u64>().unwrap_or(u64::MAX))?;
    Some((1..=1_000_000_000_000).contains(&number.saturating_mul(milliseconds)))
}
