//! The course's two calls, and its list.

use std::future::ready;
use std::io::Write;

use anyhow::Result;
use tokio_stream::StreamExt;

use super::failure::Exit;
use super::output::text_format;
use crate::{Client, Items, Movie};

/// The id that the course's client asks for: The Martian.
const COURSE_ID: &str = "a8034f44-aee4-44cf-b32c-74cf452aaaae";

/// Makes the course's two calls, and prints what its client prints.
pub(super) async fn run(client: &Client, out: &mut impl Write) -> Result<Exit> {
    let movie = client.course_get(COURSE_ID).await?.unwrap_or_default();
    writeln!(out, "----- GetMovieByID -----")?;
    writeln!(out, "{}", text_format::movie(&movie))?;
    writeln!(out, "----- GetListMovies -----")?;
    each(client.course_list().await?, out, |out, movie: Option<Movie>| match movie {
        Some(movie) => writeln!(out, "Movie called {}", text_format::line(&movie.title)),
        None => out.flush(),
    })
    .await?;
    Ok(Exit::Done)
}

/// Gives what arrives to `print` one by one, and `None` when nothing more is there yet: what has been printed leaves
/// together, and nobody waits for it because the next is late.
pub(super) async fn each<T, P>(
    mut items: Items<T>,
    to: &mut P,
    mut print: impl FnMut(&mut P, Option<T>) -> std::io::Result<()>,
) -> Result<()> {
    loop {
        let next = tokio::select! {
            biased;
            next = items.next() => next,
            () = ready(()) => {
                print(to, None)?;
                items.next().await
            }
        };
        match next.transpose()? {
            Some(item) => print(to, Some(item))?,
            None => return Ok(print(to, None)?),
        }
    }
}
