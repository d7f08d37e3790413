//! Planning of a batch: what commands change, given the current movies. Pure: no I/O.

use std::collections::HashMap;

use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use crate::catalogue::{Committed, HistoryPoint, Record, Snapshot};
use crate::movie::{self, Movie, Revision, Time, Violation};
use crate::store::command::{Command, Field, Imported, Outcome, WriteError};

/// A stored request (idempotency record) and its result.
#[derive(Clone, Debug)]
pub struct StoredRequest {
    /// A hash of what it asked for.
    pub fingerprint: u64,
    /// The movie that it made.
    pub record: Record,
}

/// A request to store, so that it can be repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRequest {
    /// The id of the request.
    pub id: String,
    /// A hash of what it asks for.
    pub fingerprint: u64,
    /// The revision of the change that it makes.
    pub revision: Revision,
}

/// Commands that are to be committed together.
#[derive(Debug)]
pub struct Plan<'a> {
    snapshot: &'a Snapshot,
    now: Time,
    /// The movies that were changed so far.
    changed: HashMap<String, Option<Record>>,
    requests: HashMap<String, StoredRequest>,
    /// The changes so far, in order, as they are to be committed.
    changes: Vec<Committed>,
    new_requests: Vec<NewRequest>,
}

impl<'a> Plan<'a> {
    /// Starts a plan on top of `snapshot`; `requests` are the stored requests by id.
    #[must_use]
    pub fn new(snapshot: &'a Snapshot, requests: HashMap<String, StoredRequest>, now: Time) -> Self {
        let changed = HashMap::new();
        Self { snapshot, now, changed, requests, changes: Vec::new(), new_requests: Vec::new() }
    }

    /// Returns the changes, and the requests to store.
    #[must_use]
    pub fn finish(self) -> (Vec<Committed>, Vec<NewRequest>) {
        (self.changes, self.new_requests)
    }

    /// Adds a validated command. Returns its outcome, which holds once the plan is committed.
    ///
    /// # Errors
    ///
    /// [`WriteError`] if it cannot be done; the plan stays as it was.
    pub fn add(&mut self, command: &Command) -> Result<Outcome, WriteError> {
        match command {
            Command::Create { movie, request_id } => self.create(movie, request_id),
            Command::Update { movie, etag, fields, allow_missing } => {
                self.update(movie, etag, fields, *allow_missing)
            }
            Command::Delete { id, etag, allow_missing } => self.delete(id, etag, *allow_missing),
            Command::Import(movies) => Ok(Outcome::Imported(self.import(movies))),
        }
    }

    fn create(&mut self, movie: &Movie, request_id: &str) -> Result<Outcome, WriteError> {
        let mut movie = movie.clone().without_times();
        let fingerprint = xxh3_64(Record::of(&movie).bytes());
        if let Some(earlier) = self.requests.get(request_id) {
            return if earlier.fingerprint == fingerprint {
                Ok(Outcome::Movie(earlier.record.clone()))
            } else {
                Err(WriteError::RequestIdReused)
            };
        }
        if movie.id.is_empty() {
            movie.id = Uuid::new_v4().to_string();
        }
        if self.current(&movie.id).is_some() {
            return Err(WriteError::Exists(movie.id));
        }
        let record = self.put_new(movie);
        if !request_id.is_empty() {
            let (id, revision) = (request_id.to_owned(), self.point().revision);
            self.new_requests.push(NewRequest { id, fingerprint, revision });
            let stored = StoredRequest { fingerprint, record: record.clone() };
            self.requests.insert(request_id.to_owned(), stored);
        }
        Ok(Outcome::Movie(record))
    }

    fn update(
        &mut self,
        movie: &Movie,
        etag: &str,
        fields: &[Field],
        allow_missing: bool,
    ) -> Result<Outcome, WriteError> {
        let Some(current) = self.current(&movie.id) else {
            if !allow_missing {
                return Err(WriteError::NotFound(movie.id.clone()));
            }
            refuse(movie::violations(movie, "movie"))?;
            if !etag.is_empty() {
                return Err(WriteError::Stale(movie.id.clone()));
            }
            return Ok(Outcome::Movie(self.put_new(movie.clone())));
        };
        if !etag.is_empty() && etag != current.etag() {
            return Err(WriteError::Stale(movie.id.clone()));
        }
        let old = current.to_movie();
        let mut new = old.clone();
        for field in fields {
            field.copy(movie, &mut new);
        }
        refuse(movie::violations(&new, "movie"))?;
        if new == old {
            return Ok(Outcome::Movie(current));
        }
        new.update_time = Some(self.now);
        Ok(Outcome::Movie(self.put(&new)))
    }

    fn delete(&mut self, id: &str, etag: &str, allow_missing: bool) -> Result<Outcome, WriteError> {
        match self.current(id) {
            None if allow_missing => Ok(Outcome::Deleted),
            None => Err(WriteError::NotFound(id.to_owned())),
            Some(current) if !etag.is_empty() && etag != current.etag() => {
                Err(WriteError::Stale(id.to_owned()))
            }
            Some(_) => {
                self.change(id, None);
                Ok(Outcome::Deleted)
            }
        }
    }

    fn import(&mut self, movies: &[Movie]) -> Imported {
        let mut imported = Imported::default();
        for movie in movies {
            let movie = movie.clone().without_times();
            match self.current(&movie.id) {
                None => {
                    self.put_new(movie);
                    imported.created += 1;
                }
                Some(current) => {
                    let current = current.to_movie();
                    let create_time = current.create_time;
                    if current.without_times() == movie {
                        imported.unchanged += 1;
                    } else {
                        self.put(&Movie { create_time, update_time: Some(self.now), ..movie });
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
        let record = Record::of(movie);
        self.change(&movie.id, Some(record.clone()));
        record
    }

    fn change(&mut self, id: &str, record: Option<Record>) {
        self.changes.push(Committed::after(self.point(), id, record.clone()));
        self.changed.insert(id.to_owned(), record);
    }

    /// Returns the history with the changes so far.
    fn point(&self) -> HistoryPoint {
        self.changes.last().map_or(self.snapshot.point(), |change| change.point)
    }
}

fn refuse(violations: Vec<Violation>) -> Result<(), WriteError> {
    if violations.is_empty() { Ok(()) } else { Err(WriteError::Invalid(violations)) }
}

#[cfg(test)]
mod tests;
