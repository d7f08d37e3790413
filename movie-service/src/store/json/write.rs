//! Writes a JSON database.

use std::io;

use serde::Serialize;

use crate::catalogue::Snapshot;
use crate::store::json::entry::SerializedMovie;

/// Writes the movies in listing order, one a line.
///
/// # Errors
///
/// If `out` cannot be written.
pub fn write(movies: &Snapshot, out: &mut impl io::Write) -> io::Result<()> {
    out.write_all(b"{\"movies\": [")?;
    for (number, movie) in movies.movies().enumerate() {
        out.write_all(if number == 0 { b"\n" } else { b",\n" })?;
        SerializedMovie(movie).serialize(&mut serde_json::Serializer::with_formatter(&mut *out, Spaced))?;
    }
    out.write_all(b"\n]}\n")?;
    out.flush()
}

/// Writes JSON in one line, with a space after each colon and comma.
struct Spaced;

impl serde_json::ser::Formatter for Spaced {
    fn begin_object_key<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        out.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        out.write_all(if first { b"" } else { b", " })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::store::json::load_from;

    #[test]
    fn a_file_that_is_written_is_loaded_as_it_was() {
        let text = concat!(
            "{\"movies\": [\n",
            r#"{"title": "Creed", "rating": 0.0, "director": "Ryan Coogler", "id": "7", "year": 2015, "#,
            r#""genres": ["Drama", "\"Sport\""], "runtime_minutes": 133, "countries": ["USA"], "languages": ["English"], "#,
            r#""original_title": "Creed", "cast": ["Tessa Thompson"], "writers": ["Ryan Coogler"], "rating_count": 7, "#,
            r#""overview": "Boxing.\n", "poster_uri": "https://posters.example/creed.jpg"},"#,
            "\n",
            r#"{"title": "Amélie", "id": "é"}"#,
            "\n]}\n"
        );
        let movies = load_from(text.as_bytes(), 0, Path::new("movies.json")).unwrap();
        let mut written = Vec::new();
        write(&movies, &mut written).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), text);
    }
}
