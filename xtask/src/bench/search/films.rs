//! Movies whose words are those of real films.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::random::Random;
use crate::bench::data;

/// The films of a database.
#[derive(Debug, Deserialize)]
pub(super) struct Films {
    movies: Vec<Film>,
}

/// The fields of a film that its search uses. A made-up movie has them, too, except for cast and writers.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
pub(super) struct Film {
    pub(super) title: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) director: String,
    id: String,
    #[serde(default)]
    rating: f32,
    #[serde(default)]
    rating_count: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    year: u32,
    #[serde(default)]
    genres: Vec<String>,
    #[serde(default)]
    countries: Vec<String>,
    #[serde(default)]
    languages: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(year: &u32) -> bool {
    *year == 0
}

impl Films {
    /// Reads a database.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read(path).with_context(|| format!("read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("parse {}", path.display()))
    }

    /// Returns the titles, in the order of the database.
    pub(super) fn titles(&self) -> Vec<&str> {
        self.movies.iter().map(|film| film.title.as_str()).collect()
    }

    /// Returns the parts that movies are made of.
    pub(super) fn parts(&self) -> Parts<'_> {
        let titles: Vec<Vec<&str>> = self.movies.iter().map(|film| film.title.split(' ').collect()).collect();
        let names = || self.movies.iter().map(|film| film.director.as_str()).filter(|name| !name.is_empty());
        Parts {
            films: &self.movies,
            one_word: titles.iter().filter(|title| title.len() == 1).cloned().collect(),
            words: titles.iter().flatten().copied().collect(),
            first_names: names().filter_map(|name| name.split(' ').next()).collect(),
            last_names: names().filter_map(|name| name.rsplit(' ').next()).collect(),
            titles,
        }
    }
}

/// Parts of films, to be recombined: as often as films have them.
pub(super) struct Parts<'a> {
    films: &'a [Film],
    titles: Vec<Vec<&'a str>>,
    one_word: Vec<Vec<&'a str>>,
    words: Vec<&'a str>,
    first_names: Vec<&'a str>,
    last_names: Vec<&'a str>,
}

impl Parts<'_> {
    /// Makes the movie with this number, always the same one: the beginning of a title and the end of another one, a first
    /// name and a last name, and the genres, countries, languages and year of a film.
    pub(super) fn movie(&self, number: u64) -> Film {
        let mut random = Random::new(number ^ 0xf11a_5eed);
        let length = random.pick(&self.titles).len();
        let start = random.pick(if length == 1 { &self.one_word } else { &self.titles });
        let end = random.pick(&self.titles);
        let mut title: Vec<&str> = start.iter().take(length.div_ceil(2)).copied().collect();
        title.extend(&end[end.len() - end.len().min(length - title.len())..]);
        while title.len() < length {
            title.push(*random.pick(&self.words));
        }
        let director = format!("{} {}", random.pick(&self.first_names), random.pick(&self.last_names));
        let rating = f32::from(u8::try_from(random.below(100)).unwrap_or_default()) / 10.0;
        // Twice as many ratings are half as frequent: a few of a million movies have a million ratings.
        let rating_count = 3_000_000 / (1 + random.below(1_000_000) as u64);
        Film {
            title: title.join(" "),
            director,
            id: data::id(number),
            rating,
            rating_count,
            ..random.pick(self.films).clone()
        }
    }

    /// Returns the path of a database with this number of movies. Writes it if it is missing. Movies without `details` have
    /// neither year nor genres, countries and languages.
    pub(super) fn database(&self, dir: &Path, movies: u64, details: bool) -> Result<PathBuf> {
        let kind = if details { "recombined" } else { "titles" };
        self.written(&dir.join(format!("{kind}-{movies}.json")), 0..movies, details)
    }

    /// Writes a database of the movies with these numbers, unless it exists.
    pub(super) fn written(
        &self,
        path: &Path,
        numbers: std::ops::Range<u64>,
        details: bool,
    ) -> Result<PathBuf> {
        if !path.exists() {
            // Renamed when it is complete.
            let part = path.with_extension("part");
            self.write(&part, numbers, details).with_context(|| format!("write {}", part.display()))?;
            fs::rename(part, path)?;
        }
        Ok(path.to_owned())
    }

    fn write(&self, path: &Path, numbers: std::ops::Range<u64>, details: bool) -> Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        let mut separator = "{\"movies\": [\n";
        for number in numbers {
            let mut movie = self.movie(number);
            if !details {
                movie = Film {
                    year: 0,
                    genres: Vec::new(),
                    countries: Vec::new(),
                    languages: Vec::new(),
                    ..movie
                };
            }
            file.write_all(separator.as_bytes())?;
            serde_json::to_writer(&mut file, &movie)?;
            separator = ",\n";
        }
        file.write_all(b"\n]}\n")?;
        Ok(file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn movies_have_the_words_of_films() {
        let films = Films::read(&crate::root().join("databases/films.json")).unwrap();
        let (parts, titles) = (films.parts(), films.titles());
        let words: HashSet<&str> = titles.iter().flat_map(|title| title.split(' ')).collect();
        let movies: Vec<Film> = (0..1000).map(|number| parts.movie(number)).collect();
        assert_eq!(movies[7], parts.movie(7));
        let distinct: HashSet<&str> = movies.iter().map(|movie| movie.title.as_str()).collect();
        assert!(distinct.len() > 500, "{}", distinct.len());
        for movie in &movies {
            assert!(movie.title.split(' ').all(|word| words.contains(word)), "{movie:?}");
            assert!(movie.director.contains(' ') && !movie.id.is_empty(), "{movie:?}");
        }
    }

    #[test]
    fn a_database_is_written_once() {
        let films = Films::read(&crate::root().join("databases/films.json")).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = films.parts().database(dir.path(), 3, false).unwrap();
        let read = Films::read(&path).unwrap();
        assert_eq!(read.movies.len(), 3);
        assert_eq!((read.movies[2].year, read.movies[2].genres.len()), (0, 0));
        fs::write(&path, "{\"movies\": []}").unwrap();
        let again = films.parts().database(dir.path(), 3, false).unwrap();
        assert_eq!(Films::read(&again).unwrap().movies.len(), 0);
    }
}
