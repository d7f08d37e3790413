//! All movies at one revision.

use std::iter;
use std::sync::Arc;

use bytes::Bytes;

use super::cow_vec::CowVec;
use super::frame::{self, MAX_MESSAGE, Movie};
use super::index::{Index, Place};
use super::segment::{Draft, SLOTS, Segment};

/// The movies at one revision. It never changes, so whoever holds it reads a consistent state.
#[derive(Clone, Debug)]
pub struct Snapshot {
    revision: u64,
    len: usize,
    /// Movies and the empty slots that deleted ones left.
    slots: usize,
    segments: CowVec<Segment>,
    index: Index,
}

/// One change to the movies.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// Adds a movie, at the end of the listing order.
    Insert(Movie<'a>),
    /// Replaces the movie that has the same id; it keeps its place in the listing order.
    Update(Movie<'a>),
    /// Removes the movie that has this id.
    Delete(&'a str),
}

/// Why a movie could not be added, changed or removed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The id is empty.
    #[error("`id` is missing or empty, expected text that no other movie has")]
    NoId,
    /// The title is empty.
    #[error("`title` is missing or empty, expected the name of the movie")]
    NoTitle,
    /// The movie does not fit a message.
    #[error("the movie takes {0} bytes, expected at most {MAX_MESSAGE} (what gRPC clients accept)")]
    TooLarge(usize),
    /// There is a movie with this id already.
    #[error("`{title}` has the id `{id}` already, expected every id once")]
    Exists {
        /// The id.
        id: String,
        /// The title of the movie that has it.
        title: String,
    },
    /// No movie has this id.
    #[error("no movie has the id `{0}`")]
    NotFound(String),
    /// There is no room for another place.
    #[error("the catalogue is full, expected at most 4 billion movies")]
    Full,
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

    /// Returns what `read` makes of each movie, in listing order, keeping the snapshot for as long as it takes.
    pub fn into_movies<T>(
        self: Arc<Self>,
        read: impl Fn(Movie<'_>) -> T + Send,
    ) -> impl Iterator<Item = T> + Send {
        let (mut segment, mut slot) = (0, 0);
        iter::from_fn(move || {
            loop {
                let current = self.segments.get(segment)?;
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
        let mut segment = 0;
        iter::from_fn(move || {
            loop {
                let frames = self.segments.get(segment)?.frames();
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
        if let Some(other) = self.get(movie.id) {
            return Err(exists(&other));
        }
        let last = self.segments.len().checked_sub(1).filter(|last| !self.segments[*last].is_full());
        let segment = match last {
            Some(last) => last,
            None => self.push(Segment::default())?,
        };
        let mut draft = Draft::of(&self.segments[segment]);
        let slot = draft.push(movie);
        *self.segments.make_mut(segment) = draft.finish();
        let Self { segments, index, .. } = self;
        index.insert(movie.id.as_bytes(), Place::new(segment, slot), |place| id_at(segments, place));
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
        self.index.find(id, |place| id_at(&self.segments, place))
    }

    /// Appends a segment and returns its number.
    fn push(&mut self, segment: Segment) -> Result<usize, ChangeError> {
        let number = self.segments.len();
        if number == Place::MAX_SEGMENTS {
            return Err(ChangeError::Full);
        }
        self.segments.push(segment);
        Ok(number)
    }

    /// Returns whether so many slots are empty that a copy without them pays.
    fn is_sparse(&self) -> bool {
        self.slots > 2 * self.len + 16 * SLOTS
    }

    fn compacted(&self) -> Result<Self, ChangeError> {
        let mut builder = Builder::with_capacity(self.len);
        for movie in self.movies() {
            builder.push(&movie)?;
        }
        Ok(builder.finish()?.at_revision(self.revision))
    }
}

impl Default for Snapshot {
    fn default() -> Self {
        Self { revision: 0, len: 0, slots: 0, segments: CowVec::default(), index: Index::with_capacity(0) }
    }
}

/// Makes a snapshot from many movies, faster than a change for each would.
#[derive(Debug, Default)]
pub struct Builder {
    snapshot: Snapshot,
    /// The segment that follows those of `snapshot`.
    draft: Draft,
}

impl Builder {
    /// Starts with room for about `movies`.
    #[must_use]
    pub fn with_capacity(movies: usize) -> Self {
        let snapshot = Snapshot { index: Index::with_capacity(movies), ..Snapshot::default() };
        Self { snapshot, draft: Draft::default() }
    }

    /// Adds a movie at the end of the listing order.
    ///
    /// # Errors
    ///
    /// [`ChangeError`] if the movie cannot be added; it is as if it had not been pushed.
    pub fn push(&mut self, movie: &Movie<'_>) -> Result<(), ChangeError> {
        check(movie)?;
        if self.draft.is_full() {
            self.snapshot.push(self.draft.finish())?;
        }
        let Self { snapshot, draft } = self;
        let Snapshot { segments, index, .. } = snapshot;
        let frame_at = |place: Place| match segments.get(place.segment()) {
            Some(segment) => segment.frame(place.slot()),
            None => draft.frame(place.slot()),
        };
        let id = movie.id.as_bytes();
        if let Some(place) = index.find(id, |place| frame::id(frame_at(place))) {
            return Err(exists(&Movie::decode(frame_at(place))));
        }
        index.insert(id, Place::new(segments.len(), draft.slots()), |place| frame::id(frame_at(place)));
        draft.push(movie);
        snapshot.len += 1;
        snapshot.slots += 1;
        Ok(())
    }

    /// Returns how many movies were added.
    #[must_use]
    pub fn len(&self) -> usize {
        self.snapshot.len
    }

    /// Returns whether no movie was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.snapshot.is_empty()
    }

    /// Returns the movies added.
    ///
    /// # Errors
    ///
    /// [`ChangeError::Full`] if there are too many.
    pub fn finish(mut self) -> Result<Snapshot, ChangeError> {
        if self.draft.slots() > 0 {
            self.snapshot.push(self.draft.finish())?;
        }
        Ok(self.snapshot)
    }
}

fn id_at(segments: &CowVec<Segment>, place: Place) -> &[u8] {
    frame::id(segments[place.segment()].frame(place.slot()))
}

/// Refuses what no catalogue may hold.
fn check(movie: &Movie<'_>) -> Result<(), ChangeError> {
    if movie.id.is_empty() {
        return Err(ChangeError::NoId);
    }
    if movie.title.is_empty() {
        return Err(ChangeError::NoTitle);
    }
    if movie.max_message_len() > MAX_MESSAGE {
        return Err(ChangeError::TooLarge(movie.max_message_len()));
    }
    Ok(())
}

fn exists(other: &Movie<'_>) -> ChangeError {
    ChangeError::Exists { id: other.id.to_owned(), title: other.title.to_owned() }
}
