//! Finds a movie's place by its id.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::cow_vec::CowVec;
use super::segment::SLOTS;

/// Number of shards. A change copies one: at 10 million movies that is 20 KiB. With as many as these, the tables,
/// whose sizes are powers of two, are well filled at one million movies and at ten.
const SHARDS: usize = 3000;

/// Where a movie is: its segment and its slot there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u32);

impl Place {
    /// The number of segments that a place can tell apart.
    pub(super) const MAX_SEGMENTS: usize = 1 << (u32::BITS - SLOTS.trailing_zeros());

    #[expect(clippy::cast_possible_truncation, reason = "within these bounds it fits")]
    pub(super) fn new(segment: usize, slot: usize) -> Self {
        debug_assert!(segment < Self::MAX_SEGMENTS && slot < SLOTS);
        Self((segment * SLOTS + slot) as u32)
    }

    pub(super) fn segment(self) -> usize {
        self.0 as usize / SLOTS
    }

    pub(super) fn slot(self) -> usize {
        self.0 as usize % SLOTS
    }
}

/// A hash table from id to place that holds no ids: whoever asks passes a way to read the id at a place.
///
/// It is cut into shards that are copied when they change, so that clones are cheap and never see changes.
#[derive(Clone, Debug)]
pub(super) struct Index {
    shards: CowVec<Arc<HashTable<Place>>>,
    /// Seeded at random, so that ids that collide are hard to choose.
    hasher: DefaultHashBuilder,
}

impl Index {
    /// Returns the place whose id, as `id_at` reads it, is `id`.
    pub(super) fn find<'a>(&self, id: &[u8], id_at: impl Fn(Place) -> &'a [u8]) -> Option<Place> {
        let hash = self.hasher.hash_one(id);
        self.shards[shard(hash)].find(hash, |place| id_at(*place) == id).copied()
    }

    /// Adds a place, or returns the one that is there with the same id.
    pub(super) fn insert<'a>(
        &mut self,
        id: &[u8],
        place: Place,
        id_at: impl Fn(Place) -> &'a [u8],
    ) -> Result<(), Place> {
        let hash = self.hasher.hash_one(id);
        insert(shard_mut(&mut self.shards, hash), &self.hasher, (id, hash), place, id_at)
    }

    /// Removes a place that is there.
    pub(super) fn remove(&mut self, id: &[u8], place: Place) {
        let hash = self.hasher.hash_one(id);
        if let Ok(entry) = shard_mut(&mut self.shards, hash).find_entry(hash, |other| *other == place) {
            entry.remove();
        }
    }
}

impl Default for Index {
    fn default() -> Self {
        IndexBuilder::default().finish()
    }
}

/// An [`Index`] in the making, which has no clones to spare.
#[derive(Debug)]
pub(super) struct IndexBuilder {
    shards: Vec<HashTable<Place>>,
    hasher: DefaultHashBuilder,
}

impl IndexBuilder {
    /// Makes room for about so many movies in all, so that tables need not grow one step after the other.
    pub(super) fn reserve<'a>(&mut self, movies: usize, id_at: impl Fn(Place) -> &'a [u8]) {
        // Shards fill unevenly: four standard deviations above the mean is enough for nearly all of them.
        let mean = movies.div_ceil(SHARDS);
        let room = mean + 4 * mean.isqrt();
        for table in &mut self.shards {
            table.reserve(room.saturating_sub(table.len()), |place| self.hasher.hash_one(id_at(*place)));
        }
    }

    /// Adds a place, or returns the one that is there with the same id.
    pub(super) fn insert<'a>(
        &mut self,
        id: &[u8],
        place: Place,
        id_at: impl Fn(Place) -> &'a [u8],
    ) -> Result<(), Place> {
        let hash = self.hasher.hash_one(id);
        insert(&mut self.shards[shard(hash)], &self.hasher, (id, hash), place, id_at)
    }

    pub(super) fn finish(self) -> Index {
        Index { shards: self.shards.into_iter().map(Arc::new).collect(), hasher: self.hasher }
    }
}

impl Default for IndexBuilder {
    fn default() -> Self {
        Self { shards: vec![HashTable::new(); SHARDS], hasher: DefaultHashBuilder::default() }
    }
}

fn insert<'a>(
    table: &mut HashTable<Place>,
    hasher: &DefaultHashBuilder,
    (id, hash): (&[u8], u64),
    place: Place,
    id_at: impl Fn(Place) -> &'a [u8],
) -> Result<(), Place> {
    match table.entry(hash, |other| id_at(*other) == id, |other| hasher.hash_one(id_at(*other))) {
        Entry::Occupied(entry) => Err(*entry.get()),
        Entry::Vacant(entry) => {
            entry.insert(place);
            Ok(())
        }
    }
}

/// Returns a shard to change it, copied first if it is shared.
fn shard_mut(shards: &mut CowVec<Arc<HashTable<Place>>>, hash: u64) -> &mut HashTable<Place> {
    Arc::make_mut(shards.make_mut(shard(hash)))
}

/// Chooses the shard by bits of the hash that hardly matter to the tables.
fn shard(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}
