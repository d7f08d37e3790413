//! Sort orders and sort keys.

use std::cmp::Ordering;
use std::ops::RangeInclusive;

use crate::catalogue::collation;
use crate::catalogue::encoding::frame::MovieView;
use crate::movie::{Field, Timestamp};

/// Maximum number of fields in an [`Order`]: each field once.
pub const MAX_ORDER_FIELDS: usize = OrderField::ALL.len();

/// A sort order: its fields, the most important first. Movies that are equal in all fields are ordered by id. Empty
/// means listing order.
pub type Order = Vec<OrderBy>;

/// One field of a sort order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderBy {
    /// The field.
    pub field: OrderField,
    /// Whether the highest comes first. Movies without a value come last in either case.
    pub descending: bool,
}

/// A field that movies can be ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderField {
    /// The title, in the order of a dictionary.
    Title,
    /// The year.
    Year,
    /// The rating.
    Rating,
    /// The number of ratings.
    RatingCount,
    /// The time of creation.
    CreateTime,
    /// The time of the last update.
    UpdateTime,
}

/// Order-preserving 64-bit key of a value in ascending order. Different titles can have the same one, so they are also
/// compared as texts.
pub(crate) type SortKey = u64;

/// A range of sort keys in the direction of an order.
pub(crate) type KeyRange = RangeInclusive<SortKey>;

/// The sort key of a movie without a value. It is reserved, because such a movie comes last in either direction.
const UNKNOWN: SortKey = SortKey::MAX;

/// Represents a missing rating. It is less than every rating, because ratings are not negative.
pub(crate) const NOT_RATED: f32 = -1.0;

impl OrderField {
    /// All fields.
    pub const ALL: [Self; 6] =
        [Self::Title, Self::Year, Self::Rating, Self::RatingCount, Self::CreateTime, Self::UpdateTime];

    /// Returns the name of the field.
    #[must_use]
    pub const fn name(self) -> &'static str {
        let field = match self {
            Self::Title => Field::Title,
            Self::Year => Field::Year,
            Self::Rating => Field::Rating,
            Self::RatingCount => Field::RatingCount,
            Self::CreateTime => Field::CreateTime,
            Self::UpdateTime => Field::UpdateTime,
        };
        field.name()
    }

    /// Returns the sort key of a movie; the same for all titles, whose ranks `TitleRanks` knows.
    pub(crate) fn sort_key(self, movie: &MovieView<'_>) -> SortKey {
        match self {
            Self::Title => 0,
            Self::Year => year_key(movie.year()),
            Self::Rating => rating_key(movie.rating().unwrap_or(NOT_RATED)),
            Self::RatingCount => count_key(movie.details.number(Field::RatingCount)),
            Self::CreateTime => time_key(movie.details.time(Field::CreateTime)),
            Self::UpdateTime => time_key(movie.details.time(Field::UpdateTime)),
        }
    }
}

impl OrderBy {
    /// Returns a sort key in the direction of this order.
    pub(crate) fn directed(self, key: SortKey) -> SortKey {
        if self.descending && key != UNKNOWN { UNKNOWN - 1 - key } else { key }
    }

    /// Returns the lowest and the highest known sort key whose directed one is in a range, and whether that of movies without
    /// a value is in it.
    pub(crate) fn undirected(self, range: &KeyRange) -> (SortKey, SortKey, bool) {
        let (first, last) = (*range.start(), (*range.end()).min(UNKNOWN - 1));
        let with_unknown = range.contains(&UNKNOWN);
        if first > last {
            // An empty range.
            return (1, 0, with_unknown);
        }
        let known = if self.descending { (UNKNOWN - 1 - last, UNKNOWN - 1 - first) } else { (first, last) };
        (known.0, known.1, with_unknown)
    }

    /// Compares two titles in the direction of this order.
    pub(crate) fn compare_titles(self, one: &[u8], other: &[u8]) -> Ordering {
        let ordering = collation::compare(one, other);
        if self.descending { ordering.reverse() } else { ordering }
    }
}

/// Returns the sort key of a year; 0 is not known.
pub(crate) fn year_key(year: u32) -> SortKey {
    if year > 0 { year.into() } else { UNKNOWN }
}

/// Returns the sort key of a rating, or of [`NOT_RATED`].
pub(crate) fn rating_key(rating: f32) -> SortKey {
    // Numbers that are not negative are ordered like their bits (IEEE 754, section 5.10).
    if rating >= 0.0 { rating.abs().to_bits().into() } else { UNKNOWN }
}

/// Returns the sort key of a number of ratings; 0 is not known.
fn count_key(count: i64) -> SortKey {
    u64::try_from(count).ok().filter(|count| *count > 0).unwrap_or(UNKNOWN)
}

/// Returns the sort key of a time: its nanoseconds since the Unix epoch. Times before 1970 and after 2554, which no store
/// sets, are equal to the nearest time between.
fn time_key(time: Option<Timestamp>) -> SortKey {
    let Some(Timestamp { seconds, nanos }) = time else { return UNKNOWN };
    let [seconds, nanos] = [seconds, nanos.into()].map(|part| u64::try_from(part).unwrap_or_default());
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos).min(UNKNOWN - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_ordered_to_the_nanosecond_and_unknown_ones_come_last() {
        let key = |seconds, nanos| time_key(Some(Timestamp { seconds, nanos }));
        let keys = [key(0, 0), key(0, 1), key(1, 0), key(1_800_000_000, 999_999_999), key(1_800_000_001, 0)];
        assert!(keys.is_sorted_by(|one, other| one < other), "{keys:?}");
        assert_eq!((key(-1, 5), key(i64::MIN, 0)), (5, 0));
        assert_eq!(key(i64::MAX, 999_999_999), UNKNOWN - 1);
        for descending in [false, true] {
            let by = OrderBy { field: OrderField::CreateTime, descending };
            assert!(keys.iter().all(|key| by.directed(*key) < by.directed(time_key(None))));
        }
    }
}
