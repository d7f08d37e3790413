//! A limit is set by its name and a value above 0, it alone; what is refused changes nothing.

#![no_main]

use libfuzzer_sys::fuzz_target;
use movie_service::server::limits::Limits;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = str::from_utf8(input) else { return };
    let mut limits = Limits::default();
    let result = limits.set(text);
    assert_eq!(result.is_ok(), is_good(text), "{result:?}");
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

fn is_good(text: &str) -> bool {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let Some((_, default, _)) = Limits::table().into_iter().find(|(known, ..)| *known == name) else {
        return false;
    };
    if default == "half" || default.ends_with(|character: char| character.is_ascii_digit()) {
        return value.parse::<usize>().is_ok_and(|number| number > 0);
    }
    let number = ["ms", "s", "m", "h"].iter().find_map(|unit| value.strip_suffix(unit)).unwrap_or_default();
    !number.starts_with('+') && number.parse::<u64>().is_ok_and(|number| (1..1_000_000_000).contains(&number))
}
