//! Revisions of the catalogue.

use std::fmt;
use std::num::TryFromIntError;

/// The version number of a state of the catalogue. Each change increments it by one.
///
/// A JSON database begins at the modification time of its file. The same number can stand for different states in
/// different histories, for example after a restore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(u64);

impl Revision {
    /// Returns the revision with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// Returns the number as a signed integer, the type of SQL and protobuf. Numbers beyond [`i64::MAX`] do not
    /// occur.
    #[must_use]
    pub fn to_i64(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    /// Returns the revision that is this many changes later.
    #[must_use]
    pub const fn plus(self, changes: u64) -> Self {
        Self(self.0.saturating_add(changes))
    }

    /// Returns the revision that is this many changes earlier, but no earlier than the first.
    #[must_use]
    pub const fn minus(self, changes: u64) -> Self {
        Self(self.0.saturating_sub(changes))
    }

    /// Returns the number of changes since `earlier`; `None` if `earlier` is later than this revision.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Option<u64> {
        self.0.checked_sub(earlier.0)
    }
}

/// Fails for negative numbers.
impl TryFrom<i64> for Revision {
    type Error = TryFromIntError;

    fn try_from(number: i64) -> Result<Self, TryFromIntError> {
        u64::try_from(number).map(Self)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_count_changes_and_are_never_negative() {
        let [three, five] = [3, 5].map(Revision::new);
        assert_eq!((three.plus(2), five.minus(2), three.minus(9)), (five, three, Revision::default()));
        assert_eq!((five.since(three), three.since(five)), (Some(2), None));
        assert_eq!(
            (Revision::try_from(5), Revision::try_from(-1).is_err(), five.to_i64()),
            (Ok(five), true, 5)
        );
    }
}
