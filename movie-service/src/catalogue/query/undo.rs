//! Undo: reconstructs an earlier revision from a snapshot and the changes since.
//!
//! All pages of a list show the catalogue at one revision. Snapshots of past revisions are not kept: each list would hold
//! memory, and other nodes would not have them.

use std::collections::{HashMap, HashSet};

use crate::catalogue::change_log::LogEntry;
use crate::catalogue::encoding::record::Record;
use crate::catalogue::layout::segment::Location;
use crate::catalogue::snapshot::Snapshot;

/// The differences between an earlier revision and a snapshot.
#[derive(Debug, Default)]
pub(crate) struct Undo {
    /// The movies that were changed since, by id.
    movies: HashMap<Box<str>, PastMovie>,
    /// Removed movies, latest first, keyed by the movie that preceded them in listing order.
    removed: HashMap<Option<Box<str>>, Vec<Box<str>>>,
    /// The locations of changed movies in the snapshot.
    changed: HashMap<Location, Box<str>>,
    /// The segments whose part of the listing differs: a movie has changed, or removed movies were listed after it.
    segments: HashSet<usize>,
}

/// A movie at the earlier revision.
#[derive(Debug)]
struct PastMovie {
    /// `None` if the movie did not exist.
    record: Option<Record>,
    /// Whether its position in the listing order is unchanged.
    in_place: bool,
    /// If the position has changed: the movie that was listed before it.
    previous: Option<Box<str>>,
}

impl Undo {
    /// Undoes `entries`: all changes from the earlier revision to `snapshot`, in order.
    pub(crate) fn new(snapshot: &Snapshot, entries: &[LogEntry]) -> Self {
        let mut undo = Self::default();
        let mut removals = Vec::new();
        for entry in entries {
            let then = undo.movies.entry(entry.id.clone()).or_insert_with(|| PastMovie {
                record: entry.before.clone(),
                in_place: entry.before.is_some(),
                previous: None,
            });
            if entry.after.is_none() && then.in_place {
                then.in_place = false;
                then.previous.clone_from(&entry.previous);
                removals.push(entry);
            }
        }
        // In reverse order, each movie is re-inserted right after its predecessor.
        for entry in removals.into_iter().rev() {
            undo.removed.entry(entry.previous.clone()).or_default().push(entry.id.clone());
        }
        for id in undo.movies.keys() {
            if let Some(location) = snapshot.find(id.as_bytes()) {
                undo.changed.insert(location, id.clone());
                undo.segments.insert(location.segment());
            }
        }
        for id in undo.removed.keys().flatten() {
            undo.segments.extend(snapshot.find(id.as_bytes()).map(Location::segment));
        }
        undo
    }

    /// Returns the number of movies at the earlier revision.
    pub(crate) fn len(&self, snapshot: &Snapshot) -> usize {
        let were = self.records().count();
        snapshot.len() - self.changed.len() + were
    }

    /// Returns whether a segment's part of the listing differs.
    pub(crate) fn differs_in(&self, segment: usize) -> bool {
        self.segments.contains(&segment)
    }

    /// Returns the locations of movies that have changed.
    pub(crate) fn changed(&self) -> impl Iterator<Item = Location> {
        self.changed.keys().copied()
    }

    /// Returns the changed movies as they were at the earlier revision.
    pub(crate) fn records(&self) -> impl Iterator<Item = &Record> {
        self.movies.values().filter_map(|then| then.record.as_ref())
    }

    /// Returns a movie as it was at the earlier revision; `None` if it did not exist.
    pub(crate) fn get(&self, snapshot: &Snapshot, id: &str) -> Option<Record> {
        match self.movies.get(id) {
            Some(then) => then.record.clone(),
            None => snapshot.get(id).as_ref().map(Record::new),
        }
    }

    /// Returns the movie that was listed at a location of the snapshot, and the removed movies that followed it.
    pub(crate) fn listed_at(&self, snapshot: &Snapshot, location: Location) -> Vec<Record> {
        let Some(id) = self.changed.get(&location) else {
            let movie = snapshot.movie(location);
            return self.with_removed(Some(movie.id), vec![Record::new(&movie)]);
        };
        match self.movies.get(id) {
            Some(PastMovie { record: Some(record), in_place: true, .. }) => {
                self.with_removed(Some(id), vec![record.clone()])
            }
            // The movie at this location was added later.
            Some(_) | None => Vec::new(),
        }
    }

    /// Returns the removed movies that were listed before all others.
    pub(crate) fn listed_first(&self) -> Vec<Record> {
        self.with_removed(None, Vec::new())
    }

    /// Returns the nearest movie at or before this one whose position is unchanged; `None` if there is none.
    pub(crate) fn anchor(&self, id: &str) -> Option<Box<str>> {
        let mut anchor = Some(Box::from(id));
        while let Some(then) = anchor.as_ref().and_then(|id| self.movies.get(id)) {
            if then.in_place {
                break;
            }
            anchor.clone_from(&then.previous);
        }
        anchor
    }

    /// Appends the removed movies that were listed after a movie.
    fn with_removed(&self, id: Option<&str>, mut records: Vec<Record>) -> Vec<Record> {
        // An explicit stack, because the chain of removed movies can be as long as the change log.
        let next = |id: Option<&str>| self.removed.get(&id.map(Box::from)).into_iter().flatten();
        let mut stack: Vec<_> = next(id).collect();
        while let Some(id) = stack.pop() {
            records.extend(self.movies.get(id).and_then(|then| then.record.clone()));
            stack.extend(next(Some(id)));
        }
        records
    }
}
