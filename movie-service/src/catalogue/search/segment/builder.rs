//! Makes segments, of documents or of other segments.

use std::cmp::Reverse;

use crate::catalogue::fold::fold;
use crate::catalogue::search::document::{Document, Popularity, names};
use crate::catalogue::search::segment::data::Segment;
use crate::catalogue::search::segment::forward::Forward;
use crate::catalogue::search::segment::interner::Interner;
use crate::catalogue::search::segment::keys::Keys;
use crate::catalogue::search::segment::labels::LabelsBuilder;
use crate::catalogue::search::segment::postings::Postings;
use crate::catalogue::search::segment::vocabulary::Vocabulary;
use crate::catalogue::search::text::normalize::{ARTICLES, Words};

/// Words of a title that count.
pub(crate) const MAX_TITLE_WORDS: usize = 60;

/// Makes a segment.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    /// Words by the order in which they came.
    words: Interner,
    labels: LabelsBuilder,
    /// For each document the words of title, original title and people, as `forward` has them, but temporary ordinals.
    stream: Vec<u32>,
    /// For each document its labels, as temporary ordinals.
    label_stream: Vec<u32>,
    documents: Vec<Entry>,
    buffer: Words,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    key: u64,
    popularity: Popularity,
    /// Range in the stream of words.
    words: (u32, u32),
    /// Range in the stream of labels.
    labels: (u32, u32),
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

    fn labels<'a>(&self, stream: &'a [u32]) -> &'a [u32] {
        &stream[self.labels.0 as usize..self.labels.1 as usize]
    }
}

impl Builder {
    /// Returns whether no document has been added.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// Adds a document.
    pub(crate) fn push(&mut self, document: &Document<'_>) {
        let start = (self.stream.len() as u32, self.label_stream.len() as u32);
        let mut buffer = std::mem::take(&mut self.buffer);
        let title = self.push_title(&mut buffer, document.title);
        let original = match document.original_title {
            "" => 0,
            same if same == document.title => 0,
            other => self.push_title(&mut buffer, other),
        };
        let people = names(document.director)
            .chain(document.cast.iter().copied())
            .chain(document.writers.iter().copied());
        for name in people {
            buffer.fill(name);
            self.stream.push(0);
            for word in buffer.iter() {
                self.stream.push(self.words.number(word) + 1);
            }
        }
        self.buffer = buffer;
        for (facet, value) in &document.labels {
            let label = self.labels.intern(*facet, value, || fold(value).into());
            if !self.label_stream[start.1 as usize..].contains(&label) {
                self.label_stream.push(label);
            }
        }
        let popularity = Popularity::new(document.rating_count, document.rating);
        self.push_entry(document.key, popularity, start, title, original);
    }

    fn push_entry(&mut self, key: u64, popularity: Popularity, start: (u32, u32), title: u16, original: u16) {
        let words = (start.0, self.stream.len() as u32);
        let labels = (start.1, self.label_stream.len() as u32);
        self.documents.push(Entry { key, popularity, words, labels, title, original });
    }

    fn push_title(&mut self, buffer: &mut Words, text: &str) -> u16 {
        buffer.fill(text);
        let len = buffer.len().min(MAX_TITLE_WORDS);
        for word in buffer.iter().take(len) {
            self.stream.push(self.words.number(word));
        }
        len as u16
    }

    /// Adds the documents of a segment for which `is_live` is true.
    pub(crate) fn push_segment(&mut self, segment: &Segment, keys: &Keys, is_live: impl Fn(u32) -> bool) {
        let mut ordinals = Vec::with_capacity(segment.vocabulary.len());
        segment.vocabulary.for_each(|word| ordinals.push(self.words.number(word)));
        let label = |ordinal| {
            let (facet, value) = segment.labels.get(ordinal);
            self.labels.intern(facet, value, || segment.labels.folded(ordinal).into())
        };
        let labels: Vec<u32> = (0..segment.labels.len()).map(label).collect();
        for place in (0..segment.len() as u32).filter(|place| is_live(*place)) {
            let start = (self.stream.len() as u32, self.label_stream.len() as u32);
            let document = segment.forward.get(place);
            let (title, original) = (document.title, document.original);
            let words = document.ordinals.enumerate();
            self.stream
                .extend(words.map(|(at, ordinal)| renumbered(ordinal, at < title + original, &ordinals)));
            self.label_stream.extend(document.labels.map(|ordinal| labels[ordinal]));
            let popularity = segment.popularity[place as usize];
            self.push_entry(keys.key(place), popularity, start, title as u16, original as u16);
        }
    }

    /// Returns the segment and the keys of its documents.
    #[must_use]
    pub(crate) fn finish(self) -> (Segment, Keys) {
        let Self { words, labels, mut stream, mut label_stream, mut documents, .. } = self;
        documents.sort_unstable_by_key(|entry| (Reverse(entry.popularity), entry.key));

        // Words that are used, in order of their bytes.
        let mut counts = vec![0_u32; words.len()];
        for_each_word(&documents, &stream, |_, ordinal, _| counts[ordinal as usize] += 1);
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
            let words = &mut stream[entry.words.0 as usize..entry.words.1 as usize];
            for (at, word) in words.iter_mut().enumerate() {
                *word = renumbered(*word, at < titles, &ordinals);
            }
        }
        drop(ordinals);
        let articles: Vec<u32> = ARTICLES.iter().filter_map(|article| vocabulary.get(article)).collect();
        let postings = postings(&documents, &stream, &articles, &starts, total as usize);

        let (labels, ordinals) = labels.finish(documents.iter().map(|entry| entry.labels(&label_stream)));
        for label in &mut label_stream {
            *label = ordinals[*label as usize];
        }
        let mut forward = Forward::with_capacity(documents.len(), stream.len());
        for entry in &documents {
            let [title, original, people] = entry.words(&stream);
            forward.push(entry.labels(&label_stream), title, original, people);
        }
        forward.shrink();
        let popularity = documents.iter().map(|entry| entry.popularity).collect();
        let keys = Keys::new(documents.iter().map(|entry| entry.key).collect());
        (Segment { vocabulary, postings, forward, labels, popularity, lengths, articles }, keys)
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
    for_each_word(documents, stream, |place, ordinal, before| {
        let (start, end) = (starts[ordinal as usize] as usize, &mut ends[ordinal as usize]);
        // A title of one word, or of one word after an article.
        let is_whole =
            before.is_some_and(|before: Option<u32>| before.is_none_or(|word| articles.contains(&word)));
        match lists[start..*end as usize].last_mut() {
            Some(last) if *last >> 1 == place => *last |= u32::from(is_whole),
            _ => {
                lists[*end as usize] = place << 1 | u32::from(is_whole);
                *end += 1;
            }
        }
    });
    Postings::new(starts.iter().zip(&ends).map(|(start, end)| &lists[*start as usize..*end as usize]))
}

/// Passes each word of each document to `each`: place, ordinal, and whether the word may be a whole title, with the
/// word before it if there is one.
fn for_each_word(documents: &[Entry], stream: &[u32], mut each: impl FnMut(u32, u32, Option<Option<u32>>)) {
    for (place, entry) in (0..).zip(documents) {
        let [title, original, people] = entry.words(stream);
        for title in [title, original] {
            for (at, ordinal) in title.iter().enumerate() {
                let whole = match (title.len(), at) {
                    (1, 0) => Some(None),
                    (2, 1) => Some(Some(title[0])),
                    _ => None,
                };
                each(place, *ordinal, whole);
            }
        }
        for ordinal in people.iter().filter_map(|word| word.checked_sub(1)) {
            each(place, ordinal, None);
        }
    }
}
