//! Sets of documents of a segment, by place, which is in order of popularity.

use crate::catalogue::search::budget::Budget;
use crate::catalogue::search::segment::data::Segment;
use crate::catalogue::search::segment::keys::SharedPlaces;

/// A set of places, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    bits: Vec<u64>,
}

impl Places {
    /// Makes an empty set for documents numbered below `documents`.
    pub(crate) fn new(documents: usize) -> Self {
        Self { bits: vec![0; documents / 64 + 1] }
    }

    /// Makes the set of all documents numbered below `documents`.
    pub(crate) fn all(documents: usize) -> Self {
        let mut bits = vec![u64::MAX; documents / 64 + 1];
        if let Some(last) = bits.last_mut() {
            *last = (1 << (documents % 64)) - 1;
        }
        Self { bits }
    }

    /// Returns whether a place is in it.
    #[inline]
    pub(crate) fn contains(&self, place: u32) -> bool {
        self.bits[place as usize / 64] >> (place % 64) & 1 == 1
    }

    /// Returns the number of places.
    pub(crate) fn len(&self) -> usize {
        self.bits.iter().map(|bits| bits.count_ones() as usize).sum()
    }

    /// Returns whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.bits.iter().all(|bits| *bits == 0)
    }

    /// Returns the number of places that fit.
    pub(crate) fn capacity(&self) -> usize {
        64 * self.bits.len()
    }

    /// Adds a place. Returns whether it is new.
    #[inline]
    pub(crate) fn insert(&mut self, place: u32) -> bool {
        let (bits, bit) = (&mut self.bits[place as usize / 64], 1 << (place % 64));
        let is_new = *bits & bit == 0;
        *bits |= bit;
        is_new
    }

    /// Adds the documents that have a word as whole title, and up to `most` others. `budget` is the number of postings that
    /// may still be read.
    pub(crate) fn add_list(&mut self, segment: &Segment, ordinal: u32, budget: &mut Budget, most: usize) {
        if budget.is_spent() {
            return;
        }
        let most = most.min(budget.left());
        let read = segment.postings.read(ordinal, most, |place| {
            self.bits[place as usize / 64] |= 1 << (place % 64);
        });
        budget.spend(read.max(1));
    }

    /// Adds the places of another set.
    pub(crate) fn unite(&mut self, other: &Self) {
        self.bits.iter_mut().zip(&other.bits).for_each(|(bits, other)| *bits |= other);
    }

    /// Removes the places that are not in another set.
    pub(crate) fn intersect(&mut self, other: &Self) {
        self.bits.iter_mut().zip(&other.bits).for_each(|(bits, other)| *bits &= other);
    }

    /// Removes the places of another set.
    pub(crate) fn subtract(&mut self, other: &Self) {
        self.bits.iter_mut().zip(&other.bits).for_each(|(bits, other)| *bits &= !other);
    }

    /// Removes the places of a shared set.
    pub(crate) fn subtract_shared(&mut self, other: &SharedPlaces) {
        for (word, other) in other.words() {
            if let Some(bits) = self.bits.get_mut(word) {
                *bits &= !other;
            }
        }
    }

    /// Returns the places, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        self.bits.iter().enumerate().filter(|(_, bits)| **bits != 0).flat_map(|(word, bits)| {
            let mut bits = *bits;
            std::iter::from_fn(move || {
                let bit = (bits != 0).then(|| bits.trailing_zeros())?;
                bits &= bits - 1;
                Some(word as u32 * 64 + bit)
            })
        })
    }
}

/// An immutable set of places: a list if it has few, else bits.
#[derive(Clone, Debug)]
pub(crate) enum PlaceSet {
    List(Box<[u32]>),
    /// With the number of places.
    Bits(Places, usize),
}

/// Number of documents for each place of a list. A set with more places is kept as bits, which take less memory then.
const DENSE: usize = 32;

impl PlaceSet {
    /// Makes a set of places, in order, for documents numbered below `documents`.
    pub(crate) fn new(places: Vec<u32>, documents: usize) -> Self {
        if places.len() <= documents / DENSE {
            return Self::List(places.into());
        }
        let (mut bits, len) = (Places::new(documents), places.len());
        for place in places {
            bits.insert(place);
        }
        Self::Bits(bits, len)
    }

    /// Returns the number of places.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::List(list) => list.len(),
            Self::Bits(_, len) => *len,
        }
    }

    /// Adds the places to a set.
    pub(crate) fn add_to(&self, places: &mut Places) {
        match self {
            Self::List(list) => list.iter().for_each(|place| {
                places.insert(*place);
            }),
            Self::Bits(bits, _) => places.unite(bits),
        }
    }

    /// Returns how many of the places are in a set.
    pub(crate) fn count_in(&self, places: &Places) -> usize {
        match self {
            Self::List(list) => list.iter().filter(|place| places.contains(**place)).count(),
            Self::Bits(bits, _) => {
                let both = bits.bits.iter().zip(&places.bits).map(|(one, other)| one & other);
                both.map(|bits| bits.count_ones() as usize).sum()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_set_agree() {
        let places: Vec<u32> = vec![0, 3, 64, 127, 128];
        let mut some = Places::new(129);
        for place in [3, 64, 65] {
            some.insert(place);
        }
        for (set, is_list) in
            [(PlaceSet::new(places.clone(), 10_000), true), (PlaceSet::new(places.clone(), 129), false)]
        {
            assert_eq!(matches!(set, PlaceSet::List(_)), is_list);
            let mut all = Places::new(10_000);
            set.add_to(&mut all);
            assert_eq!(all.iter().collect::<Vec<_>>(), places);
            let mut with = some.clone();
            with.unite(&Places::new(10_000));
            assert_eq!((set.len(), set.count_in(&some)), (5, 2));
        }
        assert_eq!((Places::all(128).len(), Places::all(129).len()), (128, 129));
    }
}
