//! Planning of a batch: what commands change, given the current movies. Pure: no I/O.

use std::collections::HashMap;

use crate::catalogue::{CommittedChange, HistoryPoint, Record, Snapshot};
use crate::movie::{Field, Movie, MovieId, Revision, Timestamp, ValidMovie};
use crate::store::command::{Imported, Outcome, Request, ValidCommand, WriteError};

/// A stored request (idempotency record) and its result.
#[derive(Clone, Debug)]
pub struct StoredRequest {
    /// The fingerprint of the request.
    pub fingerprint: u64,
    /// The movie that it added.
    pub record: Record,
}

/// An idempotency record to store, so that a repeated request is recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRequest {
    /// The id of the request.
    pub id: String,
    /// The fingerprint of the request.
    pub fingerprint: u64,
    /// The revision of its change.
    pub revision: Revision,
}

/// The plan of the commands that are committed together.
#[derive(Debug)]
pub struct Plan<'a> {
    snapshot: &'a Snapshot,
    now: Timestamp,
    /// The movies that the plan has changed; `None` for a removed one.
    changed: HashMap<MovieId, Option<Record>>,
    requests: HashMap<String, StoredRequest>,
    /// The changes so far, in order.
    changes: Vec<CommittedChange>,
    new_requests: Vec<NewRequest>,
}

impl<'a> Plan<'a> {
    /// Starts a plan on top of `snapshot`; `requests` are the stored requests by id.
    #[must_use]
    pub fn new(snapshot: &'a Snapshot, requests: HashMap<String, StoredRequest>, now: Timestamp) -> Self {
        let changed = HashMap::new();
        Self { snapshot, now, changed, requests, changes: Vec::new(), new_requests: Vec::new() }
    }

    /// Returns the changes, and the requests to store.
    #[must_use]
    pub fn finish(self) -> (Vec<CommittedChange>, Vec<NewRequest>) {
        (self.changes, self.new_requests)
    }

    /// Adds a command. Returns its outcome, which becomes valid when the plan is committed.
    ///
    /// # Errors
    ///
    /// [`WriteError`] if the command cannot be executed; the plan is not changed.
    pub fn add(&mut self, command: &ValidCommand) -> Result<Outcome, WriteError> {
        match command {
            ValidCommand::Create { movie, request } => self.create(movie, request.as_ref()),
            ValidCommand::Update { id, movie, etag, fields, allow_missing } => {
                self.update(id, movie, etag, fields, *allow_missing)
            }
            ValidCommand::Delete { id, etag, allow_missing } => self.delete(id, etag, *allow_missing),
            ValidCommand::Import(movies) => Ok(Outcome::Imported(self.import(movies))),
        }
    }

    fn create(&mut self, movie: &ValidMovie, request: Option<&Request>) -> Result<Outcome, WriteError> {
        if let Some(request) = request
            && let Some(earlier) = self.requests.get(&request.id)
        {
            return if earlier.fingerprint == request.fingerprint {
                Ok(Outcome::Movie(earlier.record.clone()))
            } else {
                Err(WriteError::RequestIdReused)
            };
        }
        if self.current(&movie.id).is_some() {
            return Err(WriteError::Exists(movie.id.clone()));
        }
        let record = self.put_new(movie.clone());
        if let Some(Request { id, fingerprint }) = request.cloned() {
            let stored = StoredRequest { fingerprint, record: record.clone() };
            self.requests.insert(id.clone(), stored);
            self.new_requests.push(NewRequest { id, fingerprint, revision: self.point().revision });
        }
        Ok(Outcome::Movie(record))
    }

    fn update(
        &mut self,
        id: &MovieId,
        movie: &Movie,
        etag: &str,
        fields: &[Field],
        allow_missing: bool,
    ) -> Result<Outcome, WriteError> {
        let Some(current) = self.current(id) else {
            if !allow_missing {
                return Err(WriteError::NotFound(id.to_string()));
            }
            let movie = ValidMovie::try_from(movie.clone()).map_err(WriteError::Invalid)?;
            if !etag.is_empty() {
                return Err(WriteError::Stale(id.to_string()));
            }
            return Ok(Outcome::Movie(self.put_new(movie)));
        };
        if !etag.is_empty() && etag != current.etag() {
            return Err(WriteError::Stale(id.to_string()));
        }
        let old = current.to_movie();
        let mut new = old.clone();
        for field in fields {
            field.copy(movie, &mut new);
        }
        if new == old {
            return Ok(Outcome::Movie(current));
        }
        let new = ValidMovie::try_from(new).map_err(WriteError::Invalid)?;
        Ok(Outcome::Movie(self.put(new.with_times(old.create_time, Some(self.now)))))
    }

    fn delete(&mut self, id: &MovieId, etag: &str, allow_missing: bool) -> Result<Outcome, WriteError> {
        match self.current(id) {
            None if allow_missing => Ok(Outcome::Deleted),
            None => Err(WriteError::NotFound(id.to_string())),
            Some(current) if !etag.is_empty() && etag != current.etag() => {
                Err(WriteError::Stale(id.to_string()))
            }
            Some(_) => {
                self.change(id.clone(), None);
                Ok(Outcome::Deleted)
            }
        }
    }

    fn import(&mut self, movies: &[ValidMovie]) -> Imported {
        let mut imported = Imported::default();
        for movie in movies {
            let Some(current) = self.current(&movie.id) else {
                self.put_new(movie.clone());
                imported.created += 1;
                continue;
            };
            let current = current.to_movie();
            let create_time = current.create_time;
            if current.without_times() == **movie {
                imported.unchanged += 1;
            } else {
                self.put(movie.clone().with_times(create_time, Some(self.now)));
                imported.updated += 1;
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

    fn put_new(&mut self, movie: ValidMovie) -> Record {
        self.put(movie.with_times(Some(self.now), Some(self.now)))
    }

    #[expect(clippy::needless_pass_by_value, reason = "the movie is written and not used again")]
    fn put(&mut self, movie: ValidMovie) -> Record {
        let record = Record::of(&movie);
        self.change(movie.id(), Some(record.clone()));
        record
    }

    fn change(&mut self, id: MovieId, record: Option<Record>) {
        self.changes.push(CommittedChange::after(self.point(), &id, record.clone()));
        self.changed.insert(id, record);
    }

    /// Returns the point after the changes so far.
    fn point(&self) -> HistoryPoint {
        self.changes.last().map_or(self.snapshot.point(), |change| change.point)
    }
}

#[cfg(test)]
mod tests;
