//! Some hundred movies as ready frames, one after the other.

use std::mem;
use std::sync::Arc;

use bytes::Bytes;

use super::change::{ChangeError, check};
use super::frame::Movie;

/// The most movies in one segment.
pub(super) const SLOTS: usize = 512;

/// The most bytes in one segment, unless a single movie is larger: two DATA frames of the size that HTTP/2 starts
/// with, and a size that allocators do not round up by much.
const FULL: usize = 2 * 16 * 1024;

/// Movies in listing order, one a slot, their frames one after the other.
///
/// It never changes, and clones share its buffers; a change makes a new one. A deleted movie leaves an empty slot, so that the others keep their
/// place.
#[derive(Clone, Debug, Default)]
pub(super) struct Segment {
    frames: Bytes,
    /// Where each slot ends in `frames`; it starts where the one before it ends.
    ends: Arc<[u32]>,
}

impl Segment {
    /// Makes a segment of frames and where each slot ends in them, as a [`Draft`] has them.
    pub(super) fn new(frames: Bytes, ends: Arc<[u32]>) -> Self {
        Self { frames, ends }
    }

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

    /// Returns whether `movie` belongs into the next segment.
    pub(super) fn is_full_for(&self, movie: &Movie<'_>) -> bool {
        is_full(&self.ends, &self.frames, movie)
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
pub struct Draft {
    frames: Vec<u8>,
    ends: Vec<u32>,
}

impl Draft {
    /// Continues a segment.
    pub(super) fn of(segment: &Segment) -> Self {
        Self { frames: segment.frames.to_vec(), ends: segment.ends.to_vec() }
    }

    /// Appends a movie. If there is no room for it, returns the draft of those before it, and starts anew with it.
    ///
    /// # Errors
    ///
    /// [`ChangeError`] if no catalogue may hold the movie.
    pub fn push(&mut self, movie: &Movie<'_>) -> Result<Option<Self>, ChangeError> {
        check(movie)?;
        let full = is_full(&self.ends, &self.frames, movie).then(|| {
            let next = Self { frames: Vec::with_capacity(FULL), ends: Vec::with_capacity(SLOTS) };
            mem::replace(self, next)
        });
        self.append(movie);
        Ok(full)
    }

    /// Appends a movie for which there is room.
    pub(super) fn append(&mut self, movie: &Movie<'_>) {
        movie.encode(&mut self.frames);
        self.ends.push(offset(self.frames.len()));
    }

    /// Returns the frames of all movies.
    pub(super) fn frames(&self) -> &[u8] {
        &self.frames
    }

    /// Returns where each slot ends in the frames.
    pub(super) fn into_ends(self) -> Arc<[u32]> {
        self.ends.as_slice().into()
    }

    /// Makes the segment, in a buffer of its own.
    pub(super) fn finish(self) -> Segment {
        Segment::new(Bytes::copy_from_slice(&self.frames), self.into_ends())
    }
}

fn is_full(ends: &[u32], frames: &[u8], movie: &Movie<'_>) -> bool {
    ends.len() >= SLOTS || (!frames.is_empty() && frames.len() + movie.max_frame_len() > FULL)
}

fn range(ends: &[u32], slot: usize) -> (usize, usize) {
    let start = if slot == 0 { 0 } else { ends[slot - 1] as usize };
    (start, ends[slot] as usize)
}

/// Narrows an offset: 512 movies of at most 4 MiB each stay below 4 GiB.
fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a segment holds at most 512 movies of 4 MiB")
}
