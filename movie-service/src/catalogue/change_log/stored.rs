//! Changes as the change log keeps them: a few numbers, and the movie before the change.

use std::collections::VecDeque;

use bytes::Bytes;
use prost::encoding::{decode_varint, encode_varint};

use crate::catalogue::change_log::LogEntry;
use crate::catalogue::encoding::frame::MovieView;
use crate::catalogue::encoding::record::Record;
use crate::catalogue::history::ChainValue;

/// The movie was removed.
const REMOVED: u8 = 1;
/// The movie existed before: its record follows, which contains its id. Otherwise, the id follows.
const EXISTED: u8 = 2;
/// The id of the movie that was listed before the removed one follows first.
const HAS_PREVIOUS: u8 = 4;

/// Number of changes in a chunk.
const CHUNK_CHANGES: usize = 256;

/// Changes in their order, which are added at the end and removed from the start.
///
/// They are kept in chunks: an allocation for each change would add half to its memory, and one for all would be copied
/// as it grows.
#[derive(Debug, Default)]
pub(super) struct StoredChanges {
    chunks: VecDeque<Chunk>,
    /// Number of changes at the start of the first chunk that were removed.
    removed: usize,
}

#[derive(Debug)]
struct Chunk {
    heads: Vec<Head>,
    /// The contents of all changes, one after the other.
    contents: Vec<u8>,
}

#[derive(Debug)]
struct Head {
    chain: ChainValue,
    /// How many changes later the movie was changed again; 0 if it was not.
    next: u32,
    /// Where the contents end.
    end: u32,
}

impl StoredChanges {
    pub(super) fn len(&self) -> usize {
        let last = self.chunks.back().map_or(0, |last| last.heads.len());
        self.chunks.len().saturating_sub(1) * CHUNK_CHANGES + last - self.removed
    }

    pub(super) fn push(&mut self, entry: &LogEntry) {
        if self.chunks.back().is_none_or(|last| last.heads.len() == CHUNK_CHANGES) {
            if let Some(full) = self.chunks.back_mut() {
                // `shrink_to_fit` would leave most of what is unused: the allocator keeps blocks that are half full.
                full.contents = full.contents.clone();
            }
            let heads = Vec::with_capacity(CHUNK_CHANGES);
            self.chunks.push_back(Chunk { heads, contents: Vec::new() });
        }
        let Some(Chunk { heads, contents }) = self.chunks.back_mut() else { return };
        put(entry, contents);
        // 256 of the largest movies have less than 2^32 bytes.
        let end = u32::try_from(contents.len()).unwrap_or(u32::MAX);
        heads.push(Head { chain: entry.point.chain, next: 0, end });
    }

    /// Removes the first change.
    pub(super) fn pop_front(&mut self) {
        self.removed += 1;
        if self.chunks.front().is_some_and(|first| first.heads.len() == self.removed) {
            self.chunks.pop_front();
            self.removed = 0;
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Records that the movie of the change at `position` was changed again, `distance` changes later.
    pub(super) fn set_next(&mut self, position: usize, distance: u64) {
        let position = position + self.removed;
        // At most the capacity of the log, which is far below 2^32.
        let distance = u32::try_from(distance).unwrap_or_default();
        self.chunks[position / CHUNK_CHANGES].heads[position % CHUNK_CHANGES].next = distance;
    }

    /// Returns the change at `position`, which must be below the length.
    pub(super) fn get(&self, position: usize) -> StoredChange<'_> {
        let position = position + self.removed;
        let Chunk { heads, contents } = &self.chunks[position / CHUNK_CHANGES];
        let index = position % CHUNK_CHANGES;
        let start = index.checked_sub(1).map_or(0, |before| heads[before].end as usize);
        let Head { chain, next, end } = &heads[index];
        StoredChange { chain: *chain, next: *next as usize, contents: &contents[start..*end as usize] }
    }
}

/// A change without the movie after it.
pub(super) struct StoredChange<'a> {
    pub(super) chain: ChainValue,
    /// How many changes later the movie was changed again; 0 if it was not.
    pub(super) next: usize,
    contents: &'a [u8],
}

/// The parts of a stored change.
struct Parts<'a> {
    flags: u8,
    previous: Option<&'a [u8]>,
    /// The record before the change or, if there was none, the id.
    rest: &'a [u8],
}

/// Appends the contents of a change: the flags, then what they say.
fn put(entry: &LogEntry, contents: &mut Vec<u8>) {
    let LogEntry { point: _, id, before, after, previous } = entry;
    let flag = |flag, is_set| if is_set { flag } else { 0 };
    contents.push(
        flag(REMOVED, after.is_none())
            | flag(EXISTED, before.is_some())
            | flag(HAS_PREVIOUS, previous.is_some()),
    );
    if let Some(previous) = previous {
        encode_varint(previous.len() as u64, contents);
        contents.extend_from_slice(previous.as_bytes());
    }
    contents.extend_from_slice(before.as_ref().map_or(id.as_bytes(), |before| &before.bytes()[..]));
}

impl<'a> StoredChange<'a> {
    fn parts(&self) -> Parts<'a> {
        let (flags, mut rest) =
            self.contents.split_first().map_or((0, &[][..]), |(flags, rest)| (*flags, rest));
        let previous = (flags & HAS_PREVIOUS != 0).then(|| {
            let length = decode_varint(&mut rest).unwrap_or_default();
            let (previous, after) =
                rest.split_at(rest.len().min(usize::try_from(length).unwrap_or(usize::MAX)));
            rest = after;
            previous
        });
        Parts { flags, previous, rest }
    }

    /// Returns whether the movie was removed.
    pub(super) fn is_removal(&self) -> bool {
        self.parts().flags & REMOVED != 0
    }

    /// Returns the id of the movie.
    pub(super) fn id(&self) -> &'a str {
        let Parts { flags, rest, .. } = self.parts();
        if flags & EXISTED != 0 { id_in_record(rest) } else { text(rest) }
    }

    /// Returns the movie before the change; `None` if there was none.
    pub(super) fn before(&self) -> Option<Record> {
        let Parts { flags, rest, .. } = self.parts();
        (flags & EXISTED != 0).then(|| Record::from_stored(Bytes::copy_from_slice(rest)))
    }

    /// Returns the id of the movie that was listed before the removed one.
    pub(super) fn previous(&self) -> Option<&'a str> {
        self.parts().previous.map(text)
    }
}

fn id_in_record(record: &[u8]) -> &str {
    let mut movie = MovieView::default();
    movie.take_fields(record);
    movie.id
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalogue::history::HistoryPoint;
    use crate::movie::Revision;

    fn any_entry() -> impl Strategy<Value = LogEntry> {
        let id = || "[a-z]{1,3}|[a-é]{100,140}";
        (id(), any::<bool>(), any::<bool>(), proptest::option::of(id()), any::<[u8; 16]>()).prop_map(
            |(id, existed, is_removed, previous, chain)| {
                let record =
                    || Some(Record::new(&MovieView { id: &id, title: "Creed", ..MovieView::default() }));
                LogEntry {
                    point: HistoryPoint { revision: Revision::new(1), chain: ChainValue::from_bytes(chain) },
                    before: record().filter(|_| existed),
                    after: record().filter(|_| !is_removed),
                    previous: previous.map(Into::into),
                    id: (*id).into(),
                }
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]

        #[test]
        fn changes_are_read_as_they_were_added(entries in proptest::collection::vec(any_entry(), 0..700), kept in 1..600_usize) {
            let mut changes = StoredChanges::default();
            for (number, entry) in entries.iter().enumerate() {
                changes.push(entry);
                changes.set_next(changes.len() - 1, number as u64);
                if changes.len() > kept {
                    changes.pop_front();
                }
            }
            let first = entries.len().saturating_sub(kept);
            prop_assert_eq!(changes.len(), entries.len() - first);
            for (position, entry) in entries[first..].iter().enumerate() {
                let change = changes.get(position);
                prop_assert_eq!((change.chain, change.next), (entry.point.chain, first + position));
                prop_assert_eq!((change.id(), change.previous()), (&*entry.id, entry.previous.as_deref()));
                prop_assert_eq!((change.before(), change.is_removal()), (entry.before.clone(), entry.after.is_none()));
            }
        }
    }
}
