//! Ids of movies.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

use crate::movie::Violation;
use crate::movie::field::is_longer;

/// Maximum number of characters of an id.
pub const MAX_ID_CHARS: usize = 128;

/// The id of a movie: 1 to [`MAX_ID_CHARS`] characters, none of them a control character.
///
/// Writes require a `MovieId`. Lookups take any text, because no movie has an invalid id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MovieId(Box<str>);

impl MovieId {
    /// Describes a valid id, for messages.
    pub const RULE: &str = "1 to 128 characters, none of them a control character";

    /// Returns the violation of a field that is not a valid id.
    #[must_use]
    pub fn violation(field: &str) -> Violation {
        Violation::new(field, format!("expected {}", Self::RULE))
    }

    /// Returns whether a text is a valid id.
    #[must_use]
    pub fn is_valid(text: &str) -> bool {
        let has_control = if text.is_ascii() {
            // Most ids. Without an early exit, the loop is vectorised.
            text.bytes().fold(false, |has_control, byte| has_control | byte.is_ascii_control())
        } else {
            text.chars().any(char::is_control)
        };
        !text.is_empty() && !is_longer(text, MAX_ID_CHARS) && !has_control
    }

    /// Returns the id of a movie that has been validated.
    pub(super) fn of_valid(text: &str) -> Self {
        debug_assert!(Self::is_valid(text));
        Self(text.into())
    }
}

/// Fails with the violation of a field `id`.
impl TryFrom<String> for MovieId {
    type Error = Violation;

    fn try_from(text: String) -> Result<Self, Violation> {
        if Self::is_valid(&text) { Ok(Self(text.into())) } else { Err(Self::violation("id")) }
    }
}

/// Lets maps with ids as keys be searched by any text, valid as an id or not.
impl Borrow<str> for MovieId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Deref for MovieId {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MovieId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_1_to_128_characters_and_no_control_character() {
        for id in ["7", "é😀", &"é".repeat(MAX_ID_CHARS)] {
            assert_eq!(&*MovieId::try_from(id.to_owned()).unwrap(), id);
        }
        for text in ["", "a\nb", "\u{85}", &"x".repeat(MAX_ID_CHARS + 1)] {
            let violation = MovieId::try_from(text.to_owned()).unwrap_err();
            assert_eq!(violation, MovieId::violation("id"));
        }
    }
}
