//! Command that exports all movies as a JSON database.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, BufWriter, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::{Builder, SpooledTempFile};
use tokio_stream::StreamExt;

use super::failure::Exit;
use super::output::DatabaseWriter;
use super::print_notice;
use crate::{Client, Query};

/// Size of an export that is kept in memory until it is complete. A larger one is kept in a temporary file.
const MAX_BYTES_IN_MEMORY: usize = 16 << 20;

/// Number of symbolic links that Linux follows in one path.
const MAX_SYMLINKS: u32 = 40;

/// Writes all movies, at one revision, to a file. Without a file, and for `-`, it writes to `out`.
pub(super) async fn export(client: &Client, file: Option<&Path>, out: &mut impl Write) -> Result<Exit> {
    let Some(path) = file.filter(|path| *path != Path::new("-")) else {
        write_when_complete(client, out).await?;
        return Ok(Exit::Done);
    };
    let context = || format!("cannot write {}", path.display());
    let movies = match fs::metadata(path) {
        // A pipe or a device is written in place.
        Ok(metadata) if !metadata.is_file() => {
            let mut file = OpenOptions::new().write(true).open(path).with_context(context)?;
            write_when_complete(client, &mut file).await?
        }
        metadata => replace(client, path, metadata.ok().map(|metadata| metadata.permissions())).await?,
    };
    print_notice(&format!("{movies} movies written to {}", path.display()));
    Ok(Exit::Done)
}

/// Writes all movies to a temporary file in the same directory, and then renames it to the path.
async fn replace(client: &Client, path: &Path, permissions: Option<Permissions>) -> Result<u64> {
    let context = || format!("cannot write {}", path.display());
    let to = resolve_symlinks(path).with_context(context)?;
    // The permissions of a new file, subject to the umask.
    let new = Permissions::from_mode(0o666);
    let temporary = Builder::new().permissions(new).tempfile_in(directory(&to));
    // Without the path of the temporary file, which would confuse the user.
    let mut temporary = temporary.map_err(|error| io::Error::from(error.kind())).with_context(context)?;
    if let Some(permissions) = permissions {
        temporary.as_file().set_permissions(permissions).with_context(context)?;
    }
    let movies = write(client, BufWriter::new(&mut temporary)).await?;
    temporary.as_file().sync_all().with_context(context)?;
    temporary.persist(&to).map_err(|error| error.error).with_context(context)?;
    Ok(movies)
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|directory| *directory != Path::new("")).unwrap_or(Path::new("."))
}

/// Returns the target of the symbolic links at a path. The target need not exist.
fn resolve_symlinks(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_SYMLINKS {
        match fs::read_link(&path) {
            Ok(to) => path = directory(&path).join(to),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many levels of symbolic links"))
}

/// Writes all movies after the last one has arrived, and returns their number. What reads a pipe would take a part of a
/// document for all of it.
async fn write_when_complete(client: &Client, out: &mut impl Write) -> Result<u64> {
    let mut spool = SpooledTempFile::new(MAX_BYTES_IN_MEMORY);
    let movies = write(client, BufWriter::new(&mut spool)).await?;
    spool.rewind()?;
    io::copy(&mut spool, out)?;
    out.flush()?;
    Ok(movies)
}

/// Writes all movies, and returns their number.
async fn write(client: &Client, out: impl Write) -> Result<u64> {
    let mut database = DatabaseWriter::begin(out)?;
    let mut pages = client.pages(Query::default());
    let mut movies = 0;
    while let Some(page) = pages.next().await.transpose()? {
        for movie in &page.movies {
            database.movie(movie)?;
        }
        movies += page.movies.len() as u64;
    }
    database.end()?.flush()?;
    Ok(movies)
}
