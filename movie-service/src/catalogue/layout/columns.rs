//! Columnar copies of the fields that queries filter and sort by. A list over a million movies reads little memory,
//! sequentially.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use xxhash_rust::xxh3::xxh3_64;

use crate::catalogue::encoding::frame::MovieView;
use crate::catalogue::filter::{self, Filter};
use crate::catalogue::fold::{fold, fold_starts_with};
use crate::catalogue::layout::bitset::{self, Bitset, has};
use crate::catalogue::layout::ratings::Ratings;
use crate::catalogue::layout::title_ranks::TitleRanks;
use crate::catalogue::order::{KeyRange, NOT_RATED, OrderBy, OrderField, SortKey, rating_key, year_key};
use crate::movie::Field;

/// The columns of a segment. A movie has the same number in all of them.
///
/// Columns that few queries use are built on first use. Their methods have a parameter `movie`, which returns the movie with
/// a key.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    /// The keys of the movies in their segment.
    pub(crate) keys: Arc<[u16]>,
    /// Years; 0 if not known. Empty if none is known.
    years: Box<[u16]>,
    ratings: Ratings,
    genres: Terms,
    countries: Terms,
    languages: Terms,
    directors: OnceLock<Names>,
    cast: OnceLock<Names>,
    rating_counts: OnceLock<Box<[SortKey]>>,
    create_times: OnceLock<Box<[SortKey]>>,
    update_times: OnceLock<Box<[SortKey]>>,
    /// The ranks of the titles.
    titles: OnceLock<Box<[u16]>>,
}

impl Columns {
    /// Makes the columns of movies with these keys.
    pub(crate) fn of(keys: Arc<[u16]>, movies: &[MovieView<'_>]) -> Self {
        let terms = |field| Terms::of(movies, field);
        let years: Box<[u16]> =
            movies.iter().map(|movie| u16::try_from(movie.year()).unwrap_or_default()).collect();
        Self {
            years: if years.iter().any(|year| *year > 0) { years } else { Box::default() },
            ratings: movies.iter().map(|movie| movie.rating().unwrap_or(NOT_RATED)).collect(),
            genres: terms(Field::Genres),
            countries: terms(Field::Countries),
            languages: terms(Field::Languages),
            keys,
            ..Self::default()
        }
    }

    /// Returns the memory that the columns take, without the keys and those that few queries use, in bytes.
    #[cfg(test)]
    pub(crate) fn size(&self) -> usize {
        let titles = self.titles.get().map_or(0, |titles| size_of_val(&**titles));
        let terms = [&self.genres, &self.countries, &self.languages].map(Terms::size);
        size_of::<Self>()
            + size_of_val(&*self.years)
            + self.ratings.size()
            + titles
            + terms.iter().sum::<usize>()
    }

    /// Returns the sort key of a movie, as [`OrderField::sort_key`] does.
    pub(crate) fn sort_key<'a>(
        &self,
        field: OrderField,
        number: usize,
        ranks: &TitleRanks,
        movie: impl Fn(u16) -> MovieView<'a>,
    ) -> SortKey {
        match field {
            OrderField::Title => self.titles(ranks, movie)[number].into(),
            OrderField::Year => year_key(self.years.get(number).copied().unwrap_or_default().into()),
            OrderField::Rating => rating_key(self.ratings.get(number)),
            OrderField::RatingCount | OrderField::CreateTime | OrderField::UpdateTime => {
                self.rare_keys(field, movie)[number]
            }
        }
    }

    /// Removes the movies whose sort key is not in a range, and possibly not all of them.
    pub(crate) fn retain_keys<'a>(
        &self,
        bits: &mut Bitset,
        by: OrderBy,
        range: &KeyRange,
        ranks: &TitleRanks,
        movie: impl Fn(u16) -> MovieView<'a>,
    ) {
        let (lowest, highest, with_unknown) = by.undirected(range);
        let narrow = |key: SortKey| u16::try_from(key).unwrap_or(u16::MAX);
        match by.field {
            OrderField::Title => {
                let (lowest, highest) = (narrow(lowest), narrow(highest));
                bitset::retain(bits, self.titles(ranks, movie), |rank| rank >= lowest && rank <= highest);
            }
            OrderField::Year => {
                // An unknown year is 0.
                let (lowest, highest) = (narrow(lowest.max(1)), narrow(highest));
                self.retain_years(bits, |year| {
                    (year >= lowest && year <= highest) || (with_unknown && year == 0)
                });
            }
            OrderField::Rating => {
                let bits_of =
                    |key: SortKey| u32::try_from(key).unwrap_or(u32::MAX).min(f32::INFINITY.to_bits());
                let [lowest, highest] = [lowest, highest].map(|key| f32::from_bits(bits_of(key)));
                self.ratings.retain(bits, lowest, highest, with_unknown);
            }
            OrderField::RatingCount | OrderField::CreateTime | OrderField::UpdateTime => {
                bitset::retain(bits, self.rare_keys(by.field, movie), |key| {
                    range.contains(&by.directed(key))
                });
            }
        }
    }

    /// Removes the movies whose years are not wanted.
    fn retain_years(&self, bits: &mut Bitset, is_wanted: impl Fn(u16) -> bool) {
        if !self.years.is_empty() {
            bitset::retain(bits, &self.years, is_wanted);
        } else if !is_wanted(0) {
            bits.fill(0);
        }
    }

    /// Returns the ranks of the titles.
    pub(crate) fn titles<'a>(&self, ranks: &TitleRanks, movie: impl Fn(u16) -> MovieView<'a>) -> &[u16] {
        self.titles.get_or_init(|| self.keys.iter().map(|key| ranks.rank(movie(*key).title)).collect())
    }

    /// Returns the sort keys of a field that few queries sort by.
    fn rare_keys<'a>(&self, field: OrderField, movie: impl Fn(u16) -> MovieView<'a>) -> &[SortKey] {
        let column = match field {
            OrderField::RatingCount => &self.rating_counts,
            OrderField::CreateTime => &self.create_times,
            OrderField::Title | OrderField::Year | OrderField::Rating | OrderField::UpdateTime => {
                &self.update_times
            }
        };
        column.get_or_init(|| self.keys.iter().map(|key| field.sort_key(&movie(*key))).collect())
    }

    /// Makes `bits` the set of the movies that match a filter.
    pub(crate) fn matching<'a>(
        &self,
        filter: &Filter,
        movie: impl Fn(u16) -> MovieView<'a>,
        bits: &mut Bitset,
    ) {
        bitset::fill(bits, self.keys.len());
        if filter.restricts_year() {
            let (from, to) = filter.years();
            self.retain_years(bits, |year| year >= from && year <= to);
            if !filter.decades.is_empty() {
                self.retain_years(bits, |year| filter.matches_year(year.into()));
            }
        }
        if let Some(least) = filter.rating_min {
            self.ratings.retain(bits, least, f32::INFINITY, least <= NOT_RATED);
        }
        for (terms, wanted) in [
            (&self.genres, &filter.genres),
            (&self.countries, &filter.countries),
            (&self.languages, &filter.languages),
        ] {
            if !wanted.is_empty() {
                terms.retain(wanted, bits);
            }
        }
        // Of the movies that match so far, the rest compares the texts.
        let movie = |number: usize| movie(self.keys[number]);
        if !filter.director.is_empty() {
            let names = || self.names(|number| filter::directors(movie(number).director));
            let numbers = self.directors.get_or_init(names).movies_of(&filter.director);
            retain(bits, numbers, |number| filter::is_directed_by(&movie(number), &filter.director));
        }
        for name in &filter.cast {
            let names = || self.names(|number| movie(number).details.texts(Field::Cast));
            let numbers = self.cast.get_or_init(names).movies_of(name);
            retain(bits, numbers, |number| filter::has_text(&movie(number), Field::Cast, name));
        }
        if !filter.title_prefix.is_empty() {
            let begins = |number| fold_starts_with(movie(number).title, &filter.title_prefix);
            retain(bits, 0..self.keys.len(), begins);
        }
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
            bitset::unite(bits, &movies);
        }
        let (terms, movies): (Vec<Box<str>>, Vec<_>) =
            terms.into_iter().map(|(term, bits)| (term.into(), bits)).unzip();
        Self { terms: terms.into(), movies: movies.into() }
    }

    /// Returns the memory that the terms and their sets take, in bytes.
    #[cfg(test)]
    fn size(&self) -> usize {
        let terms = self.terms.iter().map(|term| size_of_val(term) + term.len());
        terms.chain(self.movies.iter().map(|movies| size_of_val(movies) + size_of_val(&**movies))).sum()
    }

    /// Removes the movies that have none of these terms.
    fn retain(&self, terms: &[String], bits: &mut Bitset) {
        let mut found = terms.iter().filter_map(|term| self.movies_of(term));
        match (found.next(), found.next()) {
            (Some(only), None) => bitset::intersect(bits, only),
            (one, other) => {
                let mut any = vec![0; bits.len()];
                one.into_iter().chain(other).chain(found).for_each(|movies| bitset::unite(&mut any, movies));
                bitset::intersect(bits, &any);
            }
        }
    }

    fn movies_of(&self, term: &str) -> Option<&Bitset> {
        let index = self.terms.binary_search_by(|other| (**other).cmp(term)).ok()?;
        Some(&self.movies[index])
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
