//! Up to [`SLOTS`] movies in one buffer of ready frames.

use bytes::Bytes;

use super::frame::Movie;

/// The most movies in one segment; a slot's number fits a byte.
pub(super) const SLOTS: usize = 256;

/// A segment that has this many bytes takes no more movies.
const FULL: usize = 64 * 1024;

/// Movies in listing order, one a slot, their frames one after the other.
///
/// It never changes; a change makes a new segment through a [`Draft`]. A deleted movie leaves an empty
/// slot, so that the others keep their place.
#[derive(Clone, Debug, Default)]
pub(super) struct Segment {
    frames: Bytes,
    /// Where each slot ends in `frames`; it starts where the one before it ends.
    ends: Box<[u32]>,
}

impl Segment {
    /// Returns the frames of all movies, in order.
    pub(super) fn frames(&self) -> &Bytes {
        &self.frames
    }

    /// Returns the frame in a slot, empty if its movie was deleted.
    pub(super) fn frame(&self, slot: usize) -> &[u8] {
        let (start, end) = range(&self.ends, slot);
        &self.frames[start..end]
    }

    /// Returns the frame in a slot as a share of the segment's buffer: nothing is copied.
    pub(super) fn share(&self, slot: usize) -> Bytes {
        let (start, end) = range(&self.ends, slot);
        self.frames.slice(start..end)
    }

    /// Returns how many slots there are, the empty ones included.
    pub(super) fn slots(&self) -> usize {
        self.ends.len()
    }

    /// Returns whether another movie belongs into the next segment.
    pub(super) fn is_full(&self) -> bool {
        is_full(&self.ends, &self.frames)
    }

    /// Returns a segment like this one in which `slot` holds `movie`, or nothing.
    pub(super) fn with(&self, slot: usize, movie: Option<&Movie<'_>>) -> Self {
        let mut draft = Draft::default();
        let (start, end) = range(&self.ends, slot);
        draft.frames.extend_from_slice(&self.frames[..start]);
        if let Some(movie) = movie {
            movie.encode(&mut draft.frames);
        }
        let moved = draft.frames.len();
        draft.frames.extend_from_slice(&self.frames[end..]);
        draft.ends.extend_from_slice(&self.ends);
        for later in &mut draft.ends[slot..] {
            *later = offset(*later as usize - end + moved);
        }
        draft.finish()
    }
}

/// A segment in the making.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    frames: Vec<u8>,
    ends: Vec<u32>,
}

impl Draft {
    /// Continues a segment.
    pub(super) fn of(segment: &Segment) -> Self {
        Self { frames: segment.frames.to_vec(), ends: segment.ends.to_vec() }
    }

    /// Appends a movie and returns its slot.
    ///
    /// The draft must not be full.
    pub(super) fn push(&mut self, movie: &Movie<'_>) -> usize {
        movie.encode(&mut self.frames);
        self.ends.push(offset(self.frames.len()));
        self.ends.len() - 1
    }

    /// Returns the frame in a slot.
    pub(super) fn frame(&self, slot: usize) -> &[u8] {
        let (start, end) = range(&self.ends, slot);
        &self.frames[start..end]
    }

    /// Returns whether another movie belongs into the next segment.
    pub(super) fn is_full(&self) -> bool {
        is_full(&self.ends, &self.frames)
    }

    /// Returns how many movies there are.
    pub(super) fn slots(&self) -> usize {
        self.ends.len()
    }

    /// Makes the segment, in buffers of exactly its size, and starts anew.
    pub(super) fn finish(&mut self) -> Segment {
        let segment =
            Segment { frames: Bytes::copy_from_slice(&self.frames), ends: self.ends.as_slice().into() };
        self.frames.clear();
        self.ends.clear();
        segment
    }
}

fn is_full(ends: &[u32], frames: &[u8]) -> bool {
    ends.len() >= SLOTS || frames.len() >= FULL
}

fn range(ends: &[u32], slot: usize) -> (usize, usize) {
    let start = if slot == 0 { 0 } else { ends[slot - 1] as usize };
    (start, ends[slot] as usize)
}

/// Narrows an offset: 256 movies of at most 4 MiB each stay below 4 GiB.
fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a segment holds at most 256 movies of 4 MiB")
}
