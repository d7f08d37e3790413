//! Builds a snapshot of many movies.

use std::sync::Arc;

use crate::catalogue::change::ChangeError;
use crate::catalogue::encoding::frame;
use crate::catalogue::history::HistoryPoint;
use crate::catalogue::layout::block::Block;
use crate::catalogue::layout::cow_vec::CowVec;
use crate::catalogue::layout::index::IndexBuilder;
use crate::catalogue::layout::segment::{Draft, Location, Segment};
use crate::catalogue::snapshot::{Snapshot, exists, frame_at, push};

/// Builds a snapshot of many movies, faster than by one change for each.
#[derive(Debug, Default)]
pub struct Builder {
    /// Segments that are not indexed yet.
    block: Block,
    len: usize,
    bytes: usize,
    longest: usize,
    segments: CowVec<Segment>,
    /// The number of segments that are indexed.
    indexed: usize,
    index: IndexBuilder,
}

/// The number, counted from 0, of a movie that cannot be added, and the reason.
pub type NotAdded = (usize, ChangeError);

impl Builder {
    /// Reserves space for about `movies` movies.
    pub fn reserve(&mut self, movies: usize) {
        self.index.reserve(movies);
    }

    /// Adds the movies of a draft, at the end of the listing order.
    ///
    /// # Errors
    ///
    /// [`NotAdded`] of the first movie that cannot be added, in this draft or an earlier one. The builder must not be
    /// used afterwards.
    pub fn push(&mut self, draft: &Draft) -> Result<(), NotAdded> {
        self.append(draft).map_err(|error| (self.len, error))?;
        self.index()
    }

    /// Adds the movies of a draft like [`Self::push`], but leaves it to [`Self::finish`] to index them.
    ///
    /// # Errors
    ///
    /// [`ChangeError::Full`].
    pub(crate) fn append(&mut self, draft: &Draft) -> Result<(), ChangeError> {
        let ready = self.block.put(draft);
        self.append_segments(ready)
    }

    /// Returns how many movies have been validated and indexed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether no movie has been validated and indexed yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the snapshot of all movies added.
    ///
    /// # Errors
    ///
    /// [`NotAdded`] of the first movie that cannot be added.
    pub fn finish(mut self) -> Result<Snapshot, NotAdded> {
        let ready = self.block.finish();
        self.append_segments(ready).map_err(|error| (self.len, error))?;
        self.index()?;
        let Self { len, bytes, longest, segments, index, .. } = self;
        let point = HistoryPoint::default();
        Ok(Snapshot {
            point,
            ordered_since: point.revision,
            len,
            bytes,
            longest,
            segments,
            index: index.finish(),
            ranks: Arc::default(),
            search: None,
        })
    }

    fn append_segments(&mut self, ready: Vec<Segment>) -> Result<(), ChangeError> {
        for segment in ready {
            self.bytes += segment.frames().len();
            push(&mut self.segments, segment)?;
        }
        Ok(())
    }

    /// Indexes the segments that are not indexed yet.
    fn index(&mut self) -> Result<(), NotAdded> {
        let Self { len, longest, segments, indexed, index, .. } = self;
        while let Some(movies) = segments.get(*indexed) {
            let number = *indexed;
            *indexed += 1;
            for (key, frame) in movies.frames_by_key() {
                let inserted = index.insert(frame::id(frame), Location::new(number, key), |location| {
                    frame::id(frame_at(segments, location))
                });
                inserted.map_err(|other| (*len, exists(frame_at(segments, other))))?;
                *longest = (*longest).max(frame.len());
                *len += 1;
            }
        }
        Ok(())
    }
}
