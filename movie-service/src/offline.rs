//! Imports JSON files into a store, and exports a store as a JSON file.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
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

/// Adds the movies of JSON files to a store. Identical movies are skipped, so an interrupted import can be resumed.
///
/// # Errors
///
/// If a file cannot be read or has an invalid movie, or if the store cannot be used.
pub fn import(files: &[PathBuf], database: &Database) -> anyhow::Result<()> {
    let source = store(database)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut total = Imported::default();
    runtime.block_on(async {
        let opened = Store::open(source, KEPT_IN_MEMORY_CHANGES, StoreMetrics::default()).await;
        let (store, _) = opened.map_err(|error| {
            let is_used = matches!(error, StoreError::InUse(_));
            let hint = if is_used { "; import through the service: `movie-client import FILE`" } else { "" };
            anyhow::Error::new(error).context(format!("cannot open {database}{hint}"))
        })?;
        let imported: anyhow::Result<()> = async {
            for path in files {
                let movies = json::load(path).context("cannot load the database")?;
                import_file(&store, path, &movies, &mut total).await?;
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

async fn import_file(
    store: &Store,
    path: &Path,
    movies: &Snapshot,
    total: &mut Imported,
) -> anyhow::Result<()> {
    let bar = ProgressBar::new(movies.len() as u64).with_message(path.display().to_string());
    let style = ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let movies = runtime.block_on(sql::read(source)).with_context(|| format!("cannot read {database}"))?;
    let Some(path) = output.filter(|path| *path != Path::new("-")) else {
        return match json::write(&movies, &mut BufWriter::new(io::stdout().lock())) {
            // The reader needs no more, as in `export | head`.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written.context("write the movies"),
        };
    };
    // Written to a temporary name and renamed when complete and synced, so that no reader sees a partial file.
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let write_all = || {
        let mut file = BufWriter::new(File::create(&part)?);
        json::write(&movies, &mut file)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        std::fs::rename(&part, path)
    };
    write_all()
        .map_err(|error| name_missing_folder(error, path))
        .with_context(|| format!("write {}", path.display()))
}

fn store(database: &Database) -> anyhow::Result<&SqlSource> {
    match database {
        Database::Sql(source) => Ok(source),
        Database::Json(path) => {
            bail!("{} is a JSON file, expected a store: name it with --database sqlite:PATH", path.display())
        }
    }
}
