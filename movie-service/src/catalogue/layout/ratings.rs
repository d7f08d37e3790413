//! The column of ratings, in a byte each if all of them have at most one decimal.

use crate::catalogue::layout::bitset::{self, Bitset};
use crate::catalogue::order::NOT_RATED;

/// The tenths of a movie without a rating.
const NO_TENTHS: u8 = u8::MAX;

/// Ratings; [`NOT_RATED`] if the movie has none.
#[derive(Debug)]
pub(crate) enum Ratings {
    /// Tenths.
    Tenths(Box<[u8]>),
    /// Any ratings.
    Exact(Box<[f32]>),
}

impl Ratings {
    /// Returns the rating of a movie.
    pub(crate) fn get(&self, number: usize) -> f32 {
        match self {
            Self::Tenths(tenths) => rating(tenths[number]),
            Self::Exact(ratings) => ratings[number],
        }
    }

    /// Returns the memory that the column takes, in bytes.
    #[cfg(test)]
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Tenths(tenths) => tenths.len(),
            Self::Exact(ratings) => size_of_val(&**ratings),
        }
    }

    /// Removes the movies whose rating is not in a range, and those without one unless `with_unknown`.
    pub(crate) fn retain(&self, bits: &mut Bitset, lowest: f32, highest: f32, with_unknown: bool) {
        match self {
            Self::Tenths(tenths) => {
                // Few enough that the bounds are found by trying.
                let from = (0..NO_TENTHS).find(|tenths| rating(*tenths) >= lowest).unwrap_or(NO_TENTHS);
                let to = (0..NO_TENTHS).rev().find(|tenths| rating(*tenths) <= highest);
                bitset::retain(bits, tenths, |tenths| match to {
                    Some(to) if tenths != NO_TENTHS => tenths >= from && tenths <= to,
                    _ => with_unknown && tenths == NO_TENTHS,
                });
            }
            Self::Exact(ratings) => bitset::retain(bits, ratings, |rating| {
                if rating >= 0.0 { rating >= lowest && rating <= highest } else { with_unknown }
            }),
        }
    }
}

impl Default for Ratings {
    fn default() -> Self {
        Self::Tenths(Box::default())
    }
}

impl FromIterator<f32> for Ratings {
    fn from_iter<I: IntoIterator<Item = f32>>(ratings: I) -> Self {
        let ratings: Box<[f32]> = ratings.into_iter().collect();
        let tenths = ratings.iter().map(|rating| tenths(*rating)).collect();
        Option::map_or_else(tenths, || Self::Exact(ratings), Self::Tenths)
    }
}

/// Returns the tenths of a rating; `None` if they are not exact.
fn tenths(of: f32) -> Option<u8> {
    if of < 0.0 {
        return Some(NO_TENTHS);
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the result is compared")]
    let tenths = (of * 10.0).round() as u8;
    (tenths != NO_TENTHS && rating(tenths).to_bits() == of.to_bits()).then_some(tenths)
}

/// Returns the rating of tenths.
fn rating(tenths: u8) -> f32 {
    if tenths == NO_TENTHS { NOT_RATED } else { f32::from(tenths) / 10.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_rating_is_the_same_in_a_byte_and_in_four(
            some in proptest::collection::vec((-1..=100_i8).prop_map(|tenths| if tenths < 0 { NOT_RATED } else { f32::from(tenths) / 10.0 }), 1..150),
            other in 0.0..10.0_f32,
            bounds in (0..=100_u8, 0.0..10.0_f32, any::<bool>(), any::<bool>()),
        ) {
            let (a, b, with_unknown, is_lowest) = bounds;
            let (lowest, highest) = if is_lowest { (f32::from(a) / 10.0, b) } else { (b, f32::from(a) / 10.0) };
            let with_other: Vec<_> = some.iter().copied().chain([other]).collect();
            for expected in [some, with_other] {
                let ratings: Ratings = expected.iter().copied().collect();
                let mut bits = Bitset::new();
                bitset::fill(&mut bits, expected.len());
                ratings.retain(&mut bits, lowest, highest, with_unknown);
                for (number, rating) in expected.into_iter().enumerate() {
                    prop_assert_eq!(ratings.get(number).to_bits(), rating.to_bits());
                    let is_wanted = if rating < 0.0 { with_unknown } else { rating >= lowest && rating <= highest };
                    prop_assert_eq!(bitset::has(&bits, number), is_wanted);
                }
            }
        }
    }

    #[test]
    fn ratings_with_one_decimal_take_a_byte_each() {
        let all: Ratings = (0..=100_u8).map(|tenths| f32::from(tenths) / 10.0).chain([NOT_RATED]).collect();
        assert!(matches!(all, Ratings::Tenths(_)));
        let written: Ratings = ["7.3", "0.1", "9.9"].map(|text| text.parse().unwrap()).into_iter().collect();
        assert!(matches!(written, Ratings::Tenths(_)));
        assert!(matches!([7.25].into_iter().collect::<Ratings>(), Ratings::Exact(_)));
    }
}
