//! Loads a JSON database again when its file changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{fs, io};

use crate::catalogue::{Catalogue, HistoryPoint, Snapshot};
use crate::movie::Revision;
use crate::reload::{self, Files, Handle, Outcome};
use crate::store::json::load::{LoadError, load};

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
        // Taken before the file is read: a version that replaces it meanwhile is read again.
        let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
        let movies = load(path)?;
        // The history begins with the movies of the file, at the time when that was written: services over the same file
        // agree on it, also after a restart, and a later version has a higher revision than any change before.
        let since_epoch = modified.unwrap_or_else(|_| SystemTime::now()).duration_since(UNIX_EPOCH);
        let micros = u64::try_from(since_epoch.unwrap_or_default().as_micros()).unwrap_or_default();
        let begin = HistoryPoint { revision: Revision::new(micros), chain: movies.digest() };
        Ok((Self { path: path.to_owned(), files }, movies.at(begin)))
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
        reload::follow("database", files, told, move || {
            let Some(catalogue) = catalogue.upgrade() else { return Outcome::Unneeded };
            match load(&path) {
                Ok(movies) => {
                    let count = movies.len();
                    catalogue.replace(movies);
                    Outcome::Used(format!(
                        "serving {count} movies from the new version of {}",
                        path.display()
                    ))
                }
                Err(error) => {
                    // A file that cannot be read now may become readable without changing.
                    let is_transient = matches!(error, LoadError::Read { .. });
                    Outcome::refused("still serving the old movies", &error, is_transient)
                }
            }
        })
    }
}
