//! All movies at one revision.

use std::iter;
use std::sync::Arc;

use bytes::Bytes;

use super::block::Block;
use super::change::{Change, ChangeError, check};
use super::cow_vec::CowVec;
use super::frame::{self, Movie};
use super::index::{Index, IndexBuilder, Place};
use super::segment::{Draft, SLOTS, Segment};

/// The movies at one revision. It never changes, so whoever holds it reads a consistent state.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    revision: u64,
    len: usize,
    /// Movies and the empty slots that deleted ones left.
    slots: usize,
    segments: CowVec<Segment>,
    index: Index,
}

impl Snapshot {
    /// Returns the revision: higher in every later snapshot of the same catalogue.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Returns the number of movies.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there are no movies.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the frame of the movie that has this id, without copying it.
    #[must_use]
    pub fn frame(&self, id: &[u8]) -> Option<Bytes> {
        let place = self.find(id)?;
        Some(self.segments[place.segment()].share(place.slot()))
    }

    /// Returns the movie that has this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Movie<'_>> {
        let place = self.find(id.as_bytes())?;
        Some(Movie::decode(self.segments[place.segment()].frame(place.slot())))
    }

    /// Returns the movies in listing order.
    pub fn movies(&self) -> impl Iterator<Item = Movie<'_>> {
        (0..self.segments.len()).flat_map(|segment| {
            let segment = &self.segments[segment];
            let frames = (0..segment.slots()).map(|slot| segment.frame(slot));
            frames.filter(|frame| !frame.is_empty()).map(Movie::decode)
        })
    }

    /// Returns what `read` makes of each movie, in listing order, keeping the movies for as long as it takes.
    pub fn into_movies<T>(
        self: Arc<Self>,
        read: impl Fn(Movie<'_>) -> T + Send,
    ) -> impl Iterator<Item = T> + Send {
        let segments = self.segments.clone();
        let (mut segment, mut slot) = (0, 0);
        iter::from_fn(move || {
            loop {
                let current = segments.get(segment)?;
                if slot == current.slots() {
                    (segment, slot) = (segment + 1, 0);
                    continue;
                }
                let frame = current.frame(slot);
                slot += 1;
                if !frame.is_empty() {
                    return Some(read(Movie::decode(frame)));
                }
            }
        })
    }

    /// Returns the frames of all movies in listing order, many in each item, without copying them.
    pub fn into_frames(self: Arc<Self>) -> impl Iterator<Item = Bytes> + Send {
        let segments = self.segments.clone();
        let mut segment = 0;
        iter::from_fn(move || {
            loop {
                let frames = segments.get(segment)?.frames();
                segment += 1;
                if !frames.is_empty() {
                    return Some(frames.clone());
                }
            }
        })
    }

    /// Returns the snapshot that follows this one by `changes`.
    ///
    /// # Errors
    ///
    /// The [`ChangeError`] of the first change that does not fit.
    pub fn with<'a>(&self, changes: impl IntoIterator<Item = Change<'a>>) -> Result<Self, ChangeError> {
        let mut next = self.clone();
        next.revision += 1;
        for change in changes {
            match change {
                Change::Insert(movie) => next.insert(&movie)?,
                Change::Update(movie) => next.update(&movie)?,
                Change::Delete(id) => next.delete(id)?,
            }
        }
        if next.is_sparse() { next.compacted() } else { Ok(next) }
    }

    pub(super) fn at_revision(self, revision: u64) -> Self {
        Self { revision, ..self }
    }

    fn insert(&mut self, movie: &Movie<'_>) -> Result<(), ChangeError> {
        check(movie)?;
        let last = self.segments.len().checked_sub(1).filter(|last| !self.segments[*last].is_full_for(movie));
        let segment = match last {
            Some(last) => last,
            None => push(&mut self.segments, Segment::default())?,
        };
        let Self { segments, index, .. } = self;
        let place = Place::new(segment, segments[segment].slots());
        let inserted = index.insert(movie.id.as_bytes(), place, |place| frame::id(frame_at(segments, place)));
        inserted.map_err(|place| exists(frame_at(segments, place)))?;
        let mut draft = Draft::of(&segments[segment]);
        draft.append(movie);
        *segments.make_mut(segment) = draft.finish();
        self.len += 1;
        self.slots += 1;
        Ok(())
    }

    fn update(&mut self, movie: &Movie<'_>) -> Result<(), ChangeError> {
        check(movie)?;
        let place =
            self.find(movie.id.as_bytes()).ok_or_else(|| ChangeError::NotFound(movie.id.to_owned()))?;
        let segment = self.segments.make_mut(place.segment());
        *segment = segment.with(place.slot(), Some(movie));
        Ok(())
    }

    fn delete(&mut self, id: &str) -> Result<(), ChangeError> {
        let place = self.find(id.as_bytes()).ok_or_else(|| ChangeError::NotFound(id.to_owned()))?;
        self.index.remove(id.as_bytes(), place);
        let segment = self.segments.make_mut(place.segment());
        *segment = segment.with(place.slot(), None);
        self.len -= 1;
        Ok(())
    }

    fn find(&self, id: &[u8]) -> Option<Place> {
        self.index.find(id, |place| frame::id(frame_at(&self.segments, place)))
    }

    /// Returns the number of movies and of the empty slots that deleted ones left.
    #[cfg(test)]
    pub(super) fn slots(&self) -> usize {
        self.slots
    }

    /// Returns whether so many slots are empty that a copy without them pays.
    fn is_sparse(&self) -> bool {
        self.slots > 2 * self.len + 16 * SLOTS
    }

    /// Returns the same movies without empty slots.
    fn compacted(&self) -> Result<Self, ChangeError> {
        let (mut draft, mut builder) = (Draft::default(), Builder::default());
        builder.reserve(self.len);
        for movie in self.movies() {
            if let Some(full) = draft.push(&movie)? {
                builder.push(full).map_err(|(_, error)| error)?;
            }
        }
        builder.push(draft).map_err(|(_, error)| error)?;
        let compacted = builder.finish().map_err(|(_, error)| error)?;
        Ok(compacted.at_revision(self.revision))
    }
}

/// Makes a snapshot from many movies, faster than a change for each would.
#[derive(Debug, Default)]
pub struct Builder {
    /// What is not indexed yet.
    block: Block,
    len: usize,
    segments: CowVec<Segment>,
    index: IndexBuilder,
}

/// The number of a movie, counted from 0, that cannot be added, and why.
pub type NotAdded = (usize, ChangeError);

impl Builder {
    /// Makes room for about so many movies in all.
    pub fn reserve(&mut self, movies: usize) {
        let Self { segments, index, .. } = self;
        index.reserve(movies, |place| frame::id(frame_at(segments, place)));
    }

    /// Adds the movies of a draft, at the end of the listing order.
    ///
    /// # Errors
    ///
    /// [`NotAdded`] of the first movie that cannot be added: of this draft, or of one before. The builder is of no
    /// use then.
    pub fn push(&mut self, draft: Draft) -> Result<(), NotAdded> {
        let ready = self.block.put(draft);
        self.index(ready)
    }

    /// Returns how many movies are known to be good.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether no movie is known to be good yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the movies added.
    ///
    /// # Errors
    ///
    /// [`NotAdded`] of the first movie that cannot be added.
    pub fn finish(mut self) -> Result<Snapshot, NotAdded> {
        let ready = self.block.finish();
        self.index(ready)?;
        let Self { len, segments, index, .. } = self;
        Ok(Snapshot { revision: 0, len, slots: len, segments, index: index.finish() })
    }

    fn index(&mut self, ready: Vec<Segment>) -> Result<(), NotAdded> {
        for segment in ready {
            let slots = segment.slots();
            let number = push(&mut self.segments, segment).map_err(|error| (self.len, error))?;
            let Self { len, segments, index, .. } = self;
            let id_at = |place| frame::id(frame_at(segments, place));
            for slot in 0..slots {
                let place = Place::new(number, slot);
                let inserted = index.insert(id_at(place), place, id_at);
                inserted.map_err(|other| (*len + slot, exists(frame_at(segments, other))))?;
            }
            *len += slots;
        }
        Ok(())
    }
}

/// Appends a segment and returns its number.
fn push(segments: &mut CowVec<Segment>, segment: Segment) -> Result<usize, ChangeError> {
    let number = segments.len();
    if number == Place::MAX_SEGMENTS {
        return Err(ChangeError::Full);
    }
    segments.push(segment);
    Ok(number)
}

fn frame_at(segments: &CowVec<Segment>, place: Place) -> &[u8] {
    segments[place.segment()].frame(place.slot())
}

fn exists(frame: &[u8]) -> ChangeError {
    let other = Movie::decode(frame);
    ChangeError::Exists { id: other.id.to_owned(), title: other.title.to_owned() }
}
