//! SQLite stores of a measurement.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::program;

/// Time limit of an import.
const IMPORT_TIMEOUT: Duration = Duration::from_mins(10);

/// Returns the address of a store, as the service takes it.
pub(crate) fn url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

/// Returns the command that imports the movies of a JSON file into a database.
pub(crate) fn import_command(target: &Path, from: &Path, database: &str) -> Command {
    let mut import = Command::new(target.join("release/movie-service"));
    import.arg("import").arg(from).args(["--database", database]);
    import
}

/// Imports the movies of a JSON file into a database.
pub(crate) fn import(target: &Path, from: &Path, database: &str) -> Result<()> {
    program::run(&mut import_command(target, from, database), IMPORT_TIMEOUT).map(drop)
}

/// Makes a store with the movies of a JSON file, in place of one that exists.
pub(crate) fn create(target: &Path, from: &Path, store: &Path) -> Result<()> {
    remove(store)?;
    import(target, from, &url(store))
}

/// Removes a store and the files beside it.
pub(crate) fn remove(path: &Path) -> Result<()> {
    for end in ["", "-wal", "-shm", ".lock"] {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        if fs::exists(&name)? {
            fs::remove_file(&name)?;
        }
    }
    Ok(())
}
