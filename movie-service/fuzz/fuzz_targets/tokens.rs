//! A tokens file is loaded, or refused with the number of a line and a message that quotes none of its secrets.

#![no_main]

use libfuzzer_sys::fuzz_target;
use movie_service::access::tokens::Tokens;

/// Minimum length of a word that counts as a secret. The words of errors are shorter.
const MIN_SECRET_LENGTH: usize = 20;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = str::from_utf8(input) else { return };
    let tokens = Tokens::parse(text);
    // The byte order mark that some editors write is no part of the first line.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match tokens {
        Ok(tokens) => {
            for line in text.lines() {
                let words: Vec<&str> = line.split_whitespace().collect();
                let &[name, role, "certificate"] = &words[..] else { continue };
                if name.starts_with('#') || role.starts_with('#') {
                    continue;
                }
                let caller = tokens.caller_with_certificate(&[name.to_owned()]).expect("its line was taken");
                assert_eq!((&*caller.name, caller.role.to_string().as_str()), (name, role));
            }
        }
        Err(error) => {
            assert!((1..=text.lines().count()).contains(&error.line), "{error}");
            let printed = error.to_string();
            assert!(printed.len() < 200 && !printed.contains(char::is_control), "{printed}");
            let secret = text
                .split_whitespace()
                .find(|word| word.len() >= MIN_SECRET_LENGTH && printed.contains(word));
            assert_eq!(secret, None);
        }
    }
});
