//! Makes a token.

use crate::access::Role;
use crate::access::tokens::TokenHash;

/// What each token begins with, so that one is known for what it is wherever it turns up.
const PREFIX: &str = "movie_";

/// Random bytes in a token: too many to guess, so that a plain SHA-256 is enough to keep.
const RANDOM_BYTES: usize = 32;

/// A new token. Has no `Debug`: a token is to be shown once, on purpose.
pub struct NewToken {
    /// What the caller sends.
    pub token: String,
    /// The line for the tokens file, which holds no token.
    pub line: String,
}

/// Why a token could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// A tokens file cannot hold the name.
    #[error("`{0}` cannot be a name in a tokens file; expected one word that does not begin with `#`")]
    Name(String),
    /// The operating system gave no random bytes.
    #[error("no random bytes to make a token of")]
    Random(#[source] getrandom::Error),
}

/// Makes a token for the caller `name`.
///
/// # Errors
///
/// [`TokenError`] if the name is not one word that a tokens file can hold, or there are no random bytes.
pub fn make(name: &str, role: Role) -> Result<NewToken, TokenError> {
    if !name.split_whitespace().eq([name]) || name.starts_with('#') {
        return Err(TokenError::Name(name.to_owned()));
    }
    let mut random = [0; RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(TokenError::Random)?;
    let token = format!("{PREFIX}{}", hex::encode(random));
    let line = format!("{name} {role} {}", TokenHash::of(token.as_bytes()));
    Ok(NewToken { token, line })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::tokens::{Caller, Tokens};

    #[test]
    fn a_new_token_is_the_caller_s_that_its_line_names() {
        for role in [Role::Reader, Role::Writer] {
            let NewToken { token, line } = make("alice", role).ok().unwrap();
            let tokens = Tokens::parse(&line).unwrap();
            let alice = Caller { name: "alice".into(), role };
            assert_eq!(tokens.caller_with_token(token.as_bytes()), Some(&alice));
            assert!(token.starts_with(PREFIX) && token.len() == PREFIX.len() + 2 * RANDOM_BYTES, "{token}");
            assert!(!line.contains(&token));
        }
    }

    #[test]
    fn no_two_tokens_are_alike() {
        assert_ne!(make("a", Role::Reader).ok().unwrap().token, make("a", Role::Reader).ok().unwrap().token);
    }

    #[test]
    fn a_name_that_a_tokens_file_cannot_hold_is_refused() {
        for name in ["", " ", "two words", "a\n", "#a"] {
            let error = make(name, Role::Reader).err().unwrap().to_string();
            assert!(error.contains("expected one word"), "{error}");
        }
    }
}
