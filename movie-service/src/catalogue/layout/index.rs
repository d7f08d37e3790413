//! Index from id to location.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::catalogue::layout::cow_vec::CowVec;
use crate::catalogue::layout::segment::Location;
use crate::catalogue::layout::table::Table;

/// Number of shards. A change copies one shard: 32 KiB at 10 million movies. With this number, the power-of-two
/// tables are well filled at 1 and at 10 million movies.
const SHARDS: usize = 3000;

/// A hash table from id to location. It holds no ids: callers pass a function that reads the id at a location.
///
/// It consists of shards that are copied on write, so that clones are cheap and independent.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    shards: CowVec<Arc<Table>>,
    /// Randomly seeded, so that callers cannot choose colliding ids.
    hasher: RandomState,
}

impl Index {
    /// Returns the location of `id`. `id_at` reads the id at a location.
    pub(crate) fn find<'a>(&self, id: &[u8], id_at: impl Fn(Location) -> &'a [u8]) -> Option<Location> {
        let hash = self.hasher.hash_one(id);
        find(&self.shards[shard(hash)], hash, id, id_at)
    }

    /// Returns the probable location of `id`, without comparing the id there.
    pub(crate) fn find_probable(&self, id: &[u8]) -> Option<Location> {
        let hash = self.hasher.hash_one(id);
        self.shards[shard(hash)].find(hash, |_| true).map(Location::of)
    }

    /// Adds a location, or returns the existing one with the same id.
    pub(crate) fn insert<'a>(
        &mut self,
        id: &[u8],
        location: Location,
        id_at: impl Fn(Location) -> &'a [u8],
    ) -> Result<(), Location> {
        let hash = self.hasher.hash_one(id);
        insert(shard_mut(&mut self.shards, hash), hash, id, location, id_at)
    }

    /// Removes an existing location.
    pub(crate) fn remove(&mut self, id: &[u8], location: Location) {
        let hash = self.hasher.hash_one(id);
        shard_mut(&mut self.shards, hash).remove(hash, location.number());
    }
}

impl Default for Index {
    fn default() -> Self {
        IndexBuilder::default().finish()
    }
}

/// Builds an [`Index`]. It is not shared, so nothing is copied on write.
#[derive(Debug)]
pub(crate) struct IndexBuilder {
    shards: Vec<Table>,
    hasher: RandomState,
}

impl IndexBuilder {
    /// Reserves space for about `movies` movies in all, so that tables need not grow step by step.
    pub(crate) fn reserve(&mut self, movies: usize) {
        // Shards fill unevenly: four standard deviations above the mean is enough for nearly all of them.
        let mean = movies.div_ceil(SHARDS);
        let room = mean + 4 * mean.isqrt();
        for table in &mut self.shards {
            table.reserve(room.saturating_sub(table.len()));
        }
    }

    /// Adds a location, or returns the existing one with the same id.
    pub(crate) fn insert<'a>(
        &mut self,
        id: &[u8],
        location: Location,
        id_at: impl Fn(Location) -> &'a [u8],
    ) -> Result<(), Location> {
        let hash = self.hasher.hash_one(id);
        insert(&mut self.shards[shard(hash)], hash, id, location, id_at)
    }

    pub(crate) fn finish(self) -> Index {
        Index { shards: self.shards.into_iter().map(Arc::new).collect(), hasher: self.hasher }
    }
}

impl Default for IndexBuilder {
    fn default() -> Self {
        Self { shards: vec![Table::default(); SHARDS], hasher: RandomState::default() }
    }
}

fn find<'a>(table: &Table, hash: u64, id: &[u8], id_at: impl Fn(Location) -> &'a [u8]) -> Option<Location> {
    table.find(hash, |number| id_at(Location::of(number)) == id).map(Location::of)
}

fn insert<'a>(
    table: &mut Table,
    hash: u64,
    id: &[u8],
    location: Location,
    id_at: impl Fn(Location) -> &'a [u8],
) -> Result<(), Location> {
    if let Some(other) = find(table, hash, id, id_at) {
        return Err(other);
    }
    table.insert(hash, location.number());
    Ok(())
}

/// Returns a mutable shard. Copies it first if it is shared.
fn shard_mut(shards: &mut CowVec<Arc<Table>>, hash: u64) -> &mut Table {
    Arc::make_mut(shards.make_mut(shard(hash)))
}

/// Chooses the shard by bits of the hash that the tables do not use.
fn shard(hash: u64) -> usize {
    (hash & 0xffff_ffff) as usize % SHARDS
}
