//! Some hundred movies as ready frames, one after the other.

use std::mem;
use std::sync::Arc;

use bytes::Bytes;

use super::change::{ChangeError, check};
use super::frame::{self, Movie};
use super::table;

/// The bits of a [`Place`] that are the movie's key in its segment.
const KEY_BITS: u32 = 15;

/// The most bytes in one segment, unless a single movie is larger or some have grown: two DATA frames of the size
/// that HTTP/2 starts with, and a size that allocators do not round up by much. Keys are below it.
pub(super) const FULL: usize = 1 << KEY_BITS;

/// Where a movie is, for as long as it is in the catalogue: its segment and its key there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u64);

impl Place {
    /// The number of segments that a place can tell apart; a number of ones only is no place.
    pub(super) const MAX_SEGMENTS: usize = (1 << (table::BITS - KEY_BITS)) - 1;

    pub(super) fn new(segment: usize, key: u16) -> Self {
        debug_assert!(segment < Self::MAX_SEGMENTS && usize::from(key) < FULL);
        Self((segment as u64) << KEY_BITS | u64::from(key))
    }

    /// Returns the place that has this number.
    pub(super) fn of(number: u64) -> Self {
        Self(number)
    }

    pub(super) fn number(self) -> u64 {
        self.0
    }

    pub(super) fn segment(self) -> usize {
        (self.0 >> KEY_BITS) as usize
    }

    #[expect(clippy::cast_possible_truncation, reason = "a key has fewer bits than 16")]
    pub(super) fn key(self) -> u16 {
        (self.0 % FULL as u64) as u16
    }
}

/// Movies in listing order, their frames one after the other.
///
/// It never changes, and clones share its buffers; a change makes a new one. A movie's key is where its frame
/// started when the movie was added. In most segments it still does, and no table is needed to find it.
#[derive(Clone, Debug, Default)]
pub(super) struct Segment {
    frames: Bytes,
    /// Where the frame of each key starts now, by key, once that has changed.
    starts: Option<Arc<[(u16, usize)]>>,
}

impl Segment {
    /// Makes a segment of the frames of a [`Draft`].
    pub(super) fn new(frames: Bytes) -> Self {
        Self { frames, starts: None }
    }

    /// Returns the frames of all movies, in order.
    pub(super) fn frames(&self) -> &Bytes {
        &self.frames
    }

    /// Returns the frame of a key that is there.
    pub(super) fn frame(&self, key: u16) -> &[u8] {
        frame::first(&self.frames[self.start(key)..])
    }

    /// Returns the frame of a key that is there, as a share of the segment's buffer: nothing is copied.
    pub(super) fn share(&self, key: u16) -> Bytes {
        self.frames.slice_ref(self.frame(key))
    }

    /// Returns the keys and frames of all movies, in order.
    pub(super) fn movies(&self) -> impl Iterator<Item = (u16, &[u8])> {
        let keys = self.starts.as_deref().map(|starts| starts.iter().map(|(key, _)| *key));
        let mut moved = keys.into_iter().flatten();
        frame::each(&self.frames).map(move |(start, frame)| match self.starts {
            None => (key(start), frame),
            Some(_) => (moved.next().unwrap_or_default(), frame),
        })
    }

    /// Returns the key that the next movie gets, or `None` if `movie` belongs into the next segment.
    pub(super) fn next_key(&self, movie: &Movie<'_>) -> Option<u16> {
        let after = self.starts.as_deref().and_then(|starts| starts.last()).map_or(0, |(last, _)| last + 1);
        let next = self.frames.len().max(usize::from(after));
        (next < FULL && !is_full(&self.frames, movie)).then(|| key(next))
    }

    /// Returns a segment like this one with `movie` at the end, for which there is room, by its next key.
    pub(super) fn with_next(&self, key: u16, movie: &Movie<'_>) -> Self {
        let mut frames = Vec::with_capacity(self.frames.len() + movie.max_frame_len());
        frames.extend_from_slice(&self.frames);
        let start = frames.len();
        movie.encode(&mut frames);
        let moved = self.starts.is_some() || start != usize::from(key);
        let starts = moved.then(|| self.all_starts().chain([(key, start)]).collect());
        Self { frames: Bytes::copy_from_slice(&frames), starts }
    }

    /// Returns a segment like this one in which `movie`, or nothing, has this key.
    pub(super) fn with(&self, key: u16, movie: Option<&Movie<'_>>) -> Self {
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
        Self { frames: Bytes::copy_from_slice(&frames), starts: Some(starts) }
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
        self.movies().map(move |(key, frame)| {
            let this = start;
            start += frame.len();
            (key, this)
        })
    }
}

/// The frames of a segment in the making.
#[derive(Clone, Debug, Default)]
pub struct Draft(Vec<u8>);

impl Draft {
    /// Appends a movie. If there is no room for it, returns the draft of those before it, and starts anew with it.
    ///
    /// # Errors
    ///
    /// [`ChangeError`] if no catalogue may hold the movie.
    pub fn push(&mut self, movie: &Movie<'_>) -> Result<Option<Self>, ChangeError> {
        check(movie)?;
        let full = is_full(&self.0, movie).then(|| Self(mem::replace(&mut self.0, Vec::with_capacity(FULL))));
        movie.encode(&mut self.0);
        Ok(full)
    }

    /// Returns the frames.
    pub(super) fn frames(&self) -> &[u8] {
        &self.0
    }
}

fn is_full(frames: &[u8], movie: &Movie<'_>) -> bool {
    !frames.is_empty() && frames.len() + movie.max_frame_len() > FULL
}

/// Narrows a start that is a key: all but the first frame of a segment start below [`FULL`].
fn key(start: usize) -> u16 {
    u16::try_from(start).expect("a segment takes no movie beyond its size")
}
