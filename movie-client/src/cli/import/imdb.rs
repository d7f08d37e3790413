//! IMDb's data sets: <https://developer.imdb.com/non-commercial-datasets/>.
//!
//! The movies are in `title.basics.tsv`. In the same folder, each with or without `.gz`, may be `title.ratings.tsv`, and
//! `title.crew.tsv` with `name.basics.tsv`, which have the directors. As IMDb writes them, quotes are part of the text, and `\N` is
//! a missing value.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::source::Source;
use super::table::{self, Cell};
use super::{MOST_TEXT, Rows};
use crate::Movie;

/// The types of titles that are movies: made for the cinema, for television, for sale, and short ones. Series, their
/// episodes, specials and games are not, and they are most of all titles.
const MOVIES: [&[u8]; 4] = [b"movie", b"tvMovie", b"video", b"short"];

/// Reads the movies, with what is known beside them. In memory is only what these movies need of the other files; so that
/// their ids are known, the titles are read twice if there are others.
///
/// # Errors
///
/// If a file cannot be read or does not have the columns, and what `rows` returns.
pub(super) fn read(titles: Source, rows: Rows<'_>) -> anyhow::Result<()> {
    let known = Known::beside(&titles, rows)?;
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
            rating: known.ratings.get(&key).copied(),
            director: known.director(key),
            year: year.value().map(Cell::whole).transpose()?,
            runtime_minutes: runtime.value().map(Cell::whole).transpose()?,
            genres: genres.map(|genres| genres.split(',').map(str::to_owned).collect()).unwrap_or_default(),
            ..Movie::default()
        };
        Ok(Some(movie))
    })
}

fn is_movie(kind: Cell<'_>) -> bool {
    MOVIES.contains(&kind.bytes)
}

/// Returns the number in an id of IMDb, of a title (`tt0111161`) or a person (`nm0000151`).
fn key(cell: Cell<'_>, prefix: &str) -> Result<u32, String> {
    cell.parsed(&format!("{prefix} and a number"), |id| id.strip_prefix(prefix)?.parse().ok())
}

/// What is known of the movies beside their own file, by the numbers in ids.
#[derive(Default)]
struct Known {
    ratings: HashMap<u32, f32>,
    /// Where the directors of a movie are in `directing`.
    directors: HashMap<u32, Range<u32>>,
    directing: Vec<u32>,
    /// The names of these directors.
    names: HashMap<u32, Box<str>>,
}

impl Known {
    fn beside(titles: &Source, rows: Rows<'_>) -> anyhow::Result<Self> {
        let mut known = Self::default();
        let ratings = titles.beside("title.ratings.tsv", "ratings", rows)?;
        let crew = titles.beside("title.crew.tsv", "directors", rows)?;
        let crew = crew.zip(titles.beside("name.basics.tsv", "directors", rows)?);
        if ratings.is_none() && crew.is_none() {
            return Ok(known);
        }
        let movies = movies(titles.again()?)?;
        if let Some(ratings) = ratings {
            known.read_ratings(ratings, &movies, rows)?;
        }
        if let Some((crew, names)) = crew {
            known.read_directors(crew, &movies, rows)?;
            known.read_names(names, rows)?;
        }
        Ok(known)
    }

    fn read_ratings(&mut self, ratings: Source, movies: &HashSet<u32>, rows: Rows<'_>) -> anyhow::Result<()> {
        table::read_beside(ratings, ["tconst", "averageRating"], rows, |[title, rating]| {
            let title = key(title, "tt")?;
            if let Some(rating) = rating.value().filter(|_| movies.contains(&title)) {
                self.ratings.insert(title, rating.number()?);
            }
            Ok(())
        })
    }

    fn read_directors(&mut self, crew: Source, movies: &HashSet<u32>, rows: Rows<'_>) -> anyhow::Result<()> {
        table::read_beside(crew, ["tconst", "directors"], rows, |[title, directors]| {
            let title = key(title, "tt")?;
            let Some(directors) = directors.value().filter(|_| movies.contains(&title)) else {
                return Ok(());
            };
            let start = self.directing.len();
            for bytes in directors.bytes.split(|byte| *byte == b',') {
                self.directing.push(key(Cell { bytes, ..directors }, "nm")?);
            }
            let place = |index| u32::try_from(index).map_err(|_| "too many directors".to_owned());
            self.directors.insert(title, place(start)?..place(self.directing.len())?);
            Ok(())
        })
    }

    fn read_names(&mut self, names: Source, rows: Rows<'_>) -> anyhow::Result<()> {
        let wanted: HashSet<_> = self.directing.iter().copied().collect();
        table::read_beside(names, ["nconst", "primaryName"], rows, |[person, name]| {
            let person = key(person, "nm")?;
            if wanted.contains(&person) && !matches!(name.bytes, b"" | b"\\N") {
                self.names.insert(person, name.text()?.into());
            }
            Ok(())
        })
    }

    /// Returns the names of a movie's directors, as many as there is room for: a compilation may have hundreds.
    fn director(&self, movie: u32) -> String {
        let place = self.directors.get(&movie).cloned().unwrap_or_default();
        let directing = &self.directing[place.start as usize..place.end as usize];
        let mut text = String::new();
        for name in directing.iter().filter_map(|person| self.names.get(person)) {
            let separator = if text.is_empty() { "" } else { ", " };
            if text.len() + separator.len() + name.len() > MOST_TEXT {
                break;
            }
            text.push_str(separator);
            text.push_str(name);
        }
        text
    }
}

/// Returns the numbers in the ids of the titles that are movies. What is wrong is named when they are read again.
fn movies(titles: Source) -> anyhow::Result<HashSet<u32>> {
    let mut movies = HashSet::new();
    let pass_over = &mut |_| Ok(());
    table::read(titles, ["tconst", "titleType"], pass_over, |[id, kind]| {
        if is_movie(kind) {
            movies.insert(key(id, "tt")?);
        }
        Ok(None)
    })?;
    Ok(movies)
}
