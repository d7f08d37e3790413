//! The command that writes all movies as a database.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::Builder;
use tokio_stream::StreamExt;

use super::failure::Exit;
use super::output::DatabaseWriter;
use super::tell;
use crate::{Client, Query};

/// As many links as Linux follows from one name.
const MOST_LINKS: u32 = 40;

/// Writes all movies, as they are at one revision, to a file, or to `out` without one and for `-`.
pub(super) async fn export(client: &Client, file: Option<&Path>, out: &mut impl Write) -> Result<Exit> {
    let Some(path) = file.filter(|path| *path != Path::new("-")) else {
        write(client, out).await?;
        return Ok(Exit::Done);
    };
    let cannot = || format!("cannot write {}", path.display());
    let movies = match fs::metadata(path) {
        // A pipe or a device stays what it is.
        Ok(there) if !there.is_file() => {
            let file = OpenOptions::new().write(true).open(path).with_context(cannot)?;
            write(client, BufWriter::new(file)).await?
        }
        there => replace(client, path, there.ok().map(|there| there.permissions())).await?,
    };
    tell(&format!("{movies} movies written to {}", path.display()));
    Ok(Exit::Done)
}

/// Writes all movies to a new file beside the old one, and puts it in its place when it is whole: whoever has the old one
/// keeps it until then.
async fn replace(client: &Client, path: &Path, permissions: Option<Permissions>) -> Result<u64> {
    let cannot = || format!("cannot write {}", path.display());
    let to = linked(path).with_context(cannot)?;
    // Whoever may read other new files may read this one.
    let new = Permissions::from_mode(0o666);
    let part = Builder::new().permissions(new).tempfile_in(folder(&to));
    // Without the name of the part: nobody asked for such a file.
    let mut part = part.map_err(|error| io::Error::from(error.kind())).with_context(cannot)?;
    if let Some(permissions) = permissions {
        part.as_file().set_permissions(permissions).with_context(cannot)?;
    }
    let movies = write(client, BufWriter::new(&mut part)).await?;
    part.as_file().sync_all().with_context(cannot)?;
    part.persist(&to).map_err(|error| error.error).with_context(cannot)?;
    Ok(movies)
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."))
}

/// Returns the path that links lead to from a path, whether or not something is there.
fn linked(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            Ok(to) => path = folder(&path).join(to),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many links, one after the other"))
}

/// Writes all movies, and returns how many that are.
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
