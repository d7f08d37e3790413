//! The documents of several segments, in order of popularity.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::hint::black_box;

use crate::catalogue::search::document::Popularity;
use crate::catalogue::search::segment::doc_set::DocId;
use crate::catalogue::search::segment::reader::{IndexSegment, SegmentReader};

/// Live documents of several segments, the most popular first. Equally popular documents are in order of their keys.
pub(crate) struct Candidates<'a, I> {
    segments: Vec<(&'a SegmentReader, I)>,
    /// The next document of each segment: its rank, the number of the segment among `segments`, and its id.
    next: BinaryHeap<((Popularity, Reverse<u64>), usize, DocId)>,
}

impl<'a, I: Iterator<Item = DocId>> Candidates<'a, I> {
    /// Merges documents, given for each segment in order of their ids.
    pub(crate) fn new(segments: impl Iterator<Item = (&'a SegmentReader, I)>) -> Self {
        let mut segments: Vec<_> = segments.collect();
        let next = (0..).zip(&mut segments).filter_map(|(number, reader)| next_of(number, reader)).collect();
        Self { segments, next }
    }
}

impl<I: Iterator<Item = DocId>> Iterator for Candidates<'_, I> {
    /// The number of the segment, in the order in which the segments were given, and the document.
    type Item = (usize, DocId);

    fn next(&mut self) -> Option<Self::Item> {
        let mut first = self.next.peek_mut()?;
        let (_, number, doc) = *first;
        match next_of(number, &mut self.segments[number]) {
            Some(next) => *first = next,
            None => drop(PeekMut::pop(first)),
        }
        Some((number, doc))
    }
}

fn next_of(
    number: usize,
    (reader, docs): &mut (&SegmentReader, impl Iterator<Item = DocId>),
) -> Option<((Popularity, Reverse<u64>), usize, DocId)> {
    let doc = docs.find(|doc| reader.is_live(*doc))?;
    let popularity = reader.segment.popularity[doc as usize];
    Some(((popularity, Reverse(reader.keys.key(doc))), number, doc))
}

/// Prefetches the beginnings of documents into the processor's cache. The reads overlap.
pub(crate) fn prefetch<'a>(documents: impl Iterator<Item = (&'a IndexSegment, DocId)>) {
    let first = |(segment, doc): (&IndexSegment, DocId)| segment.forward.first_byte(doc);
    black_box(documents.filter_map(first).fold(0, u8::wrapping_add));
}
