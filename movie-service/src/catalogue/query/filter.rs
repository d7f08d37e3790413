//! Filters and sort orders.

use std::cmp::Ordering;

use crate::catalogue::encoding::details::Details;
use crate::catalogue::encoding::frame::Movie;

/// Which movies: those that fit every field that is set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// The first year; 0 if there is no such bound.
    pub year_from: u32,
    /// The last year; 0 if there is no such bound.
    pub year_to: u32,
    /// The lowest rating.
    pub rating_min: Option<f32>,
    /// Any of these genres.
    pub genres: Vec<String>,
    /// Any of these countries.
    pub countries: Vec<String>,
    /// Any of these languages.
    pub languages: Vec<String>,
    /// This director; empty for any.
    pub director: String,
}

/// What movies are ordered by, the most important first; then they are ordered by their id. Empty means listing
/// order.
pub type Order = Vec<By>;

/// One thing that movies are ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct By {
    /// The field.
    pub field: Field,
    /// Whether the highest comes first. What is not known comes last in either case.
    pub descending: bool,
}

/// A field that movies can be ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The title, by its code points.
    Title,
    /// The year.
    Year,
    /// The rating.
    Rating,
}

impl Filter {
    /// Returns whether all movies fit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn is_of_some_years(&self) -> bool {
        self.year_from > 0 || self.year_to > 0
    }

    pub(crate) fn fits_year(&self, year: u32) -> bool {
        year > 0 && year >= self.year_from && (self.year_to == 0 || year <= self.year_to)
    }

    /// Returns whether a movie fits.
    #[must_use]
    pub fn fits(&self, movie: &Movie<'_>) -> bool {
        let details = Details(movie.details);
        let any = |wanted: &[String], mut has: Box<dyn Iterator<Item = &str> + '_>| {
            wanted.is_empty() || has.any(|word| wanted.iter().any(|wanted| wanted == word))
        };
        (!self.is_of_some_years() || self.fits_year(details.year()))
            && self.rating_min.is_none_or(|least| movie.rated().is_some_and(|rating| rating >= least))
            && any(&self.genres, Box::new(details.genres()))
            && any(&self.countries, Box::new(details.countries()))
            && any(&self.languages, Box::new(details.languages()))
            && (self.director.is_empty() || self.director == movie.director)
    }
}

/// Order-preserving 64-bit key of a field. Different titles may share a key.
pub(crate) type SortKey = u64;

/// What ranks are made of.
pub(crate) struct Ranked {
    /// How the title starts, see [`start_of`].
    pub(crate) title: u64,
    /// 0 if it is not known.
    pub(crate) year: u32,
    /// [`NOT_RATED`] if there is none.
    pub(crate) rating: f32,
}

/// Stands for no rating: less than every rating, as none is below 0.
pub(crate) const NOT_RATED: f32 = -1.0;

/// Returns the first eight bytes of a title as a number that is ordered like them.
pub(crate) fn start_of(title: &str) -> u64 {
    let mut start = [0; 8];
    let length = title.len().min(8);
    start[..length].copy_from_slice(&title.as_bytes()[..length]);
    u64::from_be_bytes(start)
}

impl By {
    /// Returns the rank of a movie.
    pub(crate) fn sort_key_of(self, movie: &Movie<'_>) -> SortKey {
        self.sort_key(&Ranked {
            title: start_of(movie.title),
            year: Details(movie.details).year(),
            rating: movie.rated().unwrap_or(NOT_RATED),
        })
    }

    /// Returns the rank of a movie of which this is known.
    pub(crate) fn sort_key(self, movie: &Ranked) -> SortKey {
        match self.field {
            Field::Title => self.directed(movie.title),
            Field::Year => self.known(movie.year > 0, u64::from(movie.year)),
            Field::Rating => self.rating(movie.rating),
        }
    }

    /// Compares what the rank does not tell: the rest of the titles.
    pub(crate) fn compare_alike<'a>(
        self,
        one: impl Fn() -> &'a [u8],
        other: impl Fn() -> &'a [u8],
    ) -> Ordering {
        match (self.field, self.descending) {
            (Field::Title, false) => one().cmp(other()),
            (Field::Title, true) => other().cmp(one()),
            (Field::Year | Field::Rating, _) => Ordering::Equal,
        }
    }

    fn rating(self, rating: f32) -> SortKey {
        // Numbers that are not negative are ordered like their bits (IEEE 754, section 5.10).
        self.known(rating >= 0.0, u64::from(rating.abs().to_bits()))
    }

    fn known(self, is_known: bool, sort_key: SortKey) -> SortKey {
        if is_known { self.directed(sort_key) } else { SortKey::MAX }
    }

    fn directed(self, sort_key: SortKey) -> SortKey {
        // One less than the highest, which is for what is not known.
        if self.descending { SortKey::MAX - 1 - sort_key } else { sort_key }
    }
}
