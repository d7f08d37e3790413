//! The command that writes all movies as a database.

use std::fs::Permissions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use tempfile::Builder;
use tokio_stream::StreamExt;

use super::failure::Exit;
use super::output::DatabaseWriter;
use crate::{Client, Query};

/// Writes all movies, as they are at one revision, to a file or to `out`.
pub(super) async fn export(client: &Client, file: Option<&Path>, out: &mut impl Write) -> Result<Exit> {
    let Some(path) = file else {
        write(client, out).await?;
        return Ok(Exit::Done);
    };
    let cannot = || format!("cannot write {}", path.display());
    // Beside it until it is whole: whoever has the old one keeps it until then.
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    // Whoever may read other new files may read this one.
    let permissions = Permissions::from_mode(0o666);
    let part = Builder::new().permissions(permissions).tempfile_in(folder);
    // Without the name of the part: nobody asked for such a file.
    let mut part = part.map_err(|error| io::Error::from(error.kind())).with_context(cannot)?;
    let movies = write(client, BufWriter::new(&mut part)).await?;
    part.as_file().sync_all().with_context(cannot)?;
    part.persist(path).map_err(|error| error.error).with_context(cannot)?;
    eprintln!("{movies} movies written to {}", path.display());
    Ok(Exit::Done)
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
