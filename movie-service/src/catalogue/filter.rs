//! Filters: select the movies that a query lists.

use std::iter;
use std::sync::LazyLock;

use crate::catalogue::encoding::frame::MovieView;
use crate::catalogue::fold::{fold_starts_with, folds_to};
use crate::movie::Field;

/// What separates the names in the field `director`.
const NAME_SEPARATOR: &str = ", ";

/// The decades that a movie can be of, by the rule of [`Field::Year`]: the first year of the first one, and their number.
const FIRST_DECADE: u32 = 1870;
const DECADE_COUNT: u32 = 34;

/// The first years of the decades, as texts.
static DECADES: LazyLock<Vec<String>> =
    LazyLock::new(|| (0..DECADE_COUNT).map(|number| (FIRST_DECADE + 10 * number).to_string()).collect());

/// Selects movies. A movie matches if it matches every field that is set.
///
/// All texts are folded (see [`fold`](crate::catalogue::fold::fold)), and are compared with the folded texts of movies.
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
    /// The director, or one of several; empty for any.
    pub director: String,
    /// All of these people in the cast; empty for any.
    pub cast: Vec<String>,
    /// The start of the title; empty for any.
    pub title_prefix: String,
    /// One of these decades, each given as its first year; empty for any.
    pub decades: Vec<u32>,
}

impl Filter {
    /// Returns whether all movies match.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns whether the filter restricts the year.
    pub(crate) fn restricts_year(&self) -> bool {
        self.year_from > 0 || self.year_to > 0 || !self.decades.is_empty()
    }

    /// Returns the earliest and the latest year.
    pub(crate) fn years(&self) -> (u16, u16) {
        let year = |year| u16::try_from(year).unwrap_or(u16::MAX);
        (year(self.year_from).max(1), if self.year_to == 0 { u16::MAX } else { year(self.year_to) })
    }

    /// Returns whether a year matches. An unknown one does not.
    pub(crate) fn matches_year(&self, year: u32) -> bool {
        year > 0
            && year >= self.year_from
            && (self.year_to == 0 || year <= self.year_to)
            && (self.decades.is_empty() || self.decades.contains(&(year - year % 10)))
    }

    /// Returns whether a movie matches.
    #[must_use]
    pub fn matches(&self, movie: &MovieView<'_>) -> bool {
        let any = |wanted: &[String], field| {
            wanted.is_empty() || wanted.iter().any(|wanted| has_text(movie, field, wanted))
        };
        (!self.restricts_year() || self.matches_year(movie.year()))
            && self.rating_min.is_none_or(|least| movie.rating().is_some_and(|rating| rating >= least))
            && any(&self.genres, Field::Genres)
            && any(&self.countries, Field::Countries)
            && any(&self.languages, Field::Languages)
            && (self.director.is_empty() || is_directed_by(movie, &self.director))
            && self.cast.iter().all(|wanted| has_text(movie, Field::Cast, wanted))
            && (self.title_prefix.is_empty() || fold_starts_with(movie.title, &self.title_prefix))
    }
}

/// Returns whether one of the texts of a field folds to `folded`.
pub(crate) fn has_text(movie: &MovieView<'_>, field: Field, folded: &str) -> bool {
    movie.details.texts(field).any(|text| folds_to(text, folded))
}

/// Returns whether a director of a movie folds to `folded`.
pub(crate) fn is_directed_by(movie: &MovieView<'_>, folded: &str) -> bool {
    directors(movie.director).any(|name| folds_to(name, folded))
}

/// Returns the names of the directors.
pub(crate) fn director_names(director: &str) -> impl Iterator<Item = &str> {
    director.split(NAME_SEPARATOR).filter(|name| !name.is_empty())
}

/// Returns the texts of which a filter by director needs one: the names, and if there are several, also all of them as they are
/// displayed.
pub(crate) fn directors(director: &str) -> impl Iterator<Item = &str> {
    let names = director_names(director).filter(move |name| name.len() < director.len());
    iter::once(director).filter(|director| !director.is_empty()).chain(names)
}

/// Returns the decade of a year, as the text of its first year; `None` if the year is not known.
pub(crate) fn decade(year: u32) -> Option<&'static str> {
    let number = year.checked_sub(FIRST_DECADE)? / 10;
    DECADES.get(usize::try_from(number).ok()?).map(String::as_str)
}

/// Returns the decades that overlap a range of years; 0 is an open end. Empty if both ends are open.
pub(crate) fn decades_between(from: u32, to: u32) -> Vec<String> {
    if from == 0 && to == 0 {
        return Vec::new();
    }
    let to = if to == 0 { u32::MAX } else { to };
    let years = DECADES.iter().zip((FIRST_DECADE..).step_by(10));
    years.filter(|(_, first)| *first <= to && first + 9 >= from).map(|(decade, _)| decade.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::movie::Rule;

    #[test]
    fn every_valid_year_has_a_decade() {
        let Rule::Number { min, max } = Field::Year.rule() else { panic!("a year is a number") };
        let [min, max] = [min, max].map(|year| u32::try_from(year).unwrap());
        for year in min..=max {
            assert_eq!(decade(year), Some(&*(year / 10 * 10).to_string()));
        }
        assert_eq!((decade(0), decade(min / 10 * 10 - 1), decade(max / 10 * 10 + 10)), (None, None, None));
    }

    #[test]
    fn a_director_is_one_name_or_all_of_them() {
        assert_eq!(director_names("A B, , C").collect::<Vec<_>>(), ["A B", "C"]);
        assert_eq!(directors("A B, C").collect::<Vec<_>>(), ["A B, C", "A B", "C"]);
        assert_eq!(directors("A B").collect::<Vec<_>>(), ["A B"]);
        assert_eq!((director_names("").count(), directors("").count()), (0, 0));
    }
}
