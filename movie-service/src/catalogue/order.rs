//! Sort orders and sort keys.

use std::cmp::Ordering;

use crate::catalogue::encoding::frame::MovieView;

/// Maximum number of fields in an [`Order`].
pub const MAX_ORDER_FIELDS: usize = 3;

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
    /// The title, by its code points.
    Title,
    /// The year.
    Year,
    /// The rating.
    Rating,
}

/// Order-preserving 64-bit key of a field. Different titles may share a key.
pub(crate) type SortKey = u64;

/// The values of a movie from which sort keys are computed.
pub(crate) struct SortValues {
    /// Prefix of the title; see [`title_prefix`].
    pub(crate) title: u64,
    /// Year; 0 if it is not known.
    pub(crate) year: u32,
    /// Rating; [`NOT_RATED`] if the movie has none.
    pub(crate) rating: f32,
}

/// Represents a missing rating. It is less than every rating, because ratings are not negative.
pub(crate) const NOT_RATED: f32 = -1.0;

/// Returns the first eight bytes of a title as a number. The numbers are ordered like these bytes.
pub(crate) fn title_prefix(title: &str) -> u64 {
    let mut prefix = [0; 8];
    let length = title.len().min(8);
    prefix[..length].copy_from_slice(&title.as_bytes()[..length]);
    u64::from_be_bytes(prefix)
}

impl OrderBy {
    /// Returns the sort key of a movie.
    pub(crate) fn sort_key_of(self, movie: &MovieView<'_>) -> SortKey {
        self.sort_key(&SortValues {
            title: title_prefix(movie.title),
            year: movie.year(),
            rating: movie.rating().unwrap_or(NOT_RATED),
        })
    }

    /// Returns the sort key of a movie with these values.
    pub(crate) fn sort_key(self, movie: &SortValues) -> SortKey {
        match self.field {
            OrderField::Title => self.directed(movie.title),
            OrderField::Year => self.known(movie.year > 0, u64::from(movie.year)),
            OrderField::Rating => self.rating(movie.rating),
        }
    }

    /// Compares two movies with equal sort keys by their whole titles.
    pub(crate) fn compare_ties<'a>(
        self,
        one: impl Fn() -> &'a [u8],
        other: impl Fn() -> &'a [u8],
    ) -> Ordering {
        match (self.field, self.descending) {
            (OrderField::Title, false) => one().cmp(other()),
            (OrderField::Title, true) => other().cmp(one()),
            (OrderField::Year | OrderField::Rating, _) => Ordering::Equal,
        }
    }

    fn rating(self, rating: f32) -> SortKey {
        // Numbers that are not negative are ordered like their bits (IEEE 754, section 5.10).
        self.known(rating >= 0.0, u64::from(rating.abs().to_bits()))
    }

    fn known(self, is_known: bool, sort_key: SortKey) -> SortKey {
        if is_known { self.directed(sort_key) } else { SortKey::MAX }
    }

    fn directed(self, sort_key: SortKey) -> SortKey {
        // `SortKey::MAX` is reserved for unknown values.
        if self.descending { SortKey::MAX - 1 - sort_key } else { sort_key }
    }
}
