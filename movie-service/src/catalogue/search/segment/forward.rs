//! Forward index: for each document its word ordinals, in order, and the ordinals of its facet values.
//!
//! A document has these fields, one after the other:
//!
//! 1. header, a varint: `title words << 2 | has facet values << 1 | has original title`;
//! 2. if it has an original title: its number of words, a varint;
//! 3. if it has facet values: the size of their ordinals in bytes, a varint; then the ordinals, varints;
//! 4. the ordinals of the words of title, original title and names: two bytes below 2¹⁵, else three.
//!
//! In names, 0 precedes each name, and other numbers are the ordinal of a word plus one.

use crate::catalogue::search::segment::doc_set::DocId;
use crate::catalogue::search::segment::varint::{put_varint, take_varint};

/// The words and facet values of all documents, by doc id.
#[derive(Clone, Debug)]
pub(crate) struct Forward {
    bytes: Vec<u8>,
    offsets: Vec<u32>,
}

/// Greatest ordinal that fits.
pub(crate) const MAX_ORDINAL: u32 = (1 << 23) - 2;

impl Forward {
    /// Makes an empty index with space for this many documents and words.
    pub(crate) fn with_capacity(documents: usize, words: usize) -> Self {
        let mut offsets = Vec::with_capacity(documents + 1);
        offsets.push(0);
        Self { bytes: Vec::with_capacity(words * 2 + documents), offsets }
    }

    /// Appends a document.
    pub(crate) fn push(&mut self, facet_values: &[u32], title: &[u32], original: &[u32], people: &[u32]) {
        let (has_values, has_original) = (!facet_values.is_empty(), !original.is_empty());
        put_varint(
            &mut self.bytes,
            (title.len() as u32) << 2 | u32::from(has_values) << 1 | u32::from(has_original),
        );
        if has_original {
            put_varint(&mut self.bytes, original.len() as u32);
        }
        if has_values {
            let mut encoded = Vec::with_capacity(2 * facet_values.len());
            for value in facet_values {
                put_varint(&mut encoded, *value);
            }
            put_varint(&mut self.bytes, encoded.len() as u32);
            self.bytes.append(&mut encoded);
        }
        for ordinal in title.iter().chain(original).chain(people) {
            put_ordinal(&mut self.bytes, *ordinal);
        }
        self.offsets.push(self.bytes.len() as u32);
    }

    /// Frees space that is not used.
    pub(crate) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.offsets.shrink_to_fit();
    }

    /// Returns the first byte of a document.
    pub(crate) fn first_byte(&self, doc: DocId) -> Option<u8> {
        self.bytes.get(self.offsets[doc as usize] as usize).copied()
    }

    /// Returns the words and facet values of a document.
    #[inline]
    pub(crate) fn get(&self, doc: DocId) -> DocumentWords<'_> {
        let doc = doc as usize;
        let mut bytes = &self.bytes[self.offsets[doc] as usize..self.offsets[doc + 1] as usize];
        let header = take_varint(&mut bytes);
        let original = if header & 1 == 1 { take_varint(&mut bytes) as usize } else { 0 };
        let values = if header & 2 == 2 { take_varint(&mut bytes) as usize } else { 0 };
        let (values, ordinals) = bytes.split_at(values);
        DocumentWords {
            title: (header >> 2) as usize,
            original,
            facet_values: ValueOrdinals(values),
            ordinals: Ordinals(ordinals),
        }
    }
}

/// The words of a document, of the title, of the original title, then of people with separators; and its facet values.
pub(crate) struct DocumentWords<'a> {
    /// Number of words of the title.
    pub(crate) title: usize,
    /// Number of words of the original title.
    pub(crate) original: usize,
    pub(crate) facet_values: ValueOrdinals<'a>,
    pub(crate) ordinals: Ordinals<'a>,
}

/// Encoded ordinals of facet values.
pub(crate) struct ValueOrdinals<'a>(&'a [u8]);

impl Iterator for ValueOrdinals<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        (!self.0.is_empty()).then(|| take_varint(&mut self.0) as usize)
    }
}

/// Encoded ordinals of words.
pub(crate) struct Ordinals<'a>(&'a [u8]);

impl Iterator for Ordinals<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        let [low, high, rest @ ..] = self.0 else {
            return None;
        };
        let number = u32::from(*low) | u32::from(*high & 0x7f) << 8;
        if *high < 0x80 {
            self.0 = rest;
            return Some(number);
        }
        let (top, rest) = rest.split_first()?;
        self.0 = rest;
        Some(number | u32::from(*top) << 15)
    }
}

fn put_ordinal(bytes: &mut Vec<u8>, ordinal: u32) {
    let (low, high) = (ordinal as u8, (ordinal >> 8) as u8 & 0x7f);
    if ordinal < 1 << 15 {
        bytes.extend([low, high]);
    } else {
        bytes.extend([low, high | 0x80, (ordinal >> 15) as u8]);
    }
}
