//! Sets of movies of a segment: one bit for each movie, by its number in the columns.

use std::iter;

/// A set of movies of a segment.
pub(crate) type Bitset = Vec<u64>;

/// Makes `bits` the set of all of `len` movies.
pub(crate) fn fill(bits: &mut Bitset, len: usize) {
    bits.clear();
    bits.resize(len / 64, !0);
    if !len.is_multiple_of(64) {
        bits.push((1 << (len % 64)) - 1);
    }
}

/// Removes the movies whose value in a column is not wanted. The loops are such that the compiler vectorises them.
pub(crate) fn retain<T: Copy>(bits: &mut [u64], column: &[T], is_wanted: impl Fn(T) -> bool) {
    let (chunks, rest) = column.as_chunks::<64>();
    let (full, last) = bits.split_at_mut(chunks.len());
    for (word, values) in full.iter_mut().zip(chunks).filter(|(word, _)| **word != 0) {
        *word &= word_of(&values.map(|value| u8::from(is_wanted(value))));
    }
    if let [word, ..] = last {
        let mut flags = [0; 64];
        flags.iter_mut().zip(rest).for_each(|(flag, value)| *flag = u8::from(is_wanted(*value)));
        *word &= word_of(&flags);
    }
}

/// Returns a word of 64 flags, each 0 or 1.
fn word_of(flags: &[u8; 64]) -> u64 {
    // The product has, in its highest byte, bit `i` of byte `i` of the factor.
    let byte = |flags: &[u8; 8]| u64::from_le_bytes(*flags).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    let (eights, _) = flags.as_chunks::<8>();
    eights.iter().rev().fold(0, |word, flags| word << 8 | byte(flags))
}

/// Removes the movies that are not in `other`.
pub(crate) fn intersect(bits: &mut [u64], other: &[u64]) {
    bits.iter_mut().zip(other).for_each(|(bits, other)| *bits &= other);
}

/// Adds the movies of `other`.
pub(crate) fn unite(bits: &mut [u64], other: &[u64]) {
    bits.iter_mut().zip(other).for_each(|(bits, other)| *bits |= other);
}

/// Returns whether a set has a movie.
pub(crate) fn has(bits: &[u64], number: usize) -> bool {
    bits[number / 64] >> (number % 64) & 1 == 1
}

/// Removes a movie.
pub(crate) fn remove(bits: &mut [u64], number: usize) {
    bits[number / 64] &= !(1 << (number % 64));
}

/// Returns the number of movies.
pub(crate) fn count(bits: &[u64]) -> usize {
    bits.iter().map(|word| word.count_ones() as usize).sum()
}

/// Returns the numbers of the movies, in ascending order.
pub(crate) fn numbers(bits: &[u64]) -> impl Iterator<Item = usize> {
    bits.iter().enumerate().flat_map(|(word, bits)| {
        let mut rest = *bits;
        iter::from_fn(move || {
            let bit = rest.trailing_zeros() as usize;
            rest = rest.checked_sub(1).map(|less| rest & less)?;
            Some(word * 64 + bit)
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_set_has_the_movies_whose_values_are_wanted(
            column in proptest::collection::vec(0..4_u16, 0..200),
            wanted in 0..4_u16,
        ) {
            let mut bits = Bitset::new();
            fill(&mut bits, column.len());
            prop_assert_eq!(count(&bits), column.len());
            retain(&mut bits, &column, |value| value <= wanted);
            retain(&mut bits, &column, |value| value != 1);
            let expected = (0..column.len()).filter(|number| column[*number] <= wanted && column[*number] != 1);
            prop_assert_eq!(numbers(&bits).collect::<Vec<_>>(), expected.clone().collect::<Vec<_>>());
            prop_assert_eq!(count(&bits), expected.clone().count());
            for number in expected {
                prop_assert!(has(&bits, number));
                remove(&mut bits, number);
            }
            prop_assert_eq!(count(&bits), 0);
        }
    }
}
