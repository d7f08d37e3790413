//! What each command calls and prints.

use std::io::{self, Write};

use anyhow::{Result, bail};

use crate::args::{Args, Command};
use crate::client::{Client, Movies};
use crate::text_format;

/// The id that the course's client asks for: The Martian.
const COURSE_ID: &str = "a8034f44-aee4-44cf-b32c-74cf452aaaae";

/// Makes the calls of a command line and prints the answers to `out`. That nobody reads on is no error.
///
/// # Errors
///
/// A sentence for people if a call fails, no movie has the id, or `out` cannot be written.
pub async fn run(args: &Args, out: &mut impl Write) -> Result<()> {
    let outcome = async {
        let mut client = Client::connect(&args.address).await?;
        match &args.command {
            None => course(&mut client, out).await,
            Some(Command::Get { id }) => get(&mut client, id, out).await,
            Some(Command::List) => print_titles(client.list().await?, out).await,
        }
    };
    match outcome.await {
        Err(error) if is_broken_pipe(&error) => Ok(()),
        outcome => outcome,
    }
}

/// The course's two calls.
async fn course(client: &mut Client, out: &mut impl Write) -> Result<()> {
    let movie = client.get(COURSE_ID).await?.unwrap_or_default();
    writeln!(out, "----- GetMovieByID -----")?;
    writeln!(out, "{}", text_format::movie(&movie))?;
    writeln!(out, "----- GetListMovies -----")?;
    print_titles(client.list().await?, out).await
}

async fn get(client: &mut Client, id: &str, out: &mut impl Write) -> Result<()> {
    let Some(movie) = client.get(id).await? else {
        bail!("no movie has the id `{}`", id.escape_debug());
    };
    write!(out, "{}", text_format::movie(&movie))?;
    Ok(out.flush()?)
}

async fn print_titles(mut movies: Movies, out: &mut impl Write) -> Result<()> {
    loop {
        // Lines that are there leave together; nobody waits for a line because the next one is late.
        let next = tokio::select! {
            biased;
            next = movies.next() => next,
            () = std::future::ready(()) => {
                out.flush()?;
                movies.next().await
            }
        };
        match next? {
            Some(movie) => writeln!(out, "Movie called {}", text_format::line(&movie.title))?,
            None => return Ok(out.flush()?),
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
