//! The documents of several parts of an index, in order of popularity.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::hint::black_box;

use crate::catalogue::search::document::Popularity;
use crate::catalogue::search::index::Part;
use crate::catalogue::search::segment::data::Segment;

/// Live documents of several parts, the most popular first. Equally popular documents are in order of their keys.
pub(crate) struct Candidates<'a, I> {
    parts: Vec<(&'a Part, I)>,
    /// The next document of each part: its rank, the number of the part among `parts`, and its place.
    next: BinaryHeap<((Popularity, Reverse<u64>), usize, u32)>,
}

impl<'a, I: Iterator<Item = u32>> Candidates<'a, I> {
    /// Merges documents, given for each part in order of their places.
    pub(crate) fn new(parts: impl Iterator<Item = (&'a Part, I)>) -> Self {
        let mut parts: Vec<_> = parts.collect();
        let next = (0..).zip(&mut parts).filter_map(|(number, part)| next_of(number, part)).collect();
        Self { parts, next }
    }
}

impl<I: Iterator<Item = u32>> Iterator for Candidates<'_, I> {
    /// The number of the part, in the order in which the parts were given, and the place.
    type Item = (usize, u32);

    fn next(&mut self) -> Option<Self::Item> {
        let mut first = self.next.peek_mut()?;
        let (_, number, place) = *first;
        match next_of(number, &mut self.parts[number]) {
            Some(next) => *first = next,
            None => drop(PeekMut::pop(first)),
        }
        Some((number, place))
    }
}

fn next_of(
    number: usize,
    (part, places): &mut (&Part, impl Iterator<Item = u32>),
) -> Option<((Popularity, Reverse<u64>), usize, u32)> {
    let place = places.find(|place| part.is_live(*place))?;
    let popularity = part.segment.popularity[place as usize];
    Some(((popularity, Reverse(part.keys.key(place))), number, place))
}

/// Prefetches the beginnings of documents into the processor's cache. The reads overlap.
pub(crate) fn prefetch<'a>(documents: impl Iterator<Item = (&'a Segment, u32)>) {
    let first = |(segment, place): (&Segment, u32)| segment.forward.first_byte(place);
    black_box(documents.filter_map(first).fold(0, u8::wrapping_add));
}
