//! Message limits do not depend on how the bytes are split, and an oversized message is refused at the end of its prefix.

#![no_main]

use libfuzzer_sys::fuzz_target;
use movie_service::server::call::message::checker::MessageChecker;

// The input is the message limit, the size of the parts, and the bytes.
fuzz_target!(|input: &[u8]| {
    let [limit, step, bytes @ ..] = input else { return };
    let limit = usize::from(*limit);
    let refused = refused_at(bytes, limit);
    let mut checker = MessageChecker::new(limit, None);
    let mut taken = 0;
    for part in bytes.chunks(usize::from(*step).max(1)) {
        let result = checker.check(part);
        taken += part.len();
        assert_eq!(result.is_err(), refused.is_some_and(|at| at <= taken), "after {taken} bytes");
        if result.is_err() {
            return;
        }
    }
});

/// Returns the number of bytes after which the first message is known to be too large.
fn refused_at(bytes: &[u8], limit: usize) -> Option<usize> {
    let mut at = 0;
    loop {
        let prefix: [u8; 5] = bytes.get(at..at + 5)?.try_into().ok()?;
        let length =
            usize::try_from(u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]])).ok()?;
        at += 5;
        if prefix[0] == 0 && length > limit {
            return Some(at);
        }
        at += length;
    }
}
