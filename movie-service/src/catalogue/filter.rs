//! Filters: select the movies that a query lists.

use crate::catalogue::encoding::frame::MovieView;
use crate::movie::Field;

/// Selects movies. A movie matches if it matches every field that is set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// The earliest year; 0 for no lower bound.
    pub year_from: u32,
    /// The latest year; 0 for no upper bound.
    pub year_to: u32,
    /// The lowest rating; `None` for no bound.
    pub rating_min: Option<f32>,
    /// At least one of these genres; empty for any.
    pub genres: Vec<String>,
    /// At least one of these countries; empty for any.
    pub countries: Vec<String>,
    /// At least one of these languages; empty for any.
    pub languages: Vec<String>,
    /// This director; empty for any.
    pub director: String,
}

impl Filter {
    /// Returns whether all movies match.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns whether the filter bounds the year.
    pub(crate) fn has_year_bound(&self) -> bool {
        self.year_from > 0 || self.year_to > 0
    }

    /// Returns whether a year is within the bounds. An unknown one is not.
    pub(crate) fn matches_year(&self, year: u32) -> bool {
        year > 0 && year >= self.year_from && (self.year_to == 0 || year <= self.year_to)
    }

    /// Returns whether a movie matches.
    #[must_use]
    pub fn matches(&self, movie: &MovieView<'_>) -> bool {
        let any = |wanted: &[String], field| {
            wanted.is_empty()
                || movie.details.texts(field).any(|text| wanted.iter().any(|wanted| wanted == text))
        };
        (!self.has_year_bound() || self.matches_year(movie.year()))
            && self.rating_min.is_none_or(|least| movie.rating().is_some_and(|rating| rating >= least))
            && any(&self.genres, Field::Genres)
            && any(&self.countries, Field::Countries)
            && any(&self.languages, Field::Languages)
            && (self.director.is_empty() || self.director == movie.director)
    }
}
