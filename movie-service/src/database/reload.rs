//! Loads a JSON database again when its file changes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::json::{self, LoadError};
use crate::catalogue::{Catalogue, Snapshot};
use crate::watch::{self, Files, Handle, Outcome};

/// A JSON database that is followed as its file changes.
#[derive(Debug)]
pub struct JsonDatabase {
    path: PathBuf,
    files: Files,
}

impl JsonDatabase {
    /// Loads the movies of a JSON file.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if the file cannot be read, or is not a database.
    pub fn open(path: &Path) -> Result<(Self, Snapshot), LoadError> {
        let files = Files::new(vec![path.to_owned()]);
        // Higher than any revision that the file had in an earlier run, unless it changed once a microsecond: who goes on
        // from one of those is told that it is gone, instead of missing what was changed meanwhile.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let movies = json::load(path)?.at_revision(u64::try_from(now).unwrap_or_default());
        Ok((Self { path: path.to_owned(), files }, movies))
    }

    /// Keeps `catalogue` up to date, on a thread of its own, for as long as somebody else keeps it. A version
    /// that is no database is logged and passed over. `told` hears whether a new version was taken.
    ///
    /// # Errors
    ///
    /// If the thread cannot be started.
    pub fn follow(
        self,
        catalogue: &Arc<Catalogue>,
        told: impl Fn(bool) + Send + 'static,
    ) -> io::Result<Handle> {
        let Self { path, files } = self;
        let catalogue = Arc::downgrade(catalogue);
        watch::follow("database", files, told, move || {
            let Some(catalogue) = catalogue.upgrade() else { return Outcome::Unneeded };
            match json::load(&path) {
                Ok(movies) => {
                    let count = movies.len();
                    catalogue.replace(movies);
                    Outcome::Used(format!(
                        "serving {count} movies from the new version of {}",
                        path.display()
                    ))
                }
                Err(error) => {
                    // What cannot be read now may be readable soon, without being another version.
                    let may_pass = matches!(error, LoadError::Read { .. });
                    Outcome::refused("still serving the old movies", &error, may_pass)
                }
            }
        })
    }
}
