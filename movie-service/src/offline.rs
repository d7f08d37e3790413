//! Imports JSON files into a store, and exports a store as a JSON file.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};

use crate::catalogue::{Record, Snapshot};
use crate::config::Database;
use crate::store::json;
use crate::store::sql::{self, SqlSource};
use crate::store::{Command, Imported, Outcome, Store, StoreError};
use crate::telemetry::store_metrics::StoreMetrics;
use crate::text::{Escaped, name_missing_folder};

/// Movies that are written together.
const BATCH_MOVIES: usize = 2_000;

/// Kept changes during an import. There are no watchers; the default avoids compacting the store's log more than the
/// service would.
const KEPT_IN_MEMORY_CHANGES: usize = crate::catalogue::DEFAULT_KEPT_CHANGES;

/// Adds the movies of JSON files to a store. Identical movies are skipped, so an interrupted import can be repeated. The
/// first file of a new store is written in one transaction.
///
/// # Errors
///
/// If a file cannot be read or has an invalid movie, or if the store cannot be used.
pub fn import(files: &[PathBuf], database: &Database) -> anyhow::Result<()> {
    let source = store(database)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut total = Imported::default();
    runtime.block_on(async {
        let mut files = files.iter().map(|path| load(path));
        let mut next = files.next().transpose()?;
        if let Some((path, movies)) = &next {
            let bar = progress(path, movies.len());
            let filled = sql::fill(source, movies.len(), bar.wrap_iter(movies.movies())).await;
            bar.finish_and_clear();
            if filled.map_err(|error| not_opened(error, database))? {
                total.created += movies.len() as u64;
                drop(next.take()); // before the next file is loaded
                next = files.next().transpose()?;
            }
        }
        if next.is_none() {
            return Ok(());
        }
        let opened = Store::open(source, KEPT_IN_MEMORY_CHANGES, StoreMetrics::default()).await;
        let (store, _) = opened.map_err(|error| not_opened(error, database))?;
        let imported: anyhow::Result<()> = async {
            while let Some((path, movies)) = next.take() {
                import_file(&store, path, &movies, &mut total).await?;
                drop(movies);
                next = files.next().transpose()?;
            }
            Ok(())
        }
        .await;
        // So that an SQLite store is complete in its one file.
        store.close().await;
        imported
    })?;
    let Imported { created, updated, unchanged, rejected } = total;
    let text =
        format!("{created} created, {updated} updated, {unchanged} unchanged, {} rejected\n", rejected.len());
    io::stdout().write_all(text.as_bytes()).context("print what was imported")?;
    // Loading a file validates its movies by the same rules.
    if let Some(rejection) = rejected.first() {
        bail!("the movie `{}` was rejected: {}", Escaped(&rejection.id), rejection.reason);
    }
    Ok(())
}

fn load(path: &Path) -> anyhow::Result<(&Path, Snapshot)> {
    Ok((path, json::load(path).context("cannot load the database")?))
}

/// Names the store, and what to do if a service uses it.
fn not_opened(error: StoreError, database: &Database) -> anyhow::Error {
    let is_used = matches!(error, StoreError::InUse(_));
    let hint = if is_used { "; import through the service: `movie-client import FILE`" } else { "" };
    anyhow::Error::new(error).context(format!("cannot open {database}{hint}"))
}

fn progress(path: &Path, movies: usize) -> ProgressBar {
    let bar = ProgressBar::new(movies as u64).with_message(path.display().to_string());
    let style = ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

async fn import_file(
    store: &Store,
    path: &Path,
    movies: &Snapshot,
    total: &mut Imported,
) -> anyhow::Result<()> {
    let bar = progress(path, movies.len());
    let mut rest = movies.movies().peekable();
    while rest.peek().is_some() {
        let batch: Vec<_> =
            rest.by_ref().take(BATCH_MOVIES).map(|movie| Record::new(&movie).to_movie()).collect();
        let sent = batch.len();
        if let Outcome::Imported(imported) =
            store.write(Command::Import(batch)).await.context("cannot import")?
        {
            let Imported { created, updated, unchanged, rejected } = imported;
            total.created += created;
            total.updated += updated;
            total.unchanged += unchanged;
            total.rejected.extend(rejected);
        }
        bar.inc(sent as u64);
    }
    bar.finish_and_clear();
    Ok(())
}

/// Writes the movies of a store as a JSON file, in listing order; to standard output without a name and for `-`.
///
/// # Errors
///
/// If the store cannot be read, or the file cannot be written.
pub fn export(database: &Database, output: Option<&Path>) -> anyhow::Result<()> {
    let source = store(database)?;
    if let (SqlSource::Sqlite(store), Some(path)) = (source, output)
        && is_file_of_store(store, path)
    {
        bail!("{} is a file of the store, which must not be replaced; choose another file", path.display());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let movies = runtime.block_on(sql::read(source)).with_context(|| format!("cannot read {database}"))?;
    let Some(path) = output.filter(|path| *path != Path::new("-")) else {
        return match json::write(&movies, &mut BufWriter::new(io::stdout().lock())) {
            // The reader needs no more, as in `export | head`.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written.context("write the movies"),
        };
    };
    write_file(&movies, path)
        .map_err(|error| name_missing_folder(error, path))
        .with_context(|| format!("write {}", path.display()))
}

/// Returns whether a path leads to an SQLite database, or to one of its companions.
fn is_file_of_store(store: &Path, path: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
    let output = identity(path);
    output.is_some()
        && ["", "-wal", "-shm", "-journal"].into_iter().any(|suffix| {
            let mut file = store.as_os_str().to_owned();
            file.push(suffix);
            identity(Path::new(&file)) == output
        })
}

/// Writes movies to a path. A regular file is replaced once the new one is complete, so that no reader sees a partial
/// file; a pipe or a device is written in place.
fn write_file(movies: &Snapshot, path: &Path) -> io::Result<()> {
    let existing = fs::metadata(path).ok();
    if existing.as_ref().is_some_and(|metadata| !metadata.is_file()) {
        let mut file = BufWriter::new(OpenOptions::new().write(true).open(path)?);
        json::write(movies, &mut file)?;
        return file.flush();
    }
    // Not the symbolic link, but what it leads to, if that exists.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let directory = path.parent().filter(|directory| *directory != Path::new("")).unwrap_or(Path::new("."));
    // The permissions of a new file, subject to the umask.
    let new = Permissions::from_mode(0o666);
    let temporary = tempfile::Builder::new().permissions(new).tempfile_in(directory);
    // Omits the path of the temporary file.
    let mut temporary = temporary.map_err(|error| io::Error::from(error.kind()))?;
    if let Some(existing) = existing {
        temporary.as_file().set_permissions(existing.permissions())?;
    }
    let mut file = BufWriter::new(&mut temporary);
    json::write(movies, &mut file)?;
    file.flush()?;
    drop(file);
    temporary.as_file().sync_all()?;
    temporary.persist(&path).map_err(|error| error.error)?;
    Ok(())
}

fn store(database: &Database) -> anyhow::Result<&SqlSource> {
    match database {
        Database::Sql(source) => Ok(source),
        Database::Json(path) => {
            bail!("{} is a JSON file, expected a store: name it with --database sqlite:PATH", path.display())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::Command;
    use std::thread;

    use tempfile::TempDir;

    use super::*;

    const MOVIES: &str = "{\"movies\": [\n{\"title\": \"Creed\", \"id\": \"7\"}\n]}\n";

    fn snapshot() -> Snapshot {
        json::load_from(MOVIES.as_bytes(), 0, Path::new("movies.json")).unwrap()
    }

    #[test]
    fn an_export_to_a_pipe_is_written_in_place() {
        let directory = TempDir::new().unwrap();
        let pipe = directory.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reader = thread::spawn({
            let pipe = pipe.clone();
            move || fs::read_to_string(pipe).unwrap()
        });
        write_file(&snapshot(), &pipe).unwrap();
        assert_eq!(reader.join().unwrap(), MOVIES);
        assert!(!fs::metadata(pipe).unwrap().is_file());
    }

    #[test]
    fn an_export_to_a_symbolic_link_replaces_its_target_and_keeps_the_permissions() {
        let directory = TempDir::new().unwrap();
        let (file, link) = (directory.path().join("films.json"), directory.path().join("link.json"));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
        symlink("films.json", &link).unwrap();
        write_file(&snapshot(), &link).unwrap();
        assert!(fs::symlink_metadata(link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), MOVIES);
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o666);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "a temporary file is left");
    }

    #[test]
    fn an_export_onto_a_file_of_its_store_is_refused() {
        let directory = TempDir::new().unwrap();
        let file = |name| directory.path().join(name);
        for name in ["movies.db", "movies.db-wal", "other.json"] {
            fs::write(file(name), "content").unwrap();
        }
        symlink("movies.db", file("link")).unwrap();
        fs::hard_link(file("movies.db-wal"), file("hard link")).unwrap();
        let database = Database::Sql(SqlSource::Sqlite(file("movies.db")));
        for name in ["movies.db", "movies.db-wal", "link", "hard link"] {
            let error = export(&database, Some(&file(name))).unwrap_err().to_string();
            assert!(
                error.ends_with("is a file of the store, which must not be replaced; choose another file"),
                "{error}"
            );
        }
        assert_eq!(fs::read_to_string(file("movies.db")).unwrap(), "content");
        for name in ["other.json", "new.json"] {
            assert!(!is_file_of_store(&file("movies.db"), &file(name)));
        }
    }

    #[test]
    fn an_export_into_a_missing_directory_creates_nothing() {
        let directory = TempDir::new().unwrap();
        let error = write_file(&snapshot(), &directory.path().join("missing/films.json")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
