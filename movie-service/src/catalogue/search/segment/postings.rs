//! Posting lists: for each word its documents, delta-encoded as varints.
//!
//! A list has two parts, each in ascending order of documents, which is the order of popularity: first the documents
//! that have the word as a whole title, then all others. So both are found early in a list that is not read to its end.

use crate::catalogue::search::segment::doc_set::DocId;
use crate::catalogue::search::segment::varint::{put_varint, take_varint};

/// The posting lists of all words of a segment, by ordinal.
#[derive(Clone, Debug)]
pub(crate) struct Postings {
    bytes: Vec<u8>,
    offsets: Vec<u32>,
    /// Sums of the lengths of the lists before each word.
    counts: Vec<u32>,
}

impl Postings {
    /// Makes lists from `doc id << 1 | is whole title`, given for each word in order of doc ids.
    pub(crate) fn new<'a>(lists: impl Iterator<Item = &'a [u32]>) -> Self {
        let mut postings = Self { bytes: Vec::new(), offsets: vec![0], counts: vec![0] };
        let mut count = 0;
        for list in lists {
            let whole = list.iter().filter(|entry| **entry & 1 == 1);
            put_varint(&mut postings.bytes, whole.clone().count() as u32);
            put_gaps(&mut postings.bytes, whole);
            put_gaps(&mut postings.bytes, list.iter().filter(|entry| **entry & 1 == 0));
            count += list.len() as u32;
            postings.offsets.push(postings.bytes.len() as u32);
            postings.counts.push(count);
        }
        postings.bytes.shrink_to_fit();
        postings.offsets.shrink_to_fit();
        postings.counts.shrink_to_fit();
        postings
    }

    /// Returns the number of postings of a range of words.
    pub(crate) fn count(&self, words: std::ops::Range<u32>) -> usize {
        (self.counts[words.end as usize] - self.counts[words.start as usize]) as usize
    }

    /// Passes the documents of a word to `each`: all that have it as whole title, and up to `limit` others, the most
    /// popular ones. Returns how many it passed.
    pub(crate) fn read(&self, word: u32, limit: usize, mut each: impl FnMut(DocId)) -> usize {
        let word = word as usize;
        let mut bytes = &self.bytes[self.offsets[word] as usize..self.offsets[word + 1] as usize];
        let whole = take_varint(&mut bytes) as usize;
        let mut doc = 0;
        for _ in 0..whole {
            doc += take_varint(&mut bytes);
            each(doc - 1);
        }
        let others = self.count(word as u32..word as u32 + 1) - whole;
        doc = 0;
        for _ in 0..others.min(limit) {
            doc += take_varint(&mut bytes);
            each(doc - 1);
        }
        whole + others.min(limit)
    }
}

fn put_gaps<'a>(bytes: &mut Vec<u8>, entries: impl Iterator<Item = &'a u32>) {
    let mut previous = 0;
    for entry in entries {
        // From 1 on: gaps are never 0.
        let doc = (entry >> 1) + 1;
        put_varint(bytes, doc - previous);
        previous = doc;
    }
}
