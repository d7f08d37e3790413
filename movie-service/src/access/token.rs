//! Generation of access tokens.

use crate::access::Role;
use crate::access::tokens::TokenHash;

/// Prefix of every token, so that people and secret scanners recognize one.
const PREFIX: &str = "movie_";

/// Random bytes of a token. They cannot be guessed, so an unsalted SHA-256 in the tokens file is safe.
const RANDOM_BYTES: usize = 32;

/// A new token. Does not implement `Debug`, so that it is not printed by accident.
pub struct NewToken {
    /// The token, which the caller sends.
    pub token: String,
    /// The line for the tokens file. Contains a hash, not the token.
    pub line: String,
}

/// Error of generating a token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The name is invalid in a tokens file.
    #[error("`{0}` cannot be a name in a tokens file; expected one word that does not begin with `#`")]
    Name(String),
    /// The operating system returned no random bytes.
    #[error("cannot get random bytes from the operating system")]
    Random(#[source] getrandom::Error),
}

/// Generates a token for the caller `name`.
///
/// # Errors
///
/// [`TokenError`] if the name is not a single word, begins with `#`, or the operating system returns no random bytes.
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
    fn a_new_token_belongs_to_the_caller_of_its_line() {
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
    fn two_tokens_differ() {
        assert_ne!(make("a", Role::Reader).ok().unwrap().token, make("a", Role::Reader).ok().unwrap().token);
    }

    #[test]
    fn an_invalid_name_is_refused() {
        for name in ["", " ", "two words", "a\n", "#a"] {
            let error = make(name, Role::Reader).err().unwrap().to_string();
            assert!(error.contains("expected one word"), "{error}");
        }
    }
}
