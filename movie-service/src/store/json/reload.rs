//! Reloads a JSON database when its file changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{fs, io};

use crate::catalogue::{Catalogue, HistoryPoint, Snapshot};
use crate::movie::Revision;
use crate::regular_file;
use crate::reload::{self, Files, ReloadOutcome, WatcherHandle};
use crate::store::json::load::{LoadError, load_file};

/// A loaded JSON database whose file can be watched for changes.
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
    /// [`LoadError`] if the file cannot be read, or is not a valid database.
    pub fn open(path: &Path) -> Result<(Self, Snapshot), LoadError> {
        let files = Files::new(vec![path.to_owned()]);
        // Read before the file, so that a version written meanwhile causes another reload.
        let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
        let movies = load_file(regular_file::open_to_read(path), path)?;
        // The first revision is the modification time of the file in microseconds. Services over the same file
        // therefore agree on it, also after a restart, and a later version of the file has a higher revision than all
        // changes before.
        let since_epoch = modified.unwrap_or_else(|_| SystemTime::now()).duration_since(UNIX_EPOCH);
        let micros = u64::try_from(since_epoch.unwrap_or_default().as_micros()).unwrap_or_default();
        let begin = HistoryPoint { revision: Revision::new(micros), chain: movies.digest() };
        Ok((Self { path: path.to_owned(), files }, movies.at(begin)))
    }

    /// Reloads the file into `catalogue` when it changes, on a separate thread, as long as `catalogue` has other
    /// owners. Logs and ignores an invalid version. Calls `report` with whether the new version is in use.
    ///
    /// # Errors
    ///
    /// If the thread cannot be started.
    pub fn watch(
        self,
        catalogue: &Arc<Catalogue>,
        report: impl Fn(bool) + Send + 'static,
    ) -> io::Result<WatcherHandle> {
        let Self { path, files } = self;
        let catalogue = Arc::downgrade(catalogue);
        reload::watch("database", files, report, move || {
            let Some(catalogue) = catalogue.upgrade() else { return ReloadOutcome::Unneeded };
            match load_file(regular_file::open_to_read(&path), &path) {
                Ok(movies) => {
                    let count = movies.len();
                    catalogue.replace(movies);
                    ReloadOutcome::Used(format!(
                        "serving {count} movies from the new version of {}",
                        path.display()
                    ))
                }
                Err(error) => {
                    // A file that cannot be read now may become readable without changing.
                    let is_transient = matches!(error, LoadError::Read { .. });
                    ReloadOutcome::refused("still serving the previous movies", &error, is_transient)
                }
            }
        })
    }
}
