//! Columnar copies of the fields that queries filter and sort by. A search over a million movies reads little memory,
//! sequentially.

use std::collections::BTreeMap;

use crate::catalogue::encoding::frame::MovieView;
use crate::catalogue::filter::Filter;
use crate::catalogue::order::{NOT_RATED, OrderBy, SortKey, SortValues, title_prefix};
use crate::movie::Field;

/// A set of movies of a segment: one bit for each movie, by its number in the columns.
pub(crate) type Bitset = Vec<u64>;

/// The columns of a segment. A movie has the same number in all of them.
#[derive(Debug)]
pub(crate) struct Columns {
    /// The keys of the movies in their segment.
    pub(crate) keys: Box<[u16]>,
    /// Years; 0 if not known.
    years: Box<[u16]>,
    /// Ratings; [`NOT_RATED`] if the movie has none.
    ratings: Box<[f32]>,
    /// Prefixes of the titles; see [`title_prefix`].
    titles: Box<[u64]>,
    directors: Box<[u32]>,
    genres: Terms,
    countries: Terms,
    languages: Terms,
}

impl Columns {
    /// Makes the columns of movies, each with its key.
    pub(crate) fn of<'a>(movies: impl Iterator<Item = (u16, MovieView<'a>)>) -> Self {
        let (keys, movies): (Vec<_>, Vec<_>) = movies.unzip();
        let terms = |field| Terms::of(&movies, field);
        Self {
            years: movies.iter().map(|movie| u16::try_from(movie.year()).unwrap_or_default()).collect(),
            ratings: movies.iter().map(|movie| movie.rating().unwrap_or(NOT_RATED)).collect(),
            titles: movies.iter().map(|movie| title_prefix(movie.title)).collect(),
            directors: movies.iter().map(|movie| hash(movie.director)).collect(),
            genres: terms(Field::Genres),
            countries: terms(Field::Countries),
            languages: terms(Field::Languages),
            keys: keys.into(),
        }
    }

    /// Returns the sort key of a movie.
    pub(crate) fn sort_key(&self, by: OrderBy, number: usize) -> SortKey {
        let (title, year, rating) = (self.titles[number], self.years[number].into(), self.ratings[number]);
        by.sort_key(&SortValues { title, year, rating })
    }

    /// Returns the movies that match a filter; `director` returns the director of the movie with a key.
    pub(crate) fn matching<'a>(&self, filter: &Filter, director: impl Fn(u16) -> &'a str) -> Bitset {
        let mut bits = vec![0; self.keys.len().div_ceil(64)];
        set(&mut bits, self.keys.iter().map(|_| true));
        let mut keep =
            |column: &[u64]| bits.iter_mut().zip(column).for_each(|(bits, matches)| *bits &= matches);
        let mut column = vec![0; self.keys.len().div_ceil(64)];
        if filter.has_year_bound() {
            set(&mut column, self.years.iter().map(|year| filter.matches_year(u32::from(*year))));
            keep(&column);
        }
        if let Some(least) = filter.rating_min {
            set(&mut column, self.ratings.iter().map(|rating| *rating >= least));
            keep(&column);
        }
        for (terms, wanted) in [
            (&self.genres, &filter.genres),
            (&self.countries, &filter.countries),
            (&self.languages, &filter.languages),
        ] {
            if !wanted.is_empty() {
                column.fill(0);
                terms.add(wanted, &mut column);
                keep(&column);
            }
        }
        if !filter.director.is_empty() {
            let hash = hash(&filter.director);
            let is_it = |key| director(key) == filter.director;
            let directors = self.directors.iter().zip(&self.keys);
            set(&mut column, directors.map(|(other, key)| *other == hash && is_it(*key)));
            keep(&column);
        }
        bits
    }
}

fn hash(text: &str) -> u32 {
    // 32 bits exclude nearly all other directors; equal hashes are compared in full.
    (xxhash_rust::xxh3::xxh3_64(text.as_bytes()) >> 32) as u32
}

fn set(bits: &mut [u64], movies: impl Iterator<Item = bool>) {
    bits.fill(0);
    for (number, matches) in movies.enumerate() {
        bits[number / 64] |= u64::from(matches) << (number % 64);
    }
}

/// Returns the numbers of the bits that are set, in ascending order.
pub(crate) fn numbers(bits: &[u64]) -> impl Iterator<Item = usize> {
    bits.iter().enumerate().flat_map(|(word, bits)| {
        let mut rest = *bits;
        std::iter::from_fn(move || {
            let bit = rest.trailing_zeros() as usize;
            rest = rest.checked_sub(1).map(|less| rest & less)?;
            Some(word * 64 + bit)
        })
    })
}

/// An inverted index of one field: which movies have each term.
#[derive(Debug)]
struct Terms {
    /// The terms in ascending order.
    terms: Box<[Box<str>]>,
    /// For each term, the movies that have it.
    movies: Box<[Bitset]>,
}

impl Terms {
    fn of(movies: &[MovieView<'_>], field: Field) -> Self {
        let mut terms = BTreeMap::new();
        for (number, movie) in movies.iter().enumerate() {
            for term in movie.details.texts(field) {
                let bits: &mut Bitset =
                    terms.entry(term).or_insert_with(|| vec![0; movies.len().div_ceil(64)]);
                bits[number / 64] |= 1 << (number % 64);
            }
        }
        let (terms, movies): (Vec<Box<str>>, Vec<_>) =
            terms.into_iter().map(|(term, bits)| (term.into(), bits)).unzip();
        Self { terms: terms.into(), movies: movies.into() }
    }

    /// Adds to `bits` the movies that have any of these terms.
    fn add(&self, terms: &[String], bits: &mut Bitset) {
        for term in terms {
            if let Ok(index) = self.terms.binary_search_by(|other| (**other).cmp(term.as_str())) {
                bits.iter_mut().zip(&self.movies[index]).for_each(|(bits, has)| *bits |= has);
            }
        }
    }
}
