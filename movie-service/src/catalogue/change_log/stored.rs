//! A change as the change log keeps it: one allocation, in which the movie before the change is the largest part.

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

/// A change without the movie after it.
#[derive(Debug)]
pub(super) struct StoredChange {
    pub(super) chain: ChainValue,
    /// How many changes later the movie was changed again; 0 if it was not.
    pub(super) next: u32,
    /// The flags, then what they say.
    bytes: Box<[u8]>,
}

/// The parts of a stored change.
struct Parts<'a> {
    flags: u8,
    previous: Option<&'a [u8]>,
    /// The record before the change or, if there was none, the id.
    rest: &'a [u8],
}

impl StoredChange {
    pub(super) fn new(entry: &LogEntry) -> Self {
        let LogEntry { point, id, before, after, previous } = entry;
        let mut flags = 0;
        for (flag, is_set) in
            [(REMOVED, after.is_none()), (EXISTED, before.is_some()), (HAS_PREVIOUS, previous.is_some())]
        {
            flags |= if is_set { flag } else { 0 };
        }
        let mut bytes = vec![flags];
        if let Some(previous) = previous {
            encode_varint(previous.len() as u64, &mut bytes);
            bytes.extend_from_slice(previous.as_bytes());
        }
        bytes.extend_from_slice(before.as_ref().map_or(id.as_bytes(), |before| &before.bytes()[..]));
        Self { chain: point.chain, next: 0, bytes: bytes.into() }
    }

    fn parts(&self) -> Parts<'_> {
        let (flags, mut rest) = self.bytes.split_first().map_or((0, &[][..]), |(flags, rest)| (*flags, rest));
        let previous = (flags & HAS_PREVIOUS != 0).then(|| {
            let length = decode_varint(&mut rest).unwrap_or_default();
            let (previous, after) = rest.split_at(rest.len().min(usize::try_from(length).unwrap_or(usize::MAX)));
            rest = after;
            previous
        });
        Parts { flags, previous, rest }
    }

    /// Returns whether the movie was removed.
    pub(super) fn is_removal(&self) -> bool {
        self.parts().flags & REMOVED != 0
    }

    /// Returns whether this is a change of the movie that has this id.
    pub(super) fn is_of(&self, id: &str) -> bool {
        let Parts { flags, rest, .. } = self.parts();
        if flags & EXISTED != 0 { id_in_record(rest) == id } else { rest == id.as_bytes() }
    }

    /// Returns the id of the movie.
    pub(super) fn id(&self) -> Box<str> {
        let Parts { flags, rest, .. } = self.parts();
        if flags & EXISTED != 0 { id_in_record(rest).into() } else { text(rest) }
    }

    /// Returns the movie before the change; `None` if there was none.
    pub(super) fn before(&self) -> Option<Record> {
        let Parts { flags, rest, .. } = self.parts();
        (flags & EXISTED != 0).then(|| Record::stored(Bytes::copy_from_slice(rest)))
    }

    /// Returns the id of the movie that was listed before the removed one.
    pub(super) fn previous(&self) -> Option<Box<str>> {
        self.parts().previous.map(text)
    }
}

fn id_in_record(record: &[u8]) -> &str {
    let mut movie = MovieView::default();
    movie.take_fields(record);
    movie.id
}

fn text(bytes: &[u8]) -> Box<str> {
    String::from_utf8_lossy(bytes).into()
}
