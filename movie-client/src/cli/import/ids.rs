//! Ids of movies that have none.

use std::collections::HashMap;
use std::mem;

use movie_proto::catalog::v1;
use prost::Message;
use uuid::{Uuid, uuid};

use super::{FilePosition, Row};
use crate::Movie;

/// What is wrong with a movie that has no id, said once a file.
pub(super) const MISSING: &str = "the movie has no id: it is not imported, nor is any other of this file without one; \
                                  --make-ids makes ids from title, year and director";

/// The namespace of ids that are made, which `docs/client.md` states, too. Never to be changed: with another one, the
/// same movies would be added a second time.
pub(super) const NAMESPACE: Uuid = uuid!("640e5f89-a3c1-4fe7-9c30-bf22fd68c29c");

/// Looks after the ids of the movies of one file.
pub(super) struct Ids {
    makes: bool,
    has_missed: bool,
    /// The movies that were given ids: where each was first, and a fingerprint of all that is known of it.
    made: HashMap<Uuid, (u64, Uuid)>,
}

impl Ids {
    /// Begins a file. Without `makes`, its movies have to have ids.
    pub(super) fn new(makes: bool) -> Self {
        Self { makes, has_missed: false, made: HashMap::new() }
    }

    /// Returns the row with an id for its movie, or as one that cannot be taken.
    pub(super) fn complete(&mut self, row: Row) -> Row {
        let (at, movie) = match row {
            Row::Line { at, movie: Ok(movie) } if movie.id.is_empty() => (at, movie),
            Row::Line { .. } | Row::WithoutId { .. } | Row::Beside { .. } | Row::Missing(_) => return row,
        };
        if self.makes {
            let movie = self.make(movie, &at);
            Row::Line { at, movie }
        } else {
            Row::WithoutId { at, is_first: !mem::replace(&mut self.has_missed, true) }
        }
    }

    /// Makes an id. Different movies never get the same: the second one would replace the first.
    fn make(&mut self, movie: Movie, at: &FilePosition) -> Result<Movie, String> {
        if movie.title.is_empty() {
            return Err("the movie has neither an id nor a title to make one from".to_owned());
        }
        let id = made(&movie);
        let fingerprint = Uuid::new_v5(&id, &v1::Movie::from(movie.clone()).encode_to_vec());
        let (first, known) = *self.made.entry(id).or_insert((at.line, fingerprint));
        if known == fingerprint {
            Ok(Movie { id: id.to_string(), ..movie })
        } else {
            Err(format!(
                "another movie, that of line {first}, has the same title, year and director, and got the id `{id}`; give \
                 this one an id of its own"
            ))
        }
    }
}

/// Returns the id that is made for a movie: a UUID of version 5 (RFC 9562 §5.5), whose name is title, year and director,
/// with a line feed between them. A year that is not known is empty.
fn made(movie: &Movie) -> Uuid {
    let year = movie.year.map(|year| year.to_string()).unwrap_or_default();
    Uuid::new_v5(&NAMESPACE, format!("{}\n{year}\n{}", movie.title, movie.director).as_bytes())
}
