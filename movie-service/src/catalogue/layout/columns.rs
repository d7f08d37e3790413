//! Columnar copies of the fields that queries filter and sort by. A list over a million movies reads little memory,
//! sequentially.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::OnceLock;

use xxhash_rust::xxh3::xxh3_64;

use crate::catalogue::collation;
use crate::catalogue::encoding::frame::MovieView;
use crate::catalogue::filter::{self, Filter};
use crate::catalogue::fold::{fold, fold_starts_with};
use crate::catalogue::order::{NOT_RATED, OrderField, SortKey, rating_key, year_key};
use crate::movie::Field;

/// A set of movies of a segment: one bit for each movie, by its number in the columns.
pub(crate) type Bitset = Vec<u64>;

/// The columns of a segment. A movie has the same number in all of them.
///
/// Columns that few queries use are built on first use. Their methods have a parameter `movie`, which returns the movie with
/// a key.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    /// The keys of the movies in their segment.
    pub(crate) keys: Box<[u16]>,
    /// Years; 0 if not known.
    years: Box<[u16]>,
    /// Ratings; [`NOT_RATED`] if the movie has none.
    ratings: Box<[f32]>,
    genres: Terms,
    countries: Terms,
    languages: Terms,
    directors: OnceLock<Names>,
    cast: OnceLock<Names>,
    rating_counts: OnceLock<Box<[SortKey]>>,
    create_times: OnceLock<Box<[SortKey]>>,
    update_times: OnceLock<Box<[SortKey]>>,
    /// The numbers of the movies, in the order of their titles.
    by_title: OnceLock<Box<[u16]>>,
}

impl Columns {
    /// Makes the columns of movies, each with its key.
    pub(crate) fn of<'a>(movies: impl Iterator<Item = (u16, MovieView<'a>)>) -> Self {
        let (keys, movies): (Vec<_>, Vec<_>) = movies.unzip();
        let terms = |field| Terms::of(&movies, field);
        Self {
            years: movies.iter().map(|movie| u16::try_from(movie.year()).unwrap_or_default()).collect(),
            ratings: movies.iter().map(|movie| movie.rating().unwrap_or(NOT_RATED)).collect(),
            genres: terms(Field::Genres),
            countries: terms(Field::Countries),
            languages: terms(Field::Languages),
            keys: keys.into(),
            ..Self::default()
        }
    }

    /// Returns the sort key of a movie, as [`OrderField::sort_key`] does.
    pub(crate) fn sort_key<'a>(
        &self,
        field: OrderField,
        number: usize,
        movie: impl Fn(u16) -> MovieView<'a>,
    ) -> SortKey {
        let of_column = |column: &OnceLock<Box<[SortKey]>>| {
            let keys = || self.keys.iter().map(|key| field.sort_key(&movie(*key))).collect();
            column.get_or_init(keys)[number]
        };
        match field {
            OrderField::Title => 0,
            OrderField::Year => year_key(self.years[number].into()),
            OrderField::Rating => rating_key(self.ratings[number]),
            OrderField::RatingCount => of_column(&self.rating_counts),
            OrderField::CreateTime => of_column(&self.create_times),
            OrderField::UpdateTime => of_column(&self.update_times),
        }
    }

    /// Returns the numbers of the movies, in the order of their titles.
    pub(crate) fn by_title<'a>(&self, movie: impl Fn(u16) -> MovieView<'a>) -> &[u16] {
        self.by_title.get_or_init(|| {
            let mut numbers: Vec<u16> = (0..).take(self.keys.len()).collect();
            numbers.sort_by_cached_key(|number| {
                collation::sort_key(movie(self.keys[usize::from(*number)]).title)
            });
            numbers.into()
        })
    }

    /// Returns the movies that match a filter.
    pub(crate) fn matching<'a>(&self, filter: &Filter, movie: impl Fn(u16) -> MovieView<'a>) -> Bitset {
        let words = self.keys.len().div_ceil(64);
        let mut bits = vec![0; words];
        set(&mut bits, self.keys.iter().map(|_| true));
        let mut column = vec![0; words];
        if filter.restricts_year() {
            set(&mut column, self.years.iter().map(|year| filter.matches_year(u32::from(*year))));
            keep(&mut bits, &column);
        }
        if let Some(least) = filter.rating_min {
            set(&mut column, self.ratings.iter().map(|rating| *rating >= least));
            keep(&mut bits, &column);
        }
        for (terms, wanted) in [
            (&self.genres, &filter.genres),
            (&self.countries, &filter.countries),
            (&self.languages, &filter.languages),
        ] {
            if !wanted.is_empty() {
                column.fill(0);
                terms.add(wanted, &mut column);
                keep(&mut bits, &column);
            }
        }
        // Of the movies that match so far, the rest compares the texts.
        let movie = |number: usize| movie(self.keys[number]);
        if !filter.director.is_empty() {
            let names = || self.names(|number| filter::directors(movie(number).director));
            let numbers = self.directors.get_or_init(names).movies_of(&filter.director);
            retain(&mut bits, numbers, |number| filter::is_directed_by(&movie(number), &filter.director));
        }
        for name in &filter.cast {
            let names = || self.names(|number| movie(number).details.texts(Field::Cast));
            let numbers = self.cast.get_or_init(names).movies_of(name);
            retain(&mut bits, numbers, |number| filter::has_text(&movie(number), Field::Cast, name));
        }
        if !filter.title_prefix.is_empty() {
            let begins = |number| fold_starts_with(movie(number).title, &filter.title_prefix);
            retain(&mut bits, 0..self.keys.len(), begins);
        }
        bits
    }

    /// Returns the names that `of` returns for each movie.
    fn names<'a, I: Iterator<Item = &'a str>>(&self, of: impl Fn(usize) -> I) -> Names {
        Names::of((0..self.keys.len()).flat_map(|number| of(number).map(move |name| (number, name))))
    }
}

/// Removes the movies that are not among `numbers`, and those for which `is_wanted` returns `false`.
fn retain(bits: &mut Bitset, numbers: impl Iterator<Item = usize>, is_wanted: impl Fn(usize) -> bool) {
    let mut kept = vec![0; bits.len()];
    for number in numbers.filter(|number| has(bits, *number) && is_wanted(*number)) {
        kept[number / 64] |= 1 << (number % 64);
    }
    *bits = kept;
}

/// Removes the movies that are not in `column`.
fn keep(bits: &mut [u64], column: &[u64]) {
    bits.iter_mut().zip(column).for_each(|(bits, matches)| *bits &= matches);
}

fn set(bits: &mut [u64], movies: impl Iterator<Item = bool>) {
    bits.fill(0);
    for (number, matches) in movies.enumerate() {
        bits[number / 64] |= u64::from(matches) << (number % 64);
    }
}

/// Returns whether a set has a movie.
pub(crate) fn has(bits: &[u64], number: usize) -> bool {
    bits[number / 64] >> (number % 64) & 1 == 1
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

/// An inverted index of a field with few distinct texts: which movies have each one.
#[derive(Debug, Default)]
struct Terms {
    /// The folded texts in ascending order.
    terms: Box<[Box<str>]>,
    /// For each term, the movies that have it.
    movies: Box<[Bitset]>,
}

impl Terms {
    fn of(movies: &[MovieView<'_>], field: Field) -> Self {
        let words = movies.len().div_ceil(64);
        let mut texts = BTreeMap::<&str, Bitset>::new();
        for (number, movie) in movies.iter().enumerate() {
            for text in movie.details.texts(field) {
                texts.entry(text).or_insert_with(|| vec![0; words])[number / 64] |= 1 << (number % 64);
            }
        }
        // Each distinct text is folded once.
        let mut terms = BTreeMap::<Cow<'_, str>, Bitset>::new();
        for (text, movies) in texts {
            let bits = terms.entry(fold(text)).or_insert_with(|| vec![0; words]);
            bits.iter_mut().zip(movies).for_each(|(bits, has)| *bits |= has);
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

/// An inverted index of a field with many distinct texts, which are hashed.
///
/// Each text of each movie is one number: 48 bits of the hash of the folded text, then the number of the movie. The numbers
/// are in ascending order.
#[derive(Debug, Default)]
struct Names(Box<[u64]>);

impl Names {
    /// The bits that are the number of a movie.
    const MOVIE: u64 = 0xffff;

    /// Makes the index of names, each with the number of a movie.
    fn of<'a>(names: impl Iterator<Item = (usize, &'a str)>) -> Self {
        let mut names: Vec<_> = names.map(|(number, name)| Self::hash(&fold(name)) | number as u64).collect();
        names.sort_unstable();
        Self(names.into())
    }

    /// Returns the numbers of the movies that have a folded name, and possibly of some that have not: the rest of the hash
    /// is not compared.
    fn movies_of(&self, folded: &str) -> impl Iterator<Item = usize> {
        let hash = Self::hash(folded);
        let start = self.0.partition_point(|name| *name < hash);
        let names = self.0[start..].iter().take_while(move |name| **name & !Self::MOVIE == hash);
        names.map(|name| usize::try_from(name & Self::MOVIE).unwrap_or_default())
    }

    fn hash(folded: &str) -> u64 {
        xxh3_64(folded.as_bytes()) & !Self::MOVIE
    }
}
