//! A snapshot: all movies at one revision.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};
use std::{hint, iter};

use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3;

use crate::catalogue::builder::Builder;
use crate::catalogue::change::{ApplyError, Change, ChangeError, CommittedChange};
use crate::catalogue::change_log::LogEntry;
use crate::catalogue::encoding::frame::{self, MovieView};
use crate::catalogue::encoding::record::{Record, StoredMovie};
use crate::catalogue::history::{ChainValue, HistoryPoint};
use crate::catalogue::layout::cow_vec::CowVec;
use crate::catalogue::layout::index::Index;
use crate::catalogue::layout::segment::{Draft, DraftDetails, Location, MAX_SEGMENT_BYTES, Segment};
use crate::catalogue::layout::title_ranks::TitleRanks;
use crate::catalogue::successor::Successor;
use crate::catalogue::{search, search_index};
use crate::movie::Revision;

/// Growth of the catalogue, as a factor, at which the ranks of titles are made again.
const MAX_GROWTH: usize = 4;

/// The number of movies up to which ranks of titles are never made again.
const MIN_RANKED: usize = if cfg!(test) { 2 } else { 1_000 };

/// Ranks of titles.
#[derive(Debug)]
pub(super) struct SampledRanks {
    ranks: TitleRanks,
    /// The number of movies when they were made.
    movies: usize,
}

/// The movies at one revision. It is immutable, so all reads from it are consistent.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub(super) point: HistoryPoint,
    /// Oldest revision for which undoing changes yields the listing order.
    pub(super) ordered_since: Revision,
    pub(super) len: usize,
    /// Total size of all frames, in bytes.
    pub(super) bytes: usize,
    /// Size in bytes of the longest frame ever stored. Its movie may have been removed.
    pub(super) longest: usize,
    pub(super) segments: CowVec<Segment>,
    pub(super) index: Index,
    /// Ranks of the titles, which the columns of the segments have. Made on first use.
    pub(super) ranks: Arc<OnceLock<SampledRanks>>,
    /// Index for searches; `None` if there are none, or until it is built.
    pub(super) search: Option<search::SearchIndex>,
}

impl Snapshot {
    /// Returns the revision: higher in every later snapshot of the same history.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.point.revision
    }

    /// Returns the revision and the history that led to it.
    #[must_use]
    pub fn point(&self) -> HistoryPoint {
        self.point
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

    /// Returns an upper bound of the size of a frame, in bytes.
    #[must_use]
    pub fn longest_frame(&self) -> usize {
        self.longest
    }

    /// Returns the frame of the movie that has this id, without copying it.
    #[must_use]
    pub fn frame(&self, id: &[u8]) -> Option<Bytes> {
        let location = self.find(id)?;
        Some(self.segments[location.segment()].share(location.key()))
    }

    /// Returns the frame of the movie that has this id, as a `movie.catalog.v1.Movie` with all fields.
    #[must_use]
    pub fn full_frame(&self, id: &[u8]) -> Option<Bytes> {
        Some(self.stored(id)?.full_frame().into())
    }

    /// Returns the movie that has this id, as it is stored.
    pub(crate) fn stored(&self, id: &[u8]) -> Option<StoredMovie<'_>> {
        let location = self.find(id)?;
        let segment = &self.segments[location.segment()];
        Some(StoredMovie::new(segment.frame(location.key()), segment.details(location.key())))
    }

    /// Reads the memory that [`Self::stored`] needs for these ids, so that it is in the cache.
    ///
    /// To look a movie up among a million waits for memory about five times. Here, each step is made for all ids before the
    /// next one, so that the processor waits for many ids at once.
    pub(crate) fn prefetch<'i>(&self, ids: impl Iterator<Item = &'i [u8]>) {
        let found: Vec<_> = ids.filter_map(|id| self.index.find_probable(id)).collect();
        let bytes: usize = found.iter().map(|location| self.frame_at(*location).len()).sum();
        let details: Vec<_> =
            found.iter().map(|location| self.segments[location.segment()].details(location.key())).collect();
        let first = details.iter().map(|details| details.prefetch()).fold(0_u8, u8::wrapping_add);
        hint::black_box((bytes, first));
    }

    /// Returns the movie that has this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<MovieView<'_>> {
        let location = self.find(id.as_bytes())?;
        Some(self.movie(location))
    }

    /// Returns the movies in listing order.
    pub fn movies(&self) -> impl Iterator<Item = MovieView<'_>> {
        self.locations().map(|location| self.movie(location))
    }

    /// Returns the movies of a segment in listing order; `None` if there is no such segment.
    pub(crate) fn movies_in(&self, number: usize) -> Option<impl Iterator<Item = MovieView<'_>>> {
        let movies = || self.locations_in(number).map(|location| self.movie(location));
        (number < self.segments.len()).then(movies)
    }

    /// Returns the locations of all movies in listing order.
    pub(super) fn locations(&self) -> impl Iterator<Item = Location> {
        (0..self.segments.len()).flat_map(|number| self.locations_in(number))
    }

    /// Returns the locations of the movies in a segment, in order; none if there is no such segment.
    pub(super) fn locations_in(&self, number: usize) -> impl Iterator<Item = Location> {
        let keys = self.segments.get(number).into_iter().flat_map(Segment::frames_by_key);
        keys.map(move |(key, _)| Location::new(number, key))
    }

    /// Returns the movie at an occupied location.
    pub(super) fn movie(&self, location: Location) -> MovieView<'_> {
        self.segments[location.segment()].movie(location.key())
    }

    /// Returns the frame at an occupied location.
    pub(super) fn frame_at(&self, location: Location) -> &[u8] {
        frame_at(&self.segments, location)
    }

    /// Returns the ranks of titles.
    pub(super) fn title_ranks(&self) -> &TitleRanks {
        let sampled = self.ranks.get_or_init(|| {
            let step = self.len.checked_div(TitleRanks::sample_size(self.len)).unwrap_or(usize::MAX);
            let sample = self.locations().step_by(step).map(|location| self.movie(location).title);
            SampledRanks { ranks: TitleRanks::of(sample), movies: self.len }
        });
        &sampled.ranks
    }

    /// Forgets the ranks of titles, and the columns with them, once there are so many more movies than when they were made
    /// that many have the same rank.
    pub(super) fn renew_ranks(&mut self) {
        if self.ranks.get().is_some_and(|ranks| self.len > MAX_GROWTH * ranks.movies.max(MIN_RANKED)) {
            self.ranks = Arc::default();
            (0..self.segments.len()).for_each(|number| self.segments.make_mut(number).drop_columns());
        }
    }

    /// Returns whether the columns are built, or are being built.
    pub(super) fn has_columns(&self) -> bool {
        self.ranks.get().is_some()
    }

    /// Builds what pages with filters and orders read, so that they do not wait for it. Does nothing if no movie has details:
    /// such a database is hardly ever filtered, and the columns take some megabytes.
    pub(super) fn build_columns(&self) {
        if !(0..self.segments.len()).any(|number| self.segments[number].has_details()) {
            return;
        }
        let ranks = self.title_ranks();
        for segment in (0..self.segments.len()).map(|number| &self.segments[number]) {
            segment.columns().titles(ranks, |key| segment.movie(key));
        }
    }

    /// Returns the segments.
    pub(super) fn segments(&self) -> &CowVec<Segment> {
        &self.segments
    }

    /// Returns the frames of all movies in listing order, many in each item, without copying them.
    ///
    /// The iterator keeps the remaining frames alive, but not the snapshot.
    pub fn frames(&self) -> impl Iterator<Item = Bytes> + Send + use<> {
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

    /// Returns the snapshot after `changes`. Each is one revision.
    ///
    /// # Errors
    ///
    /// The [`ChangeError`] of the first change that does not fit.
    pub fn with<'a>(&self, changes: impl IntoIterator<Item = Change<'a>>) -> Result<Self, ChangeError> {
        self.with_entries(changes).map(|(next, _)| next)
    }

    /// Returns the snapshot with this search index.
    pub(super) fn with_index(mut self, index: search::SearchIndex) -> Self {
        self.search = Some(index);
        self
    }

    /// Returns the movies before `entries`, which are the latest changes. The listing order is not restored.
    ///
    /// # Errors
    ///
    /// [`ChangeError`] if a movie cannot be restored.
    pub(crate) fn without(&self, entries: &[LogEntry]) -> Result<Self, ChangeError> {
        let mut restored = HashSet::new();
        let first = entries.iter().filter(|entry| restored.insert(&entry.id));
        self.with(first.filter_map(|entry| match &entry.before {
            Some(record) => Some(Change::Put(record.movie())),
            None => self.find(entry.id.as_bytes()).map(|_| Change::Delete(&entry.id)),
        }))
    }

    /// Returns the snapshot after `changes`, and the entries of the change log.
    pub(super) fn with_entries<'a>(
        &self,
        changes: impl IntoIterator<Item = Change<'a>>,
    ) -> Result<(Self, Vec<LogEntry>), ChangeError> {
        let mut next = Successor::of(self);
        for change in changes {
            let record = match &change {
                Change::Insert(movie) | Change::Update(movie) | Change::Put(movie) => {
                    Some(Record::new(movie))
                }
                Change::Delete(_) => None,
            };
            next.apply(change, record)?;
        }
        next.finish()
    }

    /// Returns the snapshot after the changes that a store committed next, and the entries of the change log.
    pub(super) fn with_committed(
        &self,
        changes: &[CommittedChange],
    ) -> Result<(Self, Vec<LogEntry>), ApplyError> {
        let mut next = Successor::of(self);
        for CommittedChange { point, id, record } in changes {
            let change = match record.as_ref().map(Record::movie) {
                Some(movie) => Change::Put(movie),
                None => Change::Delete(id),
            };
            if next.apply(change, record.clone())? != *point {
                return Err(ApplyError::HistoryChanged);
            }
        }
        Ok(next.finish()?)
    }

    /// Returns the same movies at another point. Earlier revisions of the listing order can no longer be
    /// reconstructed.
    #[must_use]
    pub fn at(self, point: HistoryPoint) -> Self {
        Self { point, ordered_since: point.revision, ..self }
    }

    /// Returns a hash of all movies and their order: the chain value of a history that begins with them.
    #[must_use]
    pub fn digest(&self) -> ChainValue {
        let (mut hash, mut details) = (Xxh3::new(), Vec::new());
        for segment in (0..self.segments.len()).map(|number| &self.segments[number]) {
            for (key, frame) in segment.frames_by_key() {
                details.clear();
                segment.details(key).put(&mut details);
                hash.update(frame);
                // The length makes the parts unambiguous; a frame has its own.
                hash.update(&details.len().to_le_bytes());
                hash.update(&details);
            }
        }
        ChainValue::from_bytes(hash.digest128().to_be_bytes())
    }

    /// Returns the number of movies in which two snapshots differ: those that only one has, and those that differ in any
    /// field.
    #[must_use]
    pub fn count_differences(&self, other: &Self) -> usize {
        let gone = self.movies().filter(|movie| other.get(movie.id).is_none()).count();
        let changed = other.movies().filter(|movie| self.get(movie.id) != Some(*movie)).count();
        gone + changed
    }

    /// Returns the oldest revision for which undoing changes yields the listing order.
    #[must_use]
    pub fn ordered_since(&self) -> Revision {
        self.ordered_since
    }

    /// Adds a movie. Returns its location. `pushed` are the details of the movies that were added to the last segment since
    /// [`Self::complete`], which must be called before anything else is changed or read but ids.
    pub(super) fn insert(
        &mut self,
        movie: &MovieView<'_>,
        pushed: &mut Option<DraftDetails>,
    ) -> Result<Location, ChangeError> {
        movie.check()?;
        let last = self.segments.len().checked_sub(1);
        let none = DraftDetails::default();
        let key = last.and_then(|last| self.segments[last].next_key(movie, pushed.as_ref().unwrap_or(&none)));
        let location = if let (Some(last), Some(key)) = (last, key) {
            Location::new(last, key)
        } else {
            self.complete(pushed);
            if let Some(last) = last {
                // It takes no further movies, so its dictionary can be made of all of them.
                self.segments.make_mut(last).pack();
            }
            Location::new(push(&mut self.segments, Segment::default())?, 0)
        };
        let Self { segments, index, .. } = self;
        let inserted =
            index.insert(movie.id.as_bytes(), location, |location| frame::id(frame_at(segments, location)));
        inserted.map_err(|location| exists(frame_at(segments, location)))?;
        let segment = segments.make_mut(location.segment());
        let before = segment.frames().len();
        segment.push(location.key(), movie, pushed.get_or_insert_default());
        let length = segment.frames().len() - before;
        self.bytes += length;
        self.longest = self.longest.max(length);
        self.len += 1;
        Ok(location)
    }

    /// Completes the last segment, if movies were added to it.
    pub(super) fn complete(&mut self, pushed: &mut Option<DraftDetails>) {
        if let Some(details) = pushed.take()
            && let Some(last) = self.segments.len().checked_sub(1)
        {
            self.segments.make_mut(last).complete(details);
        }
    }

    /// Replaces a movie. Returns its location.
    pub(super) fn update(&mut self, movie: &MovieView<'_>) -> Result<Location, ChangeError> {
        movie.check()?;
        let location =
            self.find(movie.id.as_bytes()).ok_or_else(|| ChangeError::NotFound(movie.id.to_owned()))?;
        self.replace_segment(location, |segment| segment.with(location.key(), Some(movie)));
        self.longest = self.longest.max(self.frame_at(location).len());
        Ok(location)
    }

    /// Removes a movie. Returns its location, and the id of the movie that is listed before it, if any.
    pub(super) fn delete(&mut self, id: &str) -> Result<(Location, Option<Box<str>>), ChangeError> {
        let location = self.find(id.as_bytes()).ok_or_else(|| ChangeError::NotFound(id.to_owned()))?;
        let previous = self.before(location).map(|location| self.movie(location).id.into());
        self.index.remove(id.as_bytes(), location);
        self.replace_segment(location, |segment| segment.with(location.key(), None));
        self.len -= 1;
        Ok((location, previous))
    }

    /// Returns the location of the movie that is listed before the one at `location`.
    fn before(&self, location: Location) -> Option<Location> {
        let keys = |number: usize| self.segments[number].frames_by_key().map(|(key, _)| key);
        let here = keys(location.segment()).take_while(|key| *key < location.key()).last();
        let in_segment = |number, key| Location::new(number, key);
        here.map(|key| in_segment(location.segment(), key)).or_else(|| {
            let mut earlier = (0..location.segment()).rev();
            earlier.find_map(|number| keys(number).last().map(|key| in_segment(number, key)))
        })
    }

    /// Replaces the segment of a location.
    fn replace_segment(&mut self, location: Location, changed: impl FnOnce(&Segment) -> Segment) {
        let segment = self.segments.make_mut(location.segment());
        self.bytes -= segment.frames().len();
        *segment = changed(segment);
        self.bytes += segment.frames().len();
    }

    pub(super) fn find(&self, id: &[u8]) -> Option<Location> {
        self.index.find(id, |location| frame::id(frame_at(&self.segments, location)))
    }

    /// Returns the same movies, in new segments if the segments are sparse.
    pub(super) fn compact_if_sparse(self) -> Result<Self, ChangeError> {
        if self.is_sparse() { self.compacted() } else { Ok(self) }
    }

    /// Returns whether deletions left so much unused space that copying all segments is worth its cost.
    fn is_sparse(&self) -> bool {
        // A copy has at most twice the minimum number of segments: two adjacent ones exceed the size of one full
        // segment.
        self.segments.len() > 4 * (self.bytes / MAX_SEGMENT_BYTES) + 16
    }

    /// Returns the same movies in new segments.
    pub(super) fn compacted(&self) -> Result<Self, ChangeError> {
        let (mut draft, mut builder) = (Draft::default(), Builder::default());
        builder.reserve(self.len);
        for movie in self.movies() {
            if let Some(full) = draft.push(&movie)? {
                builder.push(&full).map_err(|(_, error)| error)?;
            }
        }
        builder.push(&draft).map_err(|(_, error)| error)?;
        let compacted = builder.finish().map_err(|(_, error)| error)?;
        let search = self.search.as_ref().map(|index| search_index::remapped(index, self, &compacted));
        Ok(Self { point: self.point, ordered_since: self.ordered_since, search, ..compacted })
    }
}

/// Appends a segment and returns its number.
pub(super) fn push(segments: &mut CowVec<Segment>, segment: Segment) -> Result<usize, ChangeError> {
    let number = segments.len();
    if number == Location::MAX_SEGMENTS {
        return Err(ChangeError::Full);
    }
    segments.push(segment);
    Ok(number)
}

pub(super) fn frame_at(segments: &CowVec<Segment>, location: Location) -> &[u8] {
    segments[location.segment()].frame(location.key())
}

pub(super) fn exists(frame: &[u8]) -> ChangeError {
    let other = MovieView::decode(frame);
    ChangeError::Exists { id: other.id.to_owned(), title: other.title.to_owned() }
}
