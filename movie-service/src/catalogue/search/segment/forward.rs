//! Forward index: for each document its word ordinals, in order, and its label ordinals.
//!
//! A document has these fields, one after the other:
//!
//! 1. header, a varint: `title words << 2 | has labels << 1 | has original title`;
//! 2. if it has an original title: its number of words, a varint;
//! 3. if it has labels: the size of their ordinals in bytes, a varint; then the ordinals, varints;
//! 4. the ordinals of the words of title, original title and names: two bytes below 2¹⁵, else three.
//!
//! In names, 0 precedes each name, and other numbers are the ordinal of a word plus one.

use crate::catalogue::search::segment::postings::{put, take};

/// The words and labels of all documents.
#[derive(Clone, Debug, Default)]
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
    pub(crate) fn push(&mut self, labels: &[u32], title: &[u32], original: &[u32], people: &[u32]) {
        let (has_labels, has_original) = (!labels.is_empty(), !original.is_empty());
        put(
            &mut self.bytes,
            (title.len() as u32) << 2 | u32::from(has_labels) << 1 | u32::from(has_original),
        );
        if has_original {
            put(&mut self.bytes, original.len() as u32);
        }
        if has_labels {
            let mut encoded = Vec::with_capacity(2 * labels.len());
            for label in labels {
                put(&mut encoded, *label);
            }
            put(&mut self.bytes, encoded.len() as u32);
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
    pub(crate) fn first_byte(&self, document: u32) -> Option<u8> {
        self.bytes.get(self.offsets[document as usize] as usize).copied()
    }

    /// Returns the words of a document.
    #[inline]
    pub(crate) fn get(&self, document: u32) -> DocumentWords<'_> {
        let document = document as usize;
        let mut bytes = &self.bytes[self.offsets[document] as usize..self.offsets[document + 1] as usize];
        let header = take(&mut bytes);
        let original = if header & 1 == 1 { take(&mut bytes) as usize } else { 0 };
        let labels = if header & 2 == 2 { take(&mut bytes) as usize } else { 0 };
        let (labels, ordinals) = bytes.split_at(labels);
        DocumentWords {
            title: (header >> 2) as usize,
            original,
            labels: LabelOrdinals(labels),
            ordinals: Ordinals(ordinals),
        }
    }
}

/// The words of a document: those of the title, of the original title, then those of people and separators.
pub(crate) struct DocumentWords<'a> {
    /// Number of words of the title.
    pub(crate) title: usize,
    /// Number of words of the original title.
    pub(crate) original: usize,
    pub(crate) labels: LabelOrdinals<'a>,
    pub(crate) ordinals: Ordinals<'a>,
}

/// Encoded ordinals of labels.
pub(crate) struct LabelOrdinals<'a>(&'a [u8]);

impl Iterator for LabelOrdinals<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        (!self.0.is_empty()).then(|| take(&mut self.0) as usize)
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
