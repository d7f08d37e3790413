//! IMDb's data sets: <https://developer.imdb.com/non-commercial-datasets/>.
//!
//! The movies are in `title.basics.tsv`. The related files in the same directory are optional, and may be compressed:
//! `title.ratings.tsv`, and `title.crew.tsv` with `name.basics.tsv` for the directors. In IMDb's files, quotes are
//! part of the text, and `\N` is a missing value.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::source::Source;
use super::table::{self, Cell};
use super::{MAX_TEXT_BYTES, Rows};
use crate::Movie;

/// Title types that are movies. The others are series, episodes, specials and games, which are the majority of the
/// titles.
const MOVIE_TITLE_TYPES: [&[u8]; 4] = [b"movie", b"tvMovie", b"video", b"short"];

/// Reads the movies with their ratings and directors. Only the related data of these movies is kept in memory. If
/// related files exist, the titles are read twice, first for their ids.
///
/// # Errors
///
/// A file that is unreadable or lacks a column, or an error of `rows`.
pub(super) fn read(titles: Source, rows: Rows<'_>) -> anyhow::Result<()> {
    let related = RelatedData::read(&titles, rows)?;
    let names = ["tconst", "titleType", "primaryTitle", "startYear", "runtimeMinutes", "genres"];
    table::read(titles, names, rows, |[id, kind, title, year, runtime, genres]| {
        if !is_movie(kind) {
            return Ok(None);
        }
        let key = key(id, "tt")?;
        let genres = genres.value().map(Cell::text).transpose()?;
        let movie = Movie {
            id: id.text()?.to_owned(),
            title: Some(title.text()?).filter(|title| *title != "\\N").unwrap_or_default().to_owned(),
            rating: related.ratings.get(&key).copied(),
            director: related.director(key),
            year: year.value().map(Cell::whole).transpose()?,
            runtime_minutes: runtime.value().map(Cell::whole).transpose()?,
            genres: genres.map(|genres| genres.split(',').map(str::to_owned).collect()).unwrap_or_default(),
            ..Movie::default()
        };
        Ok(Some(movie))
    })
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
    ratings: HashMap<u32, f32>,
    /// Ranges in `director_ids`, by title.
    directors: HashMap<u32, Range<u32>>,
    director_ids: Vec<u32>,
    /// Names of the directors, by person.
    names: HashMap<u32, Box<str>>,
}

impl RelatedData {
    fn read(titles: &Source, rows: Rows<'_>) -> anyhow::Result<Self> {
        let mut related = Self::default();
        let ratings = titles.open_related("title.ratings.tsv", "ratings", rows)?;
        let crew = titles.open_related("title.crew.tsv", "directors", rows)?;
        let crew = crew.zip(titles.open_related("name.basics.tsv", "directors", rows)?);
        if ratings.is_none() && crew.is_none() {
            return Ok(related);
        }
        let movies = movie_keys(titles.reopen()?)?;
        if let Some(ratings) = ratings {
            related.read_ratings(ratings, &movies, rows)?;
        }
        if let Some((crew, names)) = crew {
            related.read_directors(crew, &movies, rows)?;
            related.read_names(names, rows)?;
        }
        Ok(related)
    }

    fn read_ratings(&mut self, ratings: Source, movies: &HashSet<u32>, rows: Rows<'_>) -> anyhow::Result<()> {
        table::read_related(ratings, ["tconst", "averageRating"], rows, |[title, rating]| {
            let title = key(title, "tt")?;
            if let Some(rating) = rating.value().filter(|_| movies.contains(&title)) {
                self.ratings.insert(title, rating.number()?);
            }
            Ok(())
        })
    }

    fn read_directors(&mut self, crew: Source, movies: &HashSet<u32>, rows: Rows<'_>) -> anyhow::Result<()> {
        table::read_related(crew, ["tconst", "directors"], rows, |[title, directors]| {
            let title = key(title, "tt")?;
            let Some(directors) = directors.value().filter(|_| movies.contains(&title)) else {
                return Ok(());
            };
            let start = self.director_ids.len();
            for bytes in directors.bytes.split(|byte| *byte == b',') {
                self.director_ids.push(key(Cell { bytes, ..directors }, "nm")?);
            }
            let offset = |index| u32::try_from(index).map_err(|_| "too many directors".to_owned());
            self.directors.insert(title, offset(start)?..offset(self.director_ids.len())?);
            Ok(())
        })
    }

    fn read_names(&mut self, names: Source, rows: Rows<'_>) -> anyhow::Result<()> {
        let wanted: HashSet<_> = self.director_ids.iter().copied().collect();
        table::read_related(names, ["nconst", "primaryName"], rows, |[person, name]| {
            let person = key(person, "nm")?;
            if wanted.contains(&person) && !matches!(name.bytes, b"" | b"\\N") {
                self.names.insert(person, name.text()?.into());
            }
            Ok(())
        })
    }

    /// Returns the names of a movie's directors, up to the length limit. A compilation may have hundreds.
    fn director(&self, movie: u32) -> String {
        let range = self.directors.get(&movie).cloned().unwrap_or_default();
        let director_ids = &self.director_ids[range.start as usize..range.end as usize];
        let mut text = String::new();
        for name in director_ids.iter().filter_map(|person| self.names.get(person)) {
            let separator = if text.is_empty() { "" } else { ", " };
            if text.len() + separator.len() + name.len() > MAX_TEXT_BYTES {
                break;
            }
            text.push_str(separator);
            text.push_str(name);
        }
        text
    }
}

/// Returns the numbers in the ids of the movies. Invalid rows are reported when the file is read again.
fn movie_keys(titles: Source) -> anyhow::Result<HashSet<u32>> {
    let mut movies = HashSet::new();
    let ignore = &mut |_| Ok(());
    table::read(titles, ["tconst", "titleType"], ignore, |[id, kind]| {
        if is_movie(kind) {
            movies.insert(key(id, "tt")?);
        }
        Ok(None)
    })?;
    Ok(movies)
}
