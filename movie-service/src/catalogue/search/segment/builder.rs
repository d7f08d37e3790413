//! Makes segments, of documents or of other segments.

use std::cmp::Reverse;

use crate::catalogue::fold::fold;
use crate::catalogue::search::document::{Document, Popularity};
use crate::catalogue::search::segment::doc_set::DocId;
use crate::catalogue::search::segment::facet_values::FacetValuesBuilder;
use crate::catalogue::search::segment::forward::Forward;
use crate::catalogue::search::segment::interner::Interner;
use crate::catalogue::search::segment::keys::Keys;
use crate::catalogue::search::segment::postings::Postings;
use crate::catalogue::search::segment::reader::IndexSegment;
use crate::catalogue::search::segment::vocabulary::Vocabulary;
use crate::catalogue::search::text::normalize::{ARTICLES, Words};

/// Maximum number of words of a title that are indexed.
pub(crate) const MAX_TITLE_WORDS: usize = 60;

/// Makes a segment.
#[derive(Debug, Default)]
pub(crate) struct SegmentBuilder {
    /// Words by the order in which they came.
    words: Interner,
    facet_values: FacetValuesBuilder,
    /// For each document the words of title, original title and people, as `forward` has them, but temporary ordinals.
    word_stream: Vec<u32>,
    /// For each document its facet values, as temporary ordinals.
    value_stream: Vec<u32>,
    documents: Vec<Entry>,
    buffer: Words,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    key: u64,
    popularity: Popularity,
    /// Range in the stream of words.
    words: (u32, u32),
    /// Range in the stream of facet values.
    facet_values: (u32, u32),
    title: u16,
    original: u16,
}

impl Entry {
    /// Returns the words of the title, of the original title, and of people.
    fn words<'a>(&self, stream: &'a [u32]) -> [&'a [u32]; 3] {
        let words = &stream[self.words.0 as usize..self.words.1 as usize];
        let (title, words) = words.split_at(self.title as usize);
        let (original, people) = words.split_at(self.original as usize);
        [title, original, people]
    }

    fn facet_values<'a>(&self, stream: &'a [u32]) -> &'a [u32] {
        &stream[self.facet_values.0 as usize..self.facet_values.1 as usize]
    }
}

impl SegmentBuilder {
    /// Returns whether no document has been added.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// Adds a document.
    pub(crate) fn push(&mut self, document: &Document<'_>) {
        let start = (self.word_stream.len() as u32, self.value_stream.len() as u32);
        let mut buffer = std::mem::take(&mut self.buffer);
        let title = self.push_title(&mut buffer, document.title);
        let original = match document.original_title {
            "" => 0,
            same if same == document.title => 0,
            other => self.push_title(&mut buffer, other),
        };
        for name in document.people() {
            buffer.fill(name);
            self.word_stream.push(0);
            for word in buffer.iter() {
                self.word_stream.push(self.words.number(word) + 1);
            }
        }
        self.buffer = buffer;
        for (facet, value) in &document.facet_values {
            let value = self.facet_values.intern(*facet, value, || fold(value).into());
            // A document is counted once for values that a filter takes for the same.
            let mut known = self.value_stream[start.1 as usize..].iter();
            if !known.any(|known| self.facet_values.is_same(*known, value)) {
                self.value_stream.push(value);
            }
        }
        let popularity = Popularity::new(document.rating_count, document.rating);
        self.push_entry(document.key, popularity, start, title, original);
    }

    fn push_entry(&mut self, key: u64, popularity: Popularity, start: (u32, u32), title: u16, original: u16) {
        let words = (start.0, self.word_stream.len() as u32);
        let facet_values = (start.1, self.value_stream.len() as u32);
        self.documents.push(Entry { key, popularity, words, facet_values, title, original });
    }

    fn push_title(&mut self, buffer: &mut Words, text: &str) -> u16 {
        buffer.fill(text);
        let len = buffer.len().min(MAX_TITLE_WORDS);
        for word in buffer.iter().take(len) {
            self.word_stream.push(self.words.number(word));
        }
        len as u16
    }

    /// Adds the documents of a segment for which `is_live` is true.
    pub(crate) fn push_segment(
        &mut self,
        segment: &IndexSegment,
        keys: &Keys,
        is_live: impl Fn(DocId) -> bool,
    ) {
        let mut ordinals = Vec::with_capacity(segment.vocabulary.len());
        segment.vocabulary.for_each(|word| ordinals.push(self.words.number(word)));
        let value = |ordinal| {
            let (facet, value) = segment.facet_values.get(ordinal);
            self.facet_values.intern(facet, value, || segment.facet_values.folded(ordinal).into())
        };
        let values: Vec<u32> = (0..segment.facet_values.len()).map(value).collect();
        for doc in (0..segment.len() as DocId).filter(|doc| is_live(*doc)) {
            let start = (self.word_stream.len() as u32, self.value_stream.len() as u32);
            let document = segment.forward.get(doc);
            let (title, original) = (document.title, document.original);
            let words = document.ordinals.enumerate();
            self.word_stream
                .extend(words.map(|(at, ordinal)| renumbered(ordinal, at < title + original, &ordinals)));
            self.value_stream.extend(document.facet_values.map(|ordinal| values[ordinal]));
            let popularity = segment.popularity[doc as usize];
            self.push_entry(keys.key(doc), popularity, start, title as u16, original as u16);
        }
    }

    /// Returns the segment and the keys of its documents.
    #[must_use]
    pub(crate) fn finish(self) -> (IndexSegment, Keys) {
        let Self { words, facet_values, mut word_stream, mut value_stream, mut documents, .. } = self;
        documents.sort_unstable_by_key(|entry| (Reverse(entry.popularity), entry.key));

        // Words that are used, in order of their bytes.
        let mut counts = vec![0_u32; words.len()];
        for_each_word(&documents, &word_stream, |_, ordinal, _| counts[ordinal as usize] += 1);
        let sorted = words.sorted(|number| counts[number as usize] > 0);
        let vocabulary = Vocabulary::new(sorted.iter().map(|number| words.word(*number)));
        let lengths = sorted.iter().map(|number| words.word(*number).chars().count() as u8).collect();
        drop(words);
        let mut ordinals = vec![0_u32; counts.len()];
        // Where the postings of each word begin in `lists`.
        let mut starts = Vec::with_capacity(sorted.len() + 1);
        let mut total = 0;
        for (ordinal, temporary) in sorted.iter().enumerate() {
            ordinals[*temporary as usize] = ordinal as u32;
            starts.push(total);
            total += counts[*temporary as usize];
        }
        drop(sorted);
        drop(counts);
        for entry in &documents {
            let titles = (entry.title + entry.original) as usize;
            let words = &mut word_stream[entry.words.0 as usize..entry.words.1 as usize];
            for (at, word) in words.iter_mut().enumerate() {
                *word = renumbered(*word, at < titles, &ordinals);
            }
        }
        drop(ordinals);
        let articles: Vec<u32> = ARTICLES.iter().filter_map(|article| vocabulary.get(article)).collect();
        let postings = postings(&documents, &word_stream, &articles, &starts, total as usize);

        let values_of = documents.iter().map(|entry| entry.facet_values(&value_stream));
        let (facet_values, ordinals) = facet_values.finish(values_of);
        for value in &mut value_stream {
            *value = ordinals[*value as usize];
        }
        let mut forward = Forward::with_capacity(documents.len(), word_stream.len());
        for entry in &documents {
            let [title, original, people] = entry.words(&word_stream);
            forward.push(entry.facet_values(&value_stream), title, original, people);
        }
        forward.shrink();
        let popularity = documents.iter().map(|entry| entry.popularity).collect();
        let keys = Keys::new(documents.iter().map(|entry| entry.key).collect());
        (IndexSegment { vocabulary, postings, forward, facet_values, popularity, lengths, articles }, keys)
    }
}

/// Returns the new number of a word of a title, or of a word of a name or a separator.
fn renumbered(word: u32, is_in_title: bool, ordinals: &[u32]) -> u32 {
    match word {
        ordinal if is_in_title => ordinals[ordinal as usize],
        0 => 0,
        ordinal => ordinals[ordinal as usize - 1] + 1,
    }
}

/// Makes the posting lists of words. `starts` are where those of each word begin in a list of all, of length `total`.
fn postings(documents: &[Entry], stream: &[u32], articles: &[u32], starts: &[u32], total: usize) -> Postings {
    let mut lists = vec![0_u32; total];
    let mut ends = starts.to_vec();
    for_each_word(documents, stream, |doc, ordinal, whole_title| {
        let (start, end) = (starts[ordinal as usize] as usize, &mut ends[ordinal as usize]);
        let is_whole = match whole_title {
            WholeTitle::No => false,
            WholeTitle::Alone => true,
            WholeTitle::After(word) => articles.contains(&word),
        };
        match lists[start..*end as usize].last_mut() {
            Some(last) if *last >> 1 == doc => *last |= u32::from(is_whole),
            _ => {
                lists[*end as usize] = doc << 1 | u32::from(is_whole);
                *end += 1;
            }
        }
    });
    Postings::new(starts.iter().zip(&ends).map(|(start, end)| &lists[*start as usize..*end as usize]))
}

/// Whether a word is the whole title.
#[derive(Clone, Copy)]
enum WholeTitle {
    No,
    /// The title has no other word.
    Alone,
    /// The title has two words. It is whole if the first one, with this ordinal, is an article.
    After(u32),
}

/// Passes each word of each document to `each`, by its ordinal.
fn for_each_word(documents: &[Entry], stream: &[u32], mut each: impl FnMut(DocId, u32, WholeTitle)) {
    for (doc, entry) in (0..).zip(documents) {
        let [title, original, people] = entry.words(stream);
        for title in [title, original] {
            for (at, ordinal) in title.iter().enumerate() {
                let whole_title = match (title, at) {
                    ([_], _) => WholeTitle::Alone,
                    ([first, _], 1) => WholeTitle::After(*first),
                    _ => WholeTitle::No,
                };
                each(doc, *ordinal, whole_title);
            }
        }
        for ordinal in people.iter().filter_map(|word| word.checked_sub(1)) {
            each(doc, ordinal, WholeTitle::No);
        }
    }
}
