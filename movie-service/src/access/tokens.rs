//! The tokens file: callers and their roles.
//!
//! Each line is one caller, `NAME ROLE SHA256` or `NAME ROLE certificate`: its name, its role, and the SHA-256 of its
//! token in hexadecimal digits, or the word `certificate` if the name is a subject name of a client certificate. A
//! word that begins with `#` begins a comment.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::access::Role;

/// Size of a SHA-256 in bytes.
const HASH_BYTES: usize = 32;

/// Third word of a line for a client certificate.
const CERTIFICATE: &str = "certificate";

/// The SHA-256 of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct TokenHash([u8; HASH_BYTES]);

/// A caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its unique name.
    pub name: Arc<str>,
    /// Its role.
    pub role: Role,
}

/// The callers of a tokens file. Contains hashes only, no token.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    by_token: HashMap<TokenHash, Caller>,
    by_certificate: HashMap<Arc<str>, Caller>,
}

/// An invalid line of a tokens file. Its message quotes nothing from the file: a misplaced word may be a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}: {problem}")]
pub struct TokensError {
    /// The line number, from 1.
    pub line: usize,
    /// The problem.
    pub problem: Problem,
}

/// Problem of a line in a tokens file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The line does not have three words.
    #[error(
        "expected three words, `NAME ROLE SHA256` or `NAME ROLE certificate`; `movie-service token` makes such a line"
    )]
    Words,
    /// The second word is not a role.
    #[error("expected the second word to be the role, `reader` or `writer`")]
    Role,
    /// The third word is neither a SHA-256 nor `certificate`.
    #[error(
        "expected the third word to be the SHA-256 of a token in 64 hexadecimal digits, or `certificate`; a token itself does not belong here"
    )]
    Hash,
    /// An earlier line has the same name.
    #[error("line {first} has the same name; give each caller a unique name")]
    Name {
        /// The other line.
        first: usize,
    },
    /// An earlier line has the same token.
    #[error("line {first} has the same token; make a token for each caller with `movie-service token`")]
    Token {
        /// The other line.
        first: usize,
    },
}

impl Tokens {
    /// Parses the text of a tokens file. Skips the byte order mark that some editors write.
    ///
    /// # Errors
    ///
    /// [`TokensError`] if a line is malformed, or repeats a name or a token.
    pub fn parse(text: &str) -> Result<Self, TokensError> {
        let mut tokens = Self::default();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let (mut names, mut hashes) = (HashMap::new(), HashMap::new());
        for (line, text) in (1..).zip(text.lines()) {
            let invalid = |problem| TokensError { line, problem };
            let words: Vec<&str> =
                text.split_whitespace().take_while(|word| !word.starts_with('#')).collect();
            let (name, role, hash) = match words[..] {
                [] => continue,
                [name, role, hash] => (name, role, hash),
                _ => return Err(invalid(Problem::Words)),
            };
            let role = role.parse().map_err(|_| invalid(Problem::Role))?;
            if let Some(first) = names.insert(name, line) {
                return Err(invalid(Problem::Name { first }));
            }
            let caller = Caller { name: name.into(), role };
            if hash == CERTIFICATE {
                tokens.by_certificate.insert(caller.name.clone(), caller);
                continue;
            }
            let hash: TokenHash = hash.parse().map_err(|()| invalid(Problem::Hash))?;
            if let Some(first) = hashes.insert(hash, line) {
                return Err(invalid(Problem::Token { first }));
            }
            tokens.by_token.insert(hash, caller);
        }
        Ok(tokens)
    }

    /// Returns whether the file lists no caller.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_token.is_empty() && self.by_certificate.is_empty()
    }

    /// Returns whether all callers are identified by a client certificate.
    #[must_use]
    pub fn needs_certificates(&self) -> bool {
        self.by_token.is_empty() && !self.by_certificate.is_empty()
    }

    /// Returns the caller that has this token.
    ///
    /// The duration of the lookup depends only on the token's hash, which does not reveal the token.
    #[must_use]
    pub fn caller_with_token(&self, token: &[u8]) -> Option<&Caller> {
        self.by_token.get(&TokenHash::of(token))
    }

    /// Returns the caller that has a client certificate with one of these subject names; if several match, the one
    /// with the highest role.
    #[must_use]
    pub fn caller_with_certificate(&self, names: &[String]) -> Option<&Caller> {
        names
            .iter()
            .filter_map(|name| self.by_certificate.get(name.as_str()))
            .max_by_key(|caller| caller.role)
    }
}

impl TokenHash {
    pub(super) fn of(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }
}

impl FromStr for TokenHash {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut hash = [0; HASH_BYTES];
        hex::decode_to_slice(text, &mut hash).map_err(drop)?;
        Ok(Self(hash))
    }
}

/// In hexadecimal digits, as in a tokens file.
impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The SHA-256 of `secret`.
    const SECRET: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

    fn problem(text: &str) -> (usize, Problem) {
        let TokensError { line, problem } = Tokens::parse(text).unwrap_err();
        (line, problem)
    }

    #[test]
    fn a_caller_is_found_by_its_token_and_by_no_other() {
        let other = TokenHash::of(b"other");
        let tokens = Tokens::parse(&format!("a reader {SECRET}\nb writer {other}\n")).unwrap();
        let (a, b) = (tokens.caller_with_token(b"secret"), tokens.caller_with_token(b"other"));
        assert_eq!(a, Some(&Caller { name: "a".into(), role: Role::Reader }));
        assert_eq!(b, Some(&Caller { name: "b".into(), role: Role::Writer }));
        for wrong in ["", "secre", "secret ", SECRET, "a"] {
            assert_eq!(tokens.caller_with_token(wrong.as_bytes()), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_caller_is_found_by_a_subject_name_of_its_certificate() {
        let text = format!("spiffe://x/y reader certificate\nops writer certificate\nt writer {SECRET}");
        let tokens = Tokens::parse(&text).unwrap();
        let found = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            tokens.caller_with_certificate(&names).map(|caller| caller.name.to_string())
        };
        assert_eq!(found(&["nobody", "spiffe://x/y"]).as_deref(), Some("spiffe://x/y"));
        assert_eq!(found(&["ops", "spiffe://x/y"]).as_deref(), Some("ops"));
        assert_eq!(found(&["nobody"]), None);
        assert_eq!(found(&[]), None);
        // The name of a token is no certificate.
        assert_eq!(found(&["t"]), None);
    }

    #[test]
    fn comments_blank_lines_and_all_line_endings_are_accepted() {
        let text = format!("# who may call\r\n\r\n  a\treader {}  # a laptop\r\n \n", SECRET.to_uppercase());
        assert!(Tokens::parse(&text).unwrap().caller_with_token(b"secret").is_some());
        assert!(Tokens::parse("").unwrap().caller_with_token(b"").is_none());
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        for start in ["", "# who may call\n"] {
            let tokens = Tokens::parse(&format!("\u{feff}{start}a reader {SECRET}")).unwrap();
            assert_eq!(tokens.caller_with_token(b"secret").map(|caller| &*caller.name), Some("a"), "{start}");
        }
    }

    #[test]
    fn a_malformed_line_is_refused_with_its_number_and_the_expected_form() {
        for text in ["a", "a reader", &format!("a reader {SECRET} more")] {
            assert_eq!(problem(&format!("\n{text}")), (2, Problem::Words), "{text}");
        }
        assert_eq!(problem(&format!("a owner {SECRET}")), (1, Problem::Role));
        for hash in [&SECRET[1..], &format!("+{}", &SECRET[1..]), &"ü".repeat(32), "Certificate"] {
            assert_eq!(problem(&format!("a reader {hash}")), (1, Problem::Hash), "{hash}");
        }
    }

    #[test]
    fn a_repeated_name_or_token_is_refused() {
        let other = TokenHash::of(b"other");
        let text = format!("a reader {SECRET}\n\na writer {other}");
        assert_eq!(problem(&text), (3, Problem::Name { first: 1 }));
        assert_eq!(
            problem(&format!("a reader {other}\na writer certificate")),
            (2, Problem::Name { first: 1 })
        );
        let text = format!("a reader {SECRET}\nb writer {}", SECRET.to_uppercase());
        assert_eq!(problem(&text), (2, Problem::Token { first: 1 }));
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused_at_one_of_its_lines(text in "([a-z#+ü\\x00\t\r\n ]|reader |certificate)*") {
            if let Err(error) = Tokens::parse(&text) {
                prop_assert!((1..=text.lines().count()).contains(&error.line));
            }
        }

        #[test]
        fn a_misplaced_token_is_not_quoted(words in prop::collection::vec("(a|reader|movie_0123)", 0..5)) {
            let text = words.join(" ");
            if let Err(error) = Tokens::parse(&text) {
                let printed = format!("{error} {error:?}");
                prop_assert!(!printed.contains("movie_0123"));
            }
        }

        #[test]
        fn a_hash_survives_formatting_and_parsing(token: Vec<u8>) {
            let hash = TokenHash::of(&token);
            prop_assert_eq!(hash.to_string().parse(), Ok(hash));
        }
    }
}
