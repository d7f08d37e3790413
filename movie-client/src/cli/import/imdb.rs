//! IMDb's data sets: <https://developer.imdb.com/non-commercial-datasets/>.
//!
//! The movies are in `title.basics.tsv`. The related files in the same directory are optional, and may be compressed:
//! `title.ratings.tsv`; `title.crew.tsv` for the directors and the writers, and `title.principals.tsv` for the cast, both
//! with `name.basics.tsv`. In IMDb's files, quotes are part of the text, and `\N` is a missing value.

use std::collections::{HashMap, HashSet};

use super::source::Source;
use super::table::{self, Cell};
use super::{MAX_CAST, MAX_NAME_CHARS, MAX_TEXT_BYTES, MAX_WRITERS, Rows};
use crate::Movie;

/// Title types that are movies. The others are series, episodes, specials and games, which are the majority of the
/// titles.
const MOVIE_TITLE_TYPES: [&[u8]; 4] = [b"movie", b"tvMovie", b"video", b"short"];

/// Categories of `title.principals.tsv` that belong to the cast. `self` is a person in a documentary.
const CAST_CATEGORIES: [&[u8]; 3] = [b"actor", b"actress", b"self"];

/// Reads the movies with their ratings and people. Only the related data of these movies is kept in memory. If
/// related files exist, the titles are read twice, first for their ids.
///
/// # Errors
///
/// A file that is unreadable or lacks a column, or an error of `rows`.
pub(super) fn read(titles: Source, rows: Rows<'_>) -> anyhow::Result<()> {
    let related = RelatedData::read(&titles, rows)?;
    let names = ["tconst", "titleType", "primaryTitle", "startYear", "runtimeMinutes", "genres"];
    table::read(
        titles,
        names,
        ["originalTitle"],
        rows,
        |[id, kind, title, year, runtime, genres], [original]| {
            if !is_movie(kind) {
                return Ok(None);
            }
            let key = key(id, "tt")?;
            let genres = genres.value().map(Cell::text).transpose()?;
            let title = Some(title.text()?).filter(|title| *title != "\\N").unwrap_or_default();
            let original =
                original.value().map(Cell::text).transpose()?.filter(|original| *original != title);
            let rating = related.ratings.get(&key);
            let movie = Movie {
                id: id.text()?.to_owned(),
                title: title.to_owned(),
                original_title: original.unwrap_or_default().to_owned(),
                rating: rating.map(|rating| rating.mean),
                rating_count: rating.and_then(|rating| rating.count),
                director: related.director(key),
                cast: related.distinct_names(&related.cast, key, MAX_CAST),
                writers: related.distinct_names(&related.writers, key, MAX_WRITERS),
                year: year.value().map(Cell::whole).transpose()?,
                runtime_minutes: runtime.value().map(Cell::whole).transpose()?,
                genres: genres
                    .map(|genres| genres.split(',').map(str::to_owned).collect())
                    .unwrap_or_default(),
                ..Movie::default()
            };
            Ok(Some(movie))
        },
    )
}

fn is_movie(kind: Cell<'_>) -> bool {
    MOVIE_TITLE_TYPES.contains(&kind.bytes)
}

/// Returns the number in an id of IMDb, of a title (`tt0111161`) or a person (`nm0000151`).
fn key(cell: Cell<'_>, prefix: &str) -> Result<u32, String> {
    cell.parsed(&format!("{prefix} and a number"), |id| id.strip_prefix(prefix)?.parse().ok())
}

/// Data from the related files, by the numbers in the ids.
#[derive(Default)]
struct RelatedData {
    ratings: HashMap<u32, Rating>,
    directors: Credits,
    writers: Credits,
    cast: Credits,
    /// Names of the people, by person.
    names: HashMap<u32, Box<str>>,
}

struct Rating {
    mean: f32,
    count: Option<u64>,
}

/// People of titles, in the order of a file.
#[derive(Default)]
struct Credits(Vec<(u32, u32)>);

impl Credits {
    /// Adds the people in a cell: ids separated by commas. Adds none if an id is invalid.
    fn add(&mut self, title: u32, people: Cell<'_>) -> Result<(), String> {
        let before = self.0.len();
        for bytes in people.bytes.split(|byte| *byte == b',') {
            let person = key(Cell { bytes, ..people }, "nm").inspect_err(|_| self.0.truncate(before))?;
            self.0.push((title, person));
        }
        Ok(())
    }

    /// Sorts by title, after the last addition.
    fn sort(&mut self) {
        self.0.sort_by_key(|(title, _)| *title);
    }

    /// Returns the people of a title.
    fn of(&self, title: u32) -> impl Iterator<Item = u32> {
        let start = self.0.partition_point(|(other, _)| *other < title);
        self.0[start..].iter().take_while(move |(other, _)| *other == title).map(|(_, person)| *person)
    }
}

impl RelatedData {
    fn read(titles: &Source, rows: Rows<'_>) -> anyhow::Result<Self> {
        let mut related = Self::default();
        let ratings = titles.open_related("title.ratings.tsv", "ratings", rows)?;
        let crew = titles.open_related("title.crew.tsv", "directors and no writers", rows)?;
        let principals = titles.open_related("title.principals.tsv", "cast", rows)?;
        let names = titles.open_related("name.basics.tsv", "directors, no writers and no cast", rows)?;
        let has_people = names.is_some() && (crew.is_some() || principals.is_some());
        if ratings.is_none() && !has_people {
            return Ok(related);
        }
        let movies = movie_keys(titles.reopen()?)?;
        if let Some(ratings) = ratings {
            related.read_ratings(ratings, &movies, rows)?;
        }
        if let Some(names) = names.filter(|_| has_people) {
            if let Some(crew) = crew {
                related.read_crew(crew, &movies, rows)?;
            }
            if let Some(principals) = principals {
                related.read_cast(principals, &movies, rows)?;
            }
            related.read_names(names, rows)?;
        }
        Ok(related)
    }

    fn read_ratings(&mut self, ratings: Source, movies: &HashSet<u32>, rows: Rows<'_>) -> anyhow::Result<()> {
        table::read_related(
            ratings,
            ["tconst", "averageRating"],
            ["numVotes"],
            rows,
            |[title, rating], [votes]| {
                let title = key(title, "tt")?;
                if let Some(rating) = rating.value().filter(|_| movies.contains(&title)) {
                    let count = votes.value().map(Cell::whole).transpose()?;
                    self.ratings.insert(title, Rating { mean: rating.number()?, count });
                }
                Ok(())
            },
        )
    }

    fn read_crew(&mut self, crew: Source, movies: &HashSet<u32>, rows: Rows<'_>) -> anyhow::Result<()> {
        table::read_related(
            crew,
            ["tconst", "directors"],
            ["writers"],
            rows,
            |[title, directors], [writers]| {
                let title = key(title, "tt")?;
                if movies.contains(&title) {
                    directors.value().map(|people| self.directors.add(title, people)).transpose()?;
                    writers.value().map(|people| self.writers.add(title, people)).transpose()?;
                }
                Ok(())
            },
        )?;
        self.directors.sort();
        self.writers.sort();
        Ok(())
    }

    fn read_cast(&mut self, principals: Source, movies: &HashSet<u32>, rows: Rows<'_>) -> anyhow::Result<()> {
        let names = ["tconst", "nconst", "category"];
        table::read_related(principals, names, [], rows, |[title, person, category], []| {
            let title = key(title, "tt")?;
            if movies.contains(&title) && CAST_CATEGORIES.contains(&category.bytes) {
                self.cast.add(title, person)?;
            }
            Ok(())
        })?;
        self.cast.sort();
        Ok(())
    }

    fn read_names(&mut self, names: Source, rows: Rows<'_>) -> anyhow::Result<()> {
        let credits = [&self.directors, &self.writers, &self.cast];
        let wanted: HashSet<_> = credits.iter().flat_map(|credits| &credits.0).map(|(_, id)| *id).collect();
        table::read_related(names, ["nconst", "primaryName"], [], rows, |[person, name], []| {
            let person = key(person, "nm")?;
            if wanted.contains(&person) && !matches!(name.bytes, b"" | b"\\N") {
                self.names.insert(person, name.text()?.into());
            }
            Ok(())
        })
    }

    /// Returns the names of a title's people, in the order of the file.
    fn names(&self, credits: &Credits, title: u32) -> impl Iterator<Item = &str> {
        credits.of(title).filter_map(|person| self.names.get(&person).map(AsRef::as_ref))
    }

    /// Returns the names of a movie's directors, up to the length limit. A compilation may have hundreds.
    fn director(&self, movie: u32) -> String {
        let mut text = String::new();
        for name in self.names(&self.directors, movie) {
            let separator = if text.is_empty() { "" } else { ", " };
            if text.len() + separator.len() + name.len() > MAX_TEXT_BYTES {
                break;
            }
            text.push_str(separator);
            text.push_str(name);
        }
        text
    }

    /// Returns the first names of a movie's people, each once: a person can have several roles, and two people the same
    /// name.
    fn distinct_names(&self, credits: &Credits, movie: u32, max_names: usize) -> Vec<String> {
        let mut seen = HashSet::new();
        let names = self.names(credits, movie).filter(|name| name.chars().count() <= MAX_NAME_CHARS);
        names.filter(|name| seen.insert(*name)).take(max_names).map(str::to_owned).collect()
    }
}

/// Returns the numbers in the ids of the movies. Invalid rows are reported when the file is read again.
fn movie_keys(titles: Source) -> anyhow::Result<HashSet<u32>> {
    let mut movies = HashSet::new();
    let ignore = &mut |_| Ok(());
    table::read(titles, ["tconst", "titleType"], [], ignore, |[id, kind], []| {
        if is_movie(kind) {
            movies.insert(key(id, "tt")?);
        }
        Ok(None)
    })?;
    Ok(movies)
}
