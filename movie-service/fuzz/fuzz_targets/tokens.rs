//! A tokens file is read or refused at one of its lines, in a sentence that repeats nothing of it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use movie_service::access::tokens::Tokens;

/// The shortest word that is taken for a secret; no word of an error is as long.
const SECRET: usize = 20;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = str::from_utf8(input) else { return };
    match Tokens::parse(text) {
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
            let secret = text.split_whitespace().find(|word| word.len() >= SECRET && printed.contains(word));
            assert_eq!(secret, None);
        }
    }
});
