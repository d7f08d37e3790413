//! Loads a JSON database again when its file changes.
//!
//! It looks at the file a few times a second, instead of asking the operating system to be told: that works
//! alike for a file that is written in place or replaced, for links, and on every file system.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, SystemTime};

use tracing::{error, info};

use super::json::{self, LoadError};
use crate::catalogue::{Catalogue, Snapshot};

/// How often to look at the file.
const LOOK: Duration = Duration::from_millis(200);

/// How many looks a file may change at before it is read all the same.
const MOST_CHANGES: usize = 50;

/// A JSON database that is followed as its file changes.
#[derive(Debug)]
pub struct JsonDatabase {
    path: PathBuf,
    seen: Version,
}

impl JsonDatabase {
    /// Loads the movies of a JSON file.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if the file cannot be read, or is not a database.
    pub fn open(path: &Path) -> Result<(Self, Snapshot), LoadError> {
        // Before the file is read: what is written meanwhile is a later version.
        let seen = Version::of(path);
        let movies = json::load(path)?;
        Ok((Self { path: path.to_owned(), seen }, movies))
    }

    /// Keeps `catalogue` up to date, on a thread of its own, for as long as somebody else keeps it. A version
    /// that is no database is logged and passed over.
    ///
    /// # Errors
    ///
    /// If the thread cannot be started.
    pub fn follow(self, catalogue: &Arc<Catalogue>) -> io::Result<()> {
        let catalogue = Arc::downgrade(catalogue);
        thread::Builder::new().name("database".to_owned()).spawn(move || self.run(&catalogue))?;
        Ok(())
    }

    fn run(mut self, catalogue: &Weak<Catalogue>) {
        let mut last_refused = String::new();
        loop {
            thread::sleep(LOOK);
            let Some(catalogue) = catalogue.upgrade() else { return };
            let version = Version::of(&self.path);
            if version == self.seen {
                continue;
            }
            self.seen = self.settled(version);
            match json::load(&self.path) {
                Ok(movies) => {
                    let count = movies.len();
                    catalogue.replace(movies);
                    info!("serving {count} movies from the new version of {}", self.path.display());
                    last_refused.clear();
                }
                Err(error) => {
                    let refused = line(&error);
                    // What cannot be read now may be readable soon, without being another version.
                    if matches!(error, LoadError::Read { .. }) {
                        self.seen = Version(None);
                    }
                    if refused != last_refused {
                        error!("still serving the old movies: {refused}");
                    }
                    last_refused = refused;
                }
            }
        }
    }

    /// Waits until nobody writes, and returns the version that is there then.
    fn settled(&self, mut version: Version) -> Version {
        for _ in 0..MOST_CHANGES {
            thread::sleep(LOOK);
            let now = Version::of(&self.path);
            if now == version {
                break;
            }
            version = now;
        }
        version
    }
}

/// What tells one version of a file from the next without reading it; `None` if there is no file to read.
#[derive(Debug, PartialEq, Eq)]
struct Version(Option<(SystemTime, u64, u64)>);

impl Version {
    fn of(path: &Path) -> Self {
        #[cfg(unix)]
        let number = std::os::unix::fs::MetadataExt::ino;
        #[cfg(not(unix))]
        let number = |_: &fs::Metadata| 0;
        let metadata = fs::metadata(path).ok();
        Self(
            metadata
                .and_then(|metadata| Some((metadata.modified().ok()?, metadata.len(), number(&metadata)))),
        )
    }
}

/// Writes an error and its causes in one line.
fn line(error: &LoadError) -> String {
    let mut line = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        line = format!("{line}: {source}");
        cause = source.source();
    }
    line
}
