//! Movies as a JSON database, byte for byte as the service writes it.

use std::io::{self, Write};

use serde::Serialize;

use super::movie_json::MovieJson;
use crate::Movie;

/// Writes a JSON database, one movie per line.
pub struct DatabaseWriter<W> {
    out: W,
    has_movies: bool,
}

impl<W: Write> DatabaseWriter<W> {
    /// Begins a database on `out`, which should be buffered.
    ///
    /// # Errors
    ///
    /// The error of writing, as in all other methods.
    pub fn begin(mut out: W) -> io::Result<Self> {
        out.write_all(b"{\"movies\": [")?;
        Ok(Self { out, has_movies: false })
    }

    /// Writes a movie, without its times and its etag.
    ///
    /// # Errors
    ///
    /// The error of writing.
    pub fn movie(&mut self, movie: &Movie) -> io::Result<()> {
        self.out.write_all(if self.has_movies { b",\n" } else { b"\n" })?;
        self.has_movies = true;
        write_movie(&mut self.out, movie)
    }

    /// Ends the database, and returns the flushed writer.
    ///
    /// # Errors
    ///
    /// The error of writing.
    pub fn end(mut self) -> io::Result<W> {
        self.out.write_all(b"\n]}\n")?;
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Writes a movie on one line, without a line end.
fn write_movie(out: &mut impl Write, movie: &Movie) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::with_formatter(out, Spaced);
    Ok(MovieJson::stored(movie).serialize(&mut serializer)?)
}

/// JSON formatter: one line, with a space after each colon and comma.
struct Spaced;

impl serde_json::ser::Formatter for Spaced {
    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        out.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        out.write_all(if first { b"" } else { b", " })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_may_have_no_movies() {
        let written = DatabaseWriter::begin(Vec::new()).unwrap().end().unwrap();
        assert_eq!(written, b"{\"movies\": [\n]}\n");
    }
}
