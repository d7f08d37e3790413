//! Columnar copies of the fields that movies are filtered and sorted by, so that a search over a million of them
//! reads little memory, one piece after the other.

use crate::catalogue::encoding::details::Details;
use crate::catalogue::encoding::frame::Movie;
use crate::catalogue::query::filter::{By, Filter, NOT_RATED, Ranked, SortKey, start_of};

/// Movies of a segment, by their number in it: a bit for each.
pub(crate) type Bitset = Vec<u64>;

/// The columns of a segment. A movie has the same number in each.
#[derive(Debug)]
pub(crate) struct Columns {
    /// The movies' keys.
    pub(crate) keys: Box<[u16]>,
    /// 0 if it is not known.
    years: Box<[u16]>,
    /// Below 0 if there is none.
    ratings: Box<[f32]>,
    /// How each title starts, see [`start_of`].
    titles: Box<[u64]>,
    directors: Box<[u32]>,
    genres: Terms,
    countries: Terms,
    languages: Terms,
}

impl Columns {
    /// Makes the columns of movies, each with its key.
    pub(crate) fn of<'a>(movies: impl Iterator<Item = (u16, Movie<'a>)>) -> Self {
        let (keys, movies): (Vec<_>, Vec<_>) = movies.unzip();
        let details = |movie: &Movie<'_>| Details(movie.details).year();
        Self {
            years: movies.iter().map(|movie| u16::try_from(details(movie)).unwrap_or_default()).collect(),
            ratings: movies.iter().map(|movie| movie.rated().unwrap_or(NOT_RATED)).collect(),
            titles: movies.iter().map(|movie| start_of(movie.title)).collect(),
            directors: movies.iter().map(|movie| hash(movie.director)).collect(),
            genres: Terms::of(&movies, |movie| Details(movie.details).genres()),
            countries: Terms::of(&movies, |movie| Details(movie.details).countries()),
            languages: Terms::of(&movies, |movie| Details(movie.details).languages()),
            keys: keys.into(),
        }
    }

    /// Returns the sort key of a movie.
    pub(crate) fn sort_key(&self, by: By, number: usize) -> SortKey {
        let (title, year, rating) = (self.titles[number], self.years[number].into(), self.ratings[number]);
        by.sort_key(&Ranked { title, year, rating })
    }

    /// Returns which movies fit a filter; `director` returns that of the movie with a key.
    pub(crate) fn fitting<'a>(&self, filter: &Filter, director: impl Fn(u16) -> &'a str) -> Bitset {
        let mut bits = vec![0; self.keys.len().div_ceil(64)];
        set(&mut bits, self.keys.iter().map(|_| true));
        let mut keep = |fitting: &[u64]| bits.iter_mut().zip(fitting).for_each(|(bits, fits)| *bits &= fits);
        let mut column = vec![0; self.keys.len().div_ceil(64)];
        if filter.is_of_some_years() {
            set(&mut column, self.years.iter().map(|year| filter.fits_year(u32::from(*year))));
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
    for (number, fits) in movies.enumerate() {
        bits[number / 64] |= u64::from(fits) << (number % 64);
    }
}

/// Walks over the numbers of the bits that are set.
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

/// Which movies have each of some words: an inverted index.
#[derive(Debug)]
struct Terms {
    /// In order.
    words: Box<[Box<str>]>,
    /// For each word, which movies have it.
    movies: Box<[Bitset]>,
}

impl Terms {
    fn of<'a, I: Iterator<Item = &'a str>>(movies: &[Movie<'a>], words: impl Fn(&Movie<'a>) -> I) -> Self {
        let mut terms = std::collections::BTreeMap::new();
        for (number, movie) in movies.iter().enumerate() {
            for word in words(movie) {
                let bits: &mut Bitset =
                    terms.entry(word).or_insert_with(|| vec![0; movies.len().div_ceil(64)]);
                bits[number / 64] |= 1 << (number % 64);
            }
        }
        let (words, movies): (Vec<Box<str>>, Vec<_>) =
            terms.into_iter().map(|(word, bits)| (word.into(), bits)).unzip();
        Self { words: words.into(), movies: movies.into() }
    }

    /// Adds the movies that have any of these words.
    fn add(&self, words: &[String], bits: &mut Bitset) {
        for word in words {
            if let Ok(index) = self.words.binary_search_by(|other| (**other).cmp(word.as_str())) {
                bits.iter_mut().zip(&self.movies[index]).for_each(|(bits, has)| *bits |= has);
            }
        }
    }
}
