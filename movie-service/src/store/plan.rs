//! What writes change, decided against the movies there are. Pure: it reads and writes nothing.

use std::collections::HashMap;

use movie_proto::catalog::v1::Movie;
use prost::Message;
use prost_types::Timestamp;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use super::write::{Field, Imported, Write, WriteError, Written};
use crate::catalogue::{Record, Snapshot};
use crate::movie::{self, Violation};

/// One change to the movies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The id of the movie.
    pub id: String,
    /// The movie; `None` if it is removed.
    pub record: Option<Record>,
}

/// A request that can be repeated, and what it made.
#[derive(Clone, Debug)]
pub struct Remembered {
    /// A hash of what it asked for.
    pub fingerprint: u64,
    /// The movie that it made.
    pub record: Record,
}

/// Writes that are to be committed together.
#[derive(Debug)]
pub struct Plan<'a> {
    snapshot: &'a Snapshot,
    now: Timestamp,
    /// The movies that were changed so far.
    changed: HashMap<String, Option<Record>>,
    requests: HashMap<String, Remembered>,
    /// The changes so far, in order.
    changes: Vec<Planned>,
    /// The ids of requests that were new, with their hash and the number of their change.
    new_requests: Vec<(String, u64, usize)>,
}

impl<'a> Plan<'a> {
    /// Plans what is to follow `snapshot`, knowing these requests by their ids.
    #[must_use]
    pub fn new(snapshot: &'a Snapshot, requests: HashMap<String, Remembered>, now: Timestamp) -> Self {
        let changed = HashMap::new();
        Self { snapshot, now, changed, requests, changes: Vec::new(), new_requests: Vec::new() }
    }

    /// Returns the changes, and the requests to remember: id, hash, and the number of the change.
    #[must_use]
    pub fn into_changes(self) -> (Vec<Planned>, Vec<(String, u64, usize)>) {
        (self.changes, self.new_requests)
    }

    /// Adds a write; says what it comes to once the plan is committed.
    ///
    /// # Errors
    ///
    /// [`WriteError`] if it cannot be done; the plan stays as it was.
    pub fn add(&mut self, write: &Write) -> Result<Written, WriteError> {
        match write {
            Write::Create { movie, request_id } => self.create(movie, request_id),
            Write::Update { movie, fields, allow_missing } => self.update(movie, fields, *allow_missing),
            Write::Delete { id, etag, allow_missing } => self.delete(id, etag, *allow_missing),
            Write::Import(movies) => Ok(Written::Imported(self.import(movies))),
        }
    }

    fn create(&mut self, movie: &Movie, request_id: &str) -> Result<Written, WriteError> {
        let mut movie = movie::without_output(movie);
        let fingerprint = xxh3_64(&movie.encode_to_vec());
        if let Some(earlier) = self.requests.get(request_id) {
            return if earlier.fingerprint == fingerprint {
                Ok(written(&earlier.record))
            } else {
                Err(WriteError::RequestIdReused)
            };
        }
        if movie.id.is_empty() {
            movie.id = Uuid::new_v4().to_string();
        }
        let mut violations = movie::violations(&movie, "movie");
        if movie::is_longer(request_id, movie::MOST_ID) || request_id.chars().any(char::is_control) {
            let expected =
                format!("expected at most {} characters, none of them a control character", movie::MOST_ID);
            violations.push(Violation::new("request_id", expected));
        }
        refuse(violations)?;
        if self.current(&movie.id).is_some() {
            return Err(WriteError::Exists(movie.id));
        }
        let record = self.put_new(movie);
        if !request_id.is_empty() {
            self.new_requests.push((request_id.to_owned(), fingerprint, self.changes.len() - 1));
            self.requests.insert(request_id.to_owned(), Remembered { fingerprint, record: record.clone() });
        }
        Ok(written(&record))
    }

    fn update(
        &mut self,
        movie: &Movie,
        fields: &[Field],
        allow_missing: bool,
    ) -> Result<Written, WriteError> {
        if !movie::is_id(&movie.id) {
            return Err(WriteError::Invalid(vec![Violation::new(
                "movie.id",
                format!("expected {}", movie::ID),
            )]));
        }
        let Some(current) = self.current(&movie.id) else {
            if !allow_missing {
                return Err(WriteError::NotFound(movie.id.clone()));
            }
            refuse(movie::violations(movie, "movie"))?;
            if !movie.etag.is_empty() {
                return Err(WriteError::Stale(movie.id.clone()));
            }
            return Ok(written(&self.put_new(movie::without_output(movie))));
        };
        if !movie.etag.is_empty() && movie.etag != current.etag() {
            return Err(WriteError::Stale(movie.id.clone()));
        }
        let old = Movie { etag: String::new(), ..movie::from_record(&current) };
        let mut new = old.clone();
        for field in fields {
            field.copy(movie, &mut new);
        }
        refuse(movie::violations(&new, "movie"))?;
        if new == old {
            return Ok(written(&current));
        }
        new.update_time = Some(self.now);
        Ok(written(&self.put(&new)))
    }

    fn delete(&mut self, id: &str, etag: &str, allow_missing: bool) -> Result<Written, WriteError> {
        if !movie::is_id(id) {
            return Err(WriteError::Invalid(vec![Violation::new("id", format!("expected {}", movie::ID))]));
        }
        match self.current(id) {
            None if allow_missing => Ok(Written::Deleted),
            None => Err(WriteError::NotFound(id.to_owned())),
            Some(current) if !etag.is_empty() && etag != current.etag() => {
                Err(WriteError::Stale(id.to_owned()))
            }
            Some(_) => {
                self.changed.insert(id.to_owned(), None);
                self.changes.push(Planned { id: id.to_owned(), record: None });
                Ok(Written::Deleted)
            }
        }
    }

    fn import(&mut self, movies: &[Movie]) -> Imported {
        let mut imported = Imported::default();
        for (number, movie) in movies.iter().enumerate() {
            let violations = movie::violations(movie, "movie");
            if !violations.is_empty() {
                let id = movie.id.chars().take(movie::MOST_ID).collect();
                imported.rejected.push((number, id, WriteError::Invalid(violations).to_string()));
                continue;
            }
            let movie = movie::without_output(movie);
            match self.current(&movie.id) {
                None => {
                    self.put_new(movie);
                    imported.created += 1;
                }
                Some(current) => {
                    let current = movie::from_record(&current);
                    if movie::without_output(&current) == movie {
                        imported.unchanged += 1;
                    } else {
                        self.put(&Movie {
                            create_time: current.create_time,
                            update_time: Some(self.now),
                            ..movie
                        });
                        imported.updated += 1;
                    }
                }
            }
        }
        imported
    }

    fn current(&self, id: &str) -> Option<Record> {
        match self.changed.get(id) {
            Some(changed) => changed.clone(),
            None => self.snapshot.get(id).as_ref().map(Record::new),
        }
    }

    fn put_new(&mut self, movie: Movie) -> Record {
        self.put(&Movie { create_time: Some(self.now), update_time: Some(self.now), ..movie })
    }

    fn put(&mut self, movie: &Movie) -> Record {
        let record = movie::record(movie);
        self.changed.insert(movie.id.clone(), Some(record.clone()));
        self.changes.push(Planned { id: movie.id.clone(), record: Some(record.clone()) });
        record
    }
}

fn written(record: &Record) -> Written {
    Written::Movie(Box::new(movie::from_record(record)))
}

fn refuse(violations: Vec<Violation>) -> Result<(), WriteError> {
    if violations.is_empty() { Ok(()) } else { Err(WriteError::Invalid(violations)) }
}

#[cfg(test)]
mod tests;
