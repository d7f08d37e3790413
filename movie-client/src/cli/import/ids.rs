//! Generated ids.

use std::collections::HashMap;
use std::mem;

use movie_proto::catalog::v1;
use prost::Message;
use uuid::{Uuid, uuid};

use super::{FilePosition, Row};
use crate::Movie;

/// Reason for a movie without an id, reported once per file.
pub(super) const MISSING_ID: &str = "the movie has no id: movies of this file without an id are not imported; \
                                     --make-ids generates ids from title, year and director";

/// UUID namespace of generated ids. `docs/client.md` states it, too. It must never change: the next import would add
/// all movies a second time.
pub(super) const ID_NAMESPACE: Uuid = uuid!("640e5f89-a3c1-4fe7-9c30-bf22fd68c29c");

/// Generates missing ids for the movies of one file.
pub(super) struct IdGenerator {
    generates: bool,
    has_reported_missing: bool,
    /// Fingerprint of each movie with a generated id, and the line of its first occurrence.
    generated: HashMap<Uuid, (u64, Uuid)>,
}

impl IdGenerator {
    /// Begins a file. Without `generates`, movies without an id are rejected.
    pub(super) fn new(generates: bool) -> Self {
        Self { generates, has_reported_missing: false, generated: HashMap::new() }
    }

    /// Adds an id to the row's movie if it has none, or rejects the row.
    pub(super) fn complete(&mut self, row: Row) -> Row {
        let (at, movie) = match row {
            Row::Movie { at, movie: Ok(movie) } if movie.id.is_empty() => (at, movie),
            Row::Movie { .. } | Row::WithoutId { .. } | Row::Related { .. } | Row::Notice(_) => {
                return row;
            }
        };
        if self.generates {
            let movie = self.generate(movie, &at);
            Row::Movie { at, movie }
        } else {
            Row::WithoutId { at, is_first: !mem::replace(&mut self.has_reported_missing, true) }
        }
    }

    /// Generates an id. Two different movies never get the same id, because the second would replace the first.
    fn generate(&mut self, movie: Movie, at: &FilePosition) -> Result<Movie, String> {
        if movie.title.is_empty() {
            return Err("the movie has neither an id nor a title from which to generate one".to_owned());
        }
        let id = generated_id(&movie);
        let fingerprint = Uuid::new_v5(&id, &v1::Movie::from(movie.clone()).encode_to_vec());
        let (first, known) = *self.generated.entry(id).or_insert((at.line, fingerprint));
        if known == fingerprint {
            Ok(Movie { id: id.to_string(), ..movie })
        } else {
            Err(format!(
                "the movie of line {first} has the same title, year and director, and got the id `{id}`; give this movie \
                 an explicit id"
            ))
        }
    }
}

/// Returns the generated id of a movie: a UUID of version 5 (RFC 9562 §5.5). Its name consists of title, year and
/// director, separated by line feeds. An unknown year is empty.
fn generated_id(movie: &Movie) -> Uuid {
    let year = movie.year.map(|year| year.to_string()).unwrap_or_default();
    Uuid::new_v5(&ID_NAMESPACE, format!("{}\n{year}\n{}", movie.title, movie.director).as_bytes())
}
