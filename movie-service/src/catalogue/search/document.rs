//! The searched fields of a document, and access to the documents. The index does not store their texts.

/// A field to filter by and to count values of. Its texts are not searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Facet {
    Genres,
    Countries,
    Languages,
    Decades,
}

impl Facet {
    /// All facets, in the order of their numbers.
    pub(crate) const ALL: [Self; 4] = [Self::Genres, Self::Countries, Self::Languages, Self::Decades];
}

/// A document to index.
#[derive(Clone, Debug, Default)]
pub(crate) struct Document<'a> {
    /// Identifies the document in its index; not `u64::MAX`.
    pub(crate) key: u64,
    pub(crate) title: &'a str,
    /// Empty if unknown.
    pub(crate) original_title: &'a str,
    pub(crate) directors: Vec<&'a str>,
    pub(crate) cast: Vec<&'a str>,
    pub(crate) writers: Vec<&'a str>,
    /// Values of facets, in any order.
    pub(crate) facet_values: Vec<(Facet, &'a str)>,
    /// Number of ratings: the measure of popularity.
    pub(crate) rating_count: u64,
    pub(crate) rating: f32,
}

impl<'a> Document<'a> {
    /// Returns the names of all people.
    pub(crate) fn people(&self) -> impl Iterator<Item = &'a str> {
        [&self.directors, &self.cast, &self.writers].into_iter().flatten().copied()
    }
}

/// Access to the documents of the version that is searched.
pub(crate) trait Documents {
    /// Returns the id of a document. It decides the order of hits that are equal in score and popularity.
    fn id(&self, key: u64) -> &str;

    /// Returns whether [`matches`](Self::matches) is needed: false if it is true for all documents.
    fn is_filtered(&self) -> bool {
        false
    }

    /// Returns whether a document meets the conditions that the index does not know of.
    fn matches(&self, _key: u64) -> bool {
        true
    }
}

/// Popularity of a document; the greater, the earlier in the results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Popularity(u32);

impl Popularity {
    /// Returns the popularity by the number of ratings, damped, then by the rating.
    #[must_use]
    #[expect(
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "the casts saturate; the logarithm needs no more digits"
    )]
    pub(crate) fn new(rating_count: u64, rating: f32) -> Self {
        // Steps of about 4 %. NaN becomes 0.
        let steps = ((rating_count as f64 + 1.0).log2() * 16.0) as u16;
        let rating = (rating * 100.0) as u16;
        Self(u32::from(steps) << 16 | u32::from(rating))
    }
}
