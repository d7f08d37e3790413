//! An immutable set of indexed documents, in order of popularity.

use crate::catalogue::search::document::Popularity;
use crate::catalogue::search::segment::forward::Forward;
use crate::catalogue::search::segment::labels::Labels;
use crate::catalogue::search::segment::postings::Postings;
use crate::catalogue::search::segment::vocabulary::Vocabulary;

/// Documents, indexed. A document has a place in the segment: the lower, the more popular.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) vocabulary: Vocabulary,
    pub(crate) postings: Postings,
    pub(crate) forward: Forward,
    pub(crate) labels: Labels,
    pub(crate) popularity: Vec<Popularity>,
    /// Number of letters of each word.
    pub(crate) lengths: Box<[u8]>,
    /// Ordinals of the articles.
    pub(crate) articles: Vec<u32>,
}

impl Segment {
    /// Returns the number of documents.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.popularity.len()
    }

    /// Returns whether there are no documents.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.popularity.is_empty()
    }
}
