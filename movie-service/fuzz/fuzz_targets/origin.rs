//! An accepted origin has the form that browsers send, and parses to itself.

#![no_main]

use libfuzzer_sys::fuzz_target;
use movie_service::server::call::origin::Origin;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = str::from_utf8(input) else { return };
    let Ok(origin) = text.parse::<Origin>() else { return };
    let Origin::Site(site) = &origin else { return assert_eq!(text, "*") };
    let site = site.to_str().expect("an origin is ASCII");
    assert_eq!(site.parse().as_ref(), Ok(&origin), "{site}");
    let (scheme, rest) = site.split_once("://").expect("an origin has a scheme");
    assert!(matches!(scheme, "http" | "https"), "{site}");
    assert!(!rest.is_empty() && !rest.contains(['/', '?', '#', '@', ' ', '*', ',']), "{site}");
    assert!(!site.contains(|character: char| character.is_ascii_uppercase()), "{site}");
});
