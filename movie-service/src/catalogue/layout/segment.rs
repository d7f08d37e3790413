//! A segment: the frames of some hundred consecutive movies.

use std::cell::Cell;
use std::cmp::Ordering;
use std::mem;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::catalogue::encoding::details::Details;
use crate::catalogue::encoding::dictionary::Dictionary;
use crate::catalogue::encoding::frame::{self, InvalidMovie, MovieView};
use crate::catalogue::encoding::offsets::Offsets;
use crate::catalogue::filter::Filter;
use crate::catalogue::layout::bitset::Bitset;
use crate::catalogue::layout::columns::Columns;
use crate::catalogue::layout::table;

/// The bits of a [`Location`] that are the movie's key in its segment.
const KEY_BITS: u32 = 15;

/// Maximum size of a segment, in bytes, unless a single movie is larger or movies have grown. It is two DATA frames
/// of HTTP/2's default size, and allocators do not round it up by much. Keys are below it.
pub(crate) const MAX_SEGMENT_BYTES: usize = 1 << KEY_BITS;

/// Maximum size of the details of a segment, in bytes, unless those of a single movie are larger or movies have grown. A
/// change copies them all.
const MAX_DETAILS_BYTES: usize = 8 * MAX_SEGMENT_BYTES;

/// The location of a movie: its segment and its key there. It stays the same while the movie is in the catalogue,
/// until the snapshot is compacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Location(u64);

impl Location {
    /// The number of segments that a location can address. The all-ones value is reserved for empty slots.
    pub(crate) const MAX_SEGMENTS: usize = (1 << (table::BITS - KEY_BITS)) - 1;

    pub(crate) fn new(segment: usize, key: u16) -> Self {
        debug_assert!(segment < Self::MAX_SEGMENTS && usize::from(key) < MAX_SEGMENT_BYTES);
        Self((segment as u64) << KEY_BITS | u64::from(key))
    }

    /// Returns the location that has this number.
    pub(crate) fn of(number: u64) -> Self {
        Self(number)
    }

    pub(crate) fn number(self) -> u64 {
        self.0
    }

    pub(crate) fn segment(self) -> usize {
        (self.0 >> KEY_BITS) as usize
    }

    #[expect(clippy::cast_possible_truncation, reason = "a key has fewer bits than 16")]
    pub(crate) fn key(self) -> u16 {
        (self.0 % MAX_SEGMENT_BYTES as u64) as u16
    }
}

/// The frames of consecutive movies in listing order.
///
/// Immutable: a change makes a new segment. Clones share the buffers. The key of a movie is the offset at which its
/// frame was added. In most segments no frame has moved, and no table of offsets is needed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Segment {
    frames: Bytes,
    /// Key and current offset of each frame, in the order of the keys; `None` while no frame has moved.
    starts: Option<Arc<[(u16, usize)]>>,
    /// The details of the movies that have details.
    details: Option<Arc<SegmentDetails>>,
    /// Built on first use. Shared, so that copies of the segment have them, too.
    columns: Arc<OnceLock<Box<Columns>>>,
}

/// The details of some movies of a segment, one after the other.
#[derive(Debug)]
struct SegmentDetails {
    dictionary: Arc<Dictionary>,
    bytes: Box<[u8]>,
    /// The keys of the movies, in ascending order.
    keys: Arc<[u16]>,
    /// For each of these movies, the end of its details.
    ends: Offsets,
}

impl SegmentDetails {
    fn get(&self, key: u16) -> Details<'_> {
        self.find(key).map_or_else(Details::default, |index| self.at(index))
    }

    /// Returns the index of a key. Keys are nearly evenly spaced, so it is searched for from where it would be if they were.
    fn find(&self, key: u16) -> Option<usize> {
        /// Maximum number of keys to compare. After that, a binary search is faster.
        const MAX_COMPARED: usize = 32;
        let last = *self.keys.last()?;
        let mut index = usize::from(key.min(last)) * (self.keys.len() - 1) / usize::from(last.max(1));
        let mut before = Ordering::Equal;
        for _ in 0..MAX_COMPARED {
            let order = self.keys.get(index)?.cmp(&key);
            match order {
                Ordering::Equal => return Some(index),
                // It is between two keys.
                _ if order == before.reverse() => return None,
                Ordering::Less => index += 1,
                Ordering::Greater => index = index.checked_sub(1)?,
            }
            before = order;
        }
        self.keys.binary_search(&key).ok()
    }

    fn at(&self, index: usize) -> Details<'_> {
        let bytes = &self.bytes[self.ends.start(index)..self.ends.start(index + 1)];
        Details::with_references(bytes, &self.dictionary)
    }

    /// Returns a copy in which the details of a movie are added, replaced, or removed if there are none.
    fn with(&self, key: u16, details: Details<'_>) -> Option<Arc<Self>> {
        let (index, after) = match self.keys.binary_search(&key) {
            Ok(index) => (index, index + 1),
            Err(index) => (index, index),
        };
        let (from, to) = (self.ends.start(index), self.ends.start(after));
        let mut next = DraftDetails {
            bytes: self.bytes[..from].to_vec(),
            keys: self.keys[..index].to_vec(),
            ends: (0..index).map(|index| end(self.ends.start(index + 1))).collect(),
        };
        next.push(key, details, |value| self.dictionary.find(value));
        let moved_to = next.bytes.len();
        next.bytes.extend_from_slice(&self.bytes[to..]);
        next.keys.extend_from_slice(&self.keys[after..]);
        let ends = (after..self.keys.len()).map(|index| self.ends.start(index + 1));
        next.ends.extend(ends.map(|old| end(old - to + moved_to)));
        next.shared(self.dictionary.clone())
    }

    /// Returns a copy with the details of further movies, which were made with this dictionary.
    fn extended(&self, more: &DraftDetails) -> Option<Arc<Self>> {
        let before = self.bytes.len();
        let ends = (1..=self.keys.len()).map(|index| end(self.ends.start(index)));
        let all = DraftDetails {
            bytes: [&*self.bytes, &more.bytes].concat(),
            keys: [&*self.keys, &more.keys].concat(),
            ends: ends.chain(more.ends.iter().map(|more| more + end(before))).collect(),
        };
        all.shared(self.dictionary.clone())
    }

    /// Returns a copy whose dictionary is made from all details.
    fn packed(&self) -> Option<Arc<Self>> {
        let (dictionary, numbers) = Dictionary::of((0..self.keys.len()).map(|index| self.at(index)));
        let mut packed = DraftDetails::default();
        let last = Cell::<Option<(&&[u8], usize)>>::new(None);
        let number_of = |value: &[u8]| match last.get() {
            Some((known, number)) if *known == value => Some(number),
            _ => {
                last.set(numbers.get_key_value(value).map(|(value, number)| (value, *number)));
                last.get().map(|(_, number)| number)
            }
        };
        for (index, key) in self.keys.iter().enumerate() {
            packed.push(*key, self.at(index), number_of);
        }
        packed.shared(Arc::new(dictionary))
    }
}

/// Details that are added one after the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct DraftDetails {
    bytes: Vec<u8>,
    keys: Vec<u16>,
    ends: Vec<u32>,
}

impl DraftDetails {
    /// Appends the details of a movie. Its key must be the highest so far.
    fn push(&mut self, key: u16, details: Details<'_>, number_of: impl Fn(&[u8]) -> Option<usize>) {
        if !details.is_empty() {
            details.put_with_references(number_of, &mut self.bytes);
            self.keys.push(key);
            self.ends.push(end(self.bytes.len()));
        }
    }

    /// Returns the details in no more memory than they need; `None` if there are none.
    fn shared(self, dictionary: Arc<Dictionary>) -> Option<Arc<SegmentDetails>> {
        let Self { bytes, keys, ends } = self;
        let is_empty = keys.is_empty();
        // Copies, because the allocator leaves a buffer that shrinks to no less than half of its size in place.
        let (bytes, keys) = (bytes.as_slice().into(), keys.into());
        (!is_empty).then(|| Arc::new(SegmentDetails { dictionary, bytes, keys, ends: ends.into() }))
    }
}

/// Returns the end of some details in those of a segment.
fn end(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a segment has less than 3,000 movies, and no movie has more than a MiB")
}

impl Segment {
    /// Makes a segment of the frames and the details of a [`Draft`].
    pub(crate) fn new(frames: Bytes, details: DraftDetails) -> Self {
        let details = details.shared(Arc::default()).and_then(|details| details.packed());
        Self { frames, details, ..Self::default() }
    }

    /// Makes the dictionary of the details from all of them.
    pub(crate) fn pack(&mut self) {
        self.details = self.details.take().and_then(|details| details.packed());
    }

    /// Returns the frames of all movies, in order.
    pub(crate) fn frames(&self) -> &Bytes {
        &self.frames
    }

    /// Returns the frame of an existing key.
    pub(crate) fn frame(&self, key: u16) -> &[u8] {
        frame::first(&self.frames[self.start(key)..])
    }

    /// Returns the frame of an existing key as a slice of the shared buffer, without copying it.
    pub(crate) fn share(&self, key: u16) -> Bytes {
        self.frames.slice_ref(self.frame(key))
    }

    /// Returns the details of a key; empty if it has none.
    pub(crate) fn details(&self, key: u16) -> Details<'_> {
        self.details.as_ref().map_or_else(Details::default, |details| details.get(key))
    }

    /// Returns whether any movie has a field that is not one of a frame, other than its times, which a store sets.
    pub(crate) fn has_details(&self) -> bool {
        let details = self.details.as_deref();
        details.is_some_and(|all| (0..all.keys.len()).any(|index| all.at(index).has_input_fields()))
    }

    /// Returns the movie of an existing key.
    pub(crate) fn movie(&self, key: u16) -> MovieView<'_> {
        MovieView { details: self.details(key), ..MovieView::decode(self.frame(key)) }
    }

    /// Returns the columns, which are built on first use.
    pub(crate) fn columns(&self) -> &Columns {
        self.columns.get_or_init(|| {
            let keys: Vec<_> = self.frames_by_key().map(|(key, _)| key).collect();
            let movies: Vec<_> = keys.iter().map(|key| self.movie(*key)).collect();
            // Usually, all movies have details, whose keys are the same.
            let same = self.details.as_ref().map(|details| &details.keys).filter(|same| ***same == keys);
            Box::new(Columns::of(same.cloned().unwrap_or_else(|| keys.into()), &movies))
        })
    }

    /// Makes `bits` the set of the movies that match a filter, by their numbers in the columns.
    pub(crate) fn matching(&self, filter: &Filter, bits: &mut Bitset) {
        self.columns().matching(filter, |key| self.movie(key), bits);
    }

    /// Forgets the columns.
    pub(crate) fn drop_columns(&mut self) {
        self.columns = Arc::default();
    }

    /// Returns the keys and frames of all movies, in order.
    pub(crate) fn frames_by_key(&self) -> impl Iterator<Item = (u16, &[u8])> {
        let keys = self.starts.as_deref().map(|starts| starts.iter().map(|(key, _)| *key));
        let mut moved = keys.into_iter().flatten();
        frame::each(&self.frames).map(move |(start, frame)| match self.starts {
            None => (key(start), frame),
            Some(_) => (moved.next().unwrap_or_default(), frame),
        })
    }

    /// Returns the key for the next movie; `None` if `movie` does not fit into this segment. `pending` are the details of
    /// movies that were pushed.
    pub(crate) fn next_key(&self, movie: &MovieView<'_>, pending: &DraftDetails) -> Option<u16> {
        let after = self.starts.as_deref().and_then(|starts| starts.last()).map_or(0, |(last, _)| last + 1);
        let next = self.frames.len().max(usize::from(after));
        let details = self.details.as_ref().map_or(0, |details| details.bytes.len()) + pending.bytes.len();
        (next < MAX_SEGMENT_BYTES && !is_full(&self.frames, details, movie)).then(|| key(next))
    }

    /// Appends a movie under a key that [`Self::next_key`] returned. Its details are added to `details`, with which
    /// [`Self::complete`] must be called after the last movie.
    ///
    /// The frames are copied at the first movie only: after that, they are no longer shared and have room.
    pub(crate) fn push(&mut self, key: u16, movie: &MovieView<'_>, details: &mut DraftDetails) {
        let start = self.frames.len();
        if self.starts.is_some() || start != usize::from(key) {
            self.starts = Some(self.all_starts().chain([(key, start)]).collect());
        }
        let mut frames = match mem::take(&mut self.frames).try_into_mut() {
            Ok(frames) => Vec::from(frames),
            Err(shared) => {
                let mut frames = Vec::with_capacity(MAX_SEGMENT_BYTES.max(start + movie.max_frame_len()));
                frames.extend_from_slice(&shared);
                frames
            }
        };
        movie.encode(&mut frames);
        self.frames = frames.into();
        let dictionary = self.details.as_ref().map(|details| &details.dictionary);
        details.push(key, movie.details, |value| dictionary.and_then(|dictionary| dictionary.find(value)));
    }

    /// Adds the details of the movies that were pushed, and frees unused memory.
    pub(crate) fn complete(&mut self, details: DraftDetails) {
        self.frames = Bytes::copy_from_slice(&self.frames);
        self.columns = Arc::default();
        if let Some(known) = &self.details {
            self.details = known.extended(&details);
        } else {
            self.details = details.shared(Arc::default());
        }
    }

    /// Returns a copy in which the movie with this key is replaced, or removed.
    pub(crate) fn with(&self, key: u16, movie: Option<&MovieView<'_>>) -> Self {
        let start = self.start(key);
        let end = start + self.frame(key).len();
        let mut frames = self.frames[..start].to_vec();
        if let Some(movie) = movie {
            movie.encode(&mut frames);
        }
        let moved_to = frames.len();
        frames.extend_from_slice(&self.frames[end..]);
        let moved = |other: usize| if other < end { other } else { other - end + moved_to };
        let starts = self.all_starts().filter(|(other, _)| movie.is_some() || *other != key);
        let starts = starts.map(|(other, start)| (other, moved(start))).collect();
        Self {
            frames: Bytes::copy_from_slice(&frames),
            starts: Some(starts),
            details: self.details_with(key, movie.map(|movie| movie.details).unwrap_or_default()),
            columns: Arc::default(),
        }
    }

    /// Returns the details of all movies, in which those of a key are added or replaced.
    fn details_with(&self, key: u16, details: Details<'_>) -> Option<Arc<SegmentDetails>> {
        if let Some(all) = &self.details {
            return all.with(key, details);
        }
        let mut first = DraftDetails::default();
        first.push(key, details, |_| None);
        first.shared(Arc::default())
    }

    fn start(&self, key: u16) -> usize {
        match &self.starts {
            None => usize::from(key),
            Some(starts) => {
                let found = starts.binary_search_by_key(&key, |(key, _)| *key);
                found.map_or(self.frames.len(), |index| starts[index].1)
            }
        }
    }

    fn all_starts(&self) -> impl Iterator<Item = (u16, usize)> {
        let mut start = 0;
        self.frames_by_key().map(move |(key, frame)| {
            let this = start;
            start += frame.len();
            (key, this)
        })
    }
}

/// The movies of a segment under construction.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    frames: Vec<u8>,
    details: DraftDetails,
}

impl Draft {
    /// Appends a movie. If it does not fit, returns the draft of the movies before it, and starts a new draft with
    /// it.
    ///
    /// # Errors
    ///
    /// [`InvalidMovie`] if no catalogue may hold the movie.
    pub fn push(&mut self, movie: &MovieView<'_>) -> Result<Option<Self>, InvalidMovie> {
        movie.check()?;
        let full = is_full(&self.frames, self.details.bytes.len(), movie).then(|| {
            mem::replace(
                self,
                Self { frames: Vec::with_capacity(MAX_SEGMENT_BYTES), details: DraftDetails::default() },
            )
        });
        self.details.push(key(self.frames.len()), movie.details, |_| None);
        movie.encode(&mut self.frames);
        Ok(full)
    }

    /// Returns the frames.
    pub(crate) fn frames(&self) -> &[u8] {
        &self.frames
    }

    /// Returns the details.
    pub(crate) fn details(&self) -> DraftDetails {
        self.details.clone()
    }
}

/// Returns whether a movie does not fit into a segment that has these frames and this many bytes of details.
fn is_full(frames: &[u8], details: usize, movie: &MovieView<'_>) -> bool {
    let is_too_long = frames.len() + movie.max_frame_len() > MAX_SEGMENT_BYTES;
    !frames.is_empty() && (is_too_long || details + movie.details.len() > MAX_DETAILS_BYTES)
}

/// Converts the start of a new frame to its key. A segment takes no further frame at or beyond [`MAX_SEGMENT_BYTES`].
fn key(start: usize) -> u16 {
    u16::try_from(start).expect("a segment takes no movie beyond its size")
}

#[cfg(test)]
mod memory;

#[cfg(test)]
mod tests {
    use super::*;

    fn movie<'a>(title: &'a str, details: &'a [u8]) -> MovieView<'a> {
        MovieView { id: "1", title, details: Details::from_encoded(details), ..MovieView::default() }
    }

    #[test]
    fn movies_with_long_details_fill_a_segment_before_their_frames_do() {
        let details = vec![0; MAX_DETAILS_BYTES / 4 + 1];
        let mut draft = Draft::default();
        for _ in 0..3 {
            assert!(draft.push(&movie("a", &details)).unwrap().is_none());
        }
        let full = draft.push(&movie("a", &details)).unwrap().unwrap();
        let segment = Segment::new(full.frames().to_vec().into(), full.details());
        assert_eq!(segment.frames_by_key().count(), 3);
        assert_eq!(segment.next_key(&movie("a", &details), &DraftDetails::default()), None);
        assert!(segment.next_key(&movie("a", b""), &DraftDetails::default()).is_some());
    }

    #[test]
    fn a_movie_whose_details_are_longer_than_the_limit_has_a_segment_of_its_own() {
        let details = vec![0; MAX_DETAILS_BYTES + 1];
        let mut draft = Draft::default();
        assert!(draft.push(&movie("a", &details)).unwrap().is_none());
        assert!(draft.push(&movie("b", &details)).unwrap().is_some());
        assert!(Segment::default().next_key(&movie("d", &details), &DraftDetails::default()).is_some());
    }
}
