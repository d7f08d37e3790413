//! Finds a movie's place by its id.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::cow_vec::CowVec;

/// Number of shards. A change copies one: at 10 million movies that is 20 KiB.
const SHARDS: usize = 4096;

/// Where a movie is: its segment and its slot there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u32);

impl Place {
    /// The number of segments that a place can tell apart.
    pub(super) const MAX_SEGMENTS: usize = 1 << 24;

    #[expect(clippy::cast_possible_truncation, reason = "24 bits and 8 bits fit 32")]
    pub(super) fn new(segment: usize, slot: usize) -> Self {
        debug_assert!(segment < Self::MAX_SEGMENTS && slot < super::segment::SLOTS);
        Self((segment << 8 | slot) as u32)
    }

    pub(super) fn segment(self) -> usize {
        self.0 as usize >> 8
    }

    pub(super) fn slot(self) -> usize {
        self.0 as usize & 0xff
    }
}

/// A hash table from id to place that holds no ids: whoever asks passes a way to read the id at a place.
///
/// It is cut into shards that are copied when they change, so that clones are cheap and never see changes.
#[derive(Clone, Debug)]
pub(super) struct Index {
    shards: CowVec<HashTable<Place>>,
    /// Seeded at random, so that nobody can choose ids that collide.
    hasher: DefaultHashBuilder,
}

impl Index {
    /// Makes an index with room for about `movies`.
    pub(super) fn with_capacity(movies: usize) -> Self {
        // Shards fill unevenly: four standard deviations more than the mean is enough for all of them.
        let mean = movies.div_ceil(SHARDS);
        let room = if movies < SHARDS { 0 } else { mean + 4 * mean.isqrt() };
        Self {
            shards: (0..SHARDS).map(|_| HashTable::with_capacity(room)).collect(),
            hasher: DefaultHashBuilder::default(),
        }
    }

    /// Returns the place whose id, as `id_at` reads it, is `id`.
    pub(super) fn find<'a>(&self, id: &[u8], id_at: impl Fn(Place) -> &'a [u8]) -> Option<Place> {
        let hash = self.hasher.hash_one(id);
        self.shards[shard(hash)].find(hash, |place| id_at(*place) == id).copied()
    }

    /// Adds a place. No place with this id may be there yet.
    pub(super) fn insert<'a>(&mut self, id: &[u8], place: Place, id_at: impl Fn(Place) -> &'a [u8]) {
        let Self { shards, hasher } = self;
        let hash = hasher.hash_one(id);
        let table = shards.make_mut(shard(hash));
        table.insert_unique(hash, place, |place| hasher.hash_one(id_at(*place)));
    }

    /// Removes a place that is there.
    pub(super) fn remove(&mut self, id: &[u8], place: Place) {
        let hash = self.hasher.hash_one(id);
        if let Ok(entry) = self.shards.make_mut(shard(hash)).find_entry(hash, |other| *other == place) {
            entry.remove();
        }
    }
}

/// Chooses the shard by bits of the hash that the tables do not use: those take the lowest and the highest.
fn shard(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}
