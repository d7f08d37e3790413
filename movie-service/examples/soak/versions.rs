//! The two versions of the database that the service serves in turn. Every movie differs between them.

use std::collections::HashMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::{fs, io};

use movie_proto::MovieData;
use movie_service::store::json;

use crate::tally::Problem;

/// Both versions, as the service should serve them.
#[derive(Debug)]
pub(crate) struct Versions {
    path: PathBuf,
    texts: [String; 2],
    movies: [Vec<MovieData>; 2],
    places: HashMap<String, usize>,
}

impl Versions {
    /// Reads a database, and derives the second version from it.
    pub(crate) fn of(path: &Path) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let first = fs::read_to_string(path)?;
        let second = first.replace("\"title\": \"The Long", "\"title\": \"The Next");
        let movies = [movies(path, &first)?, movies(path, &second)?];
        if movies[0].iter().zip(&movies[1]).any(|(first, second)| first == second) {
            return Err(format!("{} is no database of seeded movies", path.display()).into());
        }
        let places = movies[0].iter().enumerate().map(|(place, movie)| (movie.id.clone(), place)).collect();
        Ok(Self { path: path.to_owned(), texts: [first, second], movies, places })
    }

    /// Replaces the file by a version.
    pub(crate) fn write(&self, version: usize) -> io::Result<()> {
        // Renamed when complete.
        let part = self.path.with_extension("part");
        fs::write(&part, &self.texts[version])?;
        fs::rename(part, &self.path)
    }

    /// Returns the number of movies of each version.
    pub(crate) fn len(&self) -> usize {
        self.movies[0].len()
    }

    /// Returns a movie of a version.
    pub(crate) fn movie(&self, version: usize, place: usize) -> &MovieData {
        &self.movies[version][place]
    }

    /// Checks a movie that was found by its id.
    pub(crate) fn check(&self, id: &str, found: &MovieData) -> Result<(), Problem> {
        let is_right = match self.places.get(id) {
            Some(&place) => self.movies.iter().any(|movies| movies[place] == *found),
            None => *found == MovieData::default(),
        };
        if is_right { Ok(()) } else { Err(Problem::Wrong(format!("`{id}` returns {found:?}"))) }
    }

    /// Returns the version whose list begins with a movie.
    pub(crate) fn starting_with(&self, movie: &MovieData) -> Option<usize> {
        self.movies.iter().position(|movies| movies[0] == *movie)
    }
}

/// Reads the movies of a JSON text as the service does.
fn movies(path: &Path, text: &str) -> Result<Vec<MovieData>, Box<dyn Error + Send + Sync>> {
    let copy = path.with_extension("copy");
    fs::write(&copy, text)?;
    let movies = json::load(&copy)?.movies().map(MovieData::from).collect();
    fs::remove_file(copy)?;
    Ok(movies)
}
