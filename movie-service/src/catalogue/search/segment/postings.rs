//! Posting lists: for each word its documents, delta-encoded as varints.
//!
//! A list has two parts, each in ascending order of documents, which is the order of popularity: first the documents
//! that have the word as a whole title, then all others. So both are found early in a list that is not read to its end.

/// The posting lists of all words of a segment, by ordinal.
#[derive(Clone, Debug, Default)]
pub(crate) struct Postings {
    bytes: Vec<u8>,
    offsets: Vec<u32>,
    /// Sums of the lengths of the lists before each word.
    counts: Vec<u32>,
}

impl Postings {
    /// Makes lists from `(document << 1 | is_whole_title)`, given for each word in order of documents.
    pub(crate) fn new<'a>(lists: impl Iterator<Item = &'a [u32]>) -> Self {
        let mut postings = Self { bytes: Vec::new(), offsets: vec![0], counts: vec![0] };
        let mut count = 0;
        for list in lists {
            let whole = list.iter().filter(|entry| **entry & 1 == 1);
            put(&mut postings.bytes, whole.clone().count() as u32);
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

    /// Returns how many postings the words of a range have.
    pub(crate) fn count(&self, words: std::ops::Range<u32>) -> usize {
        (self.counts[words.end as usize] - self.counts[words.start as usize]) as usize
    }

    /// Passes the documents of a word to `each`: all that have it as whole title, and up to `limit` others, the most
    /// popular ones. Returns how many it passed.
    pub(crate) fn read(&self, word: u32, limit: usize, mut each: impl FnMut(u32)) -> usize {
        let word = word as usize;
        let mut bytes = &self.bytes[self.offsets[word] as usize..self.offsets[word + 1] as usize];
        let whole = take(&mut bytes) as usize;
        let mut document = 0;
        for _ in 0..whole {
            document += take(&mut bytes);
            each(document - 1);
        }
        let others = self.count(word as u32..word as u32 + 1) - whole;
        document = 0;
        for _ in 0..others.min(limit) {
            document += take(&mut bytes);
            each(document - 1);
        }
        whole + others.min(limit)
    }
}

fn put_gaps<'a>(bytes: &mut Vec<u8>, entries: impl Iterator<Item = &'a u32>) {
    let mut previous = 0;
    for entry in entries {
        let document = (entry >> 1) + 1;
        put(bytes, document - previous);
        previous = document;
    }
}

/// Appends a number in groups of seven bits, the lowest first.
pub(crate) fn put(bytes: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Takes a number off the front; 0 if there is none.
#[inline]
pub(crate) fn take(bytes: &mut &[u8]) -> u32 {
    let Some((first, rest)) = bytes.split_first() else {
        return 0;
    };
    *bytes = rest;
    if *first < 0x80 {
        return u32::from(*first);
    }
    let (mut number, mut shift) = (u32::from(*first & 0x7f), 7);
    while let Some((byte, rest)) = bytes.split_first() {
        *bytes = rest;
        number |= u32::from(*byte & 0x7f) << shift;
        shift += 7;
        if *byte < 0x80 || shift > 28 {
            break;
        }
    }
    number
}
