//! The commands that read.

use std::io::{self, BufRead, Write};
use std::thread;

use anyhow::{Result, bail};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use super::args::List;
use super::course;
use super::failure::Exit;
use super::output::{Fact, Printer, Row, text_format};
use crate::{Client, Error, Filter, Health, Movie, Query};

/// Ids read from standard input before they are asked for.
const READ_AHEAD: usize = 256;

pub(super) async fn get<W: Write>(client: &Client, id: &str, printer: &mut Printer<W>) -> Result<Exit> {
    let movie = match client.get(id).await {
        // A service of the course has the course's contract only.
        Err(Error::Unimplemented { .. }) => client.course_get(id).await?,
        Err(Error::NotFound { .. } | Error::Invalid { .. }) => None,
        movie => Some(movie?),
    };
    let Some(movie) = movie else {
        return Err(no_movie(id).into());
    };
    printer.one(&movie)?;
    printer.finish()?;
    Ok(Exit::Done)
}

/// Says that no movie has an id.
pub(super) fn no_movie(id: &str) -> Error {
    Error::NotFound {
        message: format!("no movie has the id `{}`", id.escape_debug()),
        ids: vec![id.to_owned()],
    }
}

pub(super) async fn list<W: Write>(client: &Client, args: List, printer: &mut Printer<W>) -> Result<Exit> {
    let limit = args.limit.unwrap_or(u64::MAX);
    let is_plain = List { limit: None, ..args.clone() } == List::default();
    let query = query(args);
    let mut pages = client.pages(query);
    let mut left = usize::try_from(limit).unwrap_or(usize::MAX);
    while left > 0
        && let Some(page) = pages.next().await
    {
        let page = match page {
            // A service of the course has the course's contract only.
            Err(Error::Unimplemented { .. }) if is_plain => {
                let movies = Box::pin(client.course_list().await?.take(left));
                course::each(movies, printer, |printer, movie: Option<Movie>| match movie {
                    Some(movie) => printer.row(Row::Movie(&movie)),
                    None => printer.flush(),
                })
                .await?;
                break;
            }
            page => page?,
        };
        for movie in page.movies.iter().take(left) {
            printer.row(Row::Movie(movie))?;
        }
        left = left.saturating_sub(page.movies.len());
        printer.flush()?;
    }
    printer.finish()?;
    Ok(Exit::Done)
}

fn query(args: List) -> Query {
    let List { year_from, year_to, rating_min, genres, countries, languages, director, order_by, limit } =
        args;
    let filter = Filter { year_from, year_to, rating_min, genres, countries, languages, director };
    // No more than is wanted; 0 is as many as can be had.
    let page_size = limit.and_then(|limit| u32::try_from(limit).ok()).unwrap_or_default().min(1000);
    Query { filter, order_by, page_size }
}

pub(super) async fn batch<W: Write>(
    client: &Client,
    ids: Vec<String>,
    printer: &mut Printer<W>,
) -> Result<Exit> {
    for movie in client.batch(ids).await? {
        printer.row(Row::Movie(&movie))?;
    }
    printer.finish()?;
    Ok(Exit::Done)
}

pub(super) async fn lookup<W: Write>(client: &Client, printer: &mut Printer<W>) -> Result<Exit> {
    let (send, ids) = mpsc::channel(READ_AHEAD);
    // A thread of its own: it may wait for a line that never comes, and nobody waits for it.
    let reader = thread::spawn(move || -> io::Result<()> {
        for line in io::stdin().lock().lines() {
            let id = line?;
            if !id.is_empty() && send.blocking_send(id).is_err() {
                break;
            }
        }
        Ok(())
    });
    let answers = client.lookup(ReceiverStream::new(ids)).await?;
    let (mut asked, mut missing) = (0_u64, 0_u64);
    course::each(answers, printer, |printer, answer| match answer {
        Some((id, movie)) => {
            asked += 1;
            missing += u64::from(movie.is_none());
            printer.row(Row::Found { id: &id, movie: movie.as_ref() })
        }
        None => printer.flush(),
    })
    .await?;
    printer.finish()?;
    if let Ok(Err(error)) = reader.join() {
        bail!("standard input cannot be read: {error}");
    }
    if missing > 0 {
        eprintln!("{missing} of {asked} ids have no movie");
        return Ok(Exit::NoSuchMovie);
    }
    Ok(Exit::Done)
}

pub(super) async fn info<W: Write>(client: &Client, printer: &mut Printer<W>) -> Result<Exit> {
    let catalog = client.catalog().await?;
    printer.facts(&[
        ("movies", Fact::Number(catalog.movie_count)),
        ("revision", Fact::Number(catalog.revision)),
        ("store", Fact::Text(catalog.store)),
        ("read_only", Fact::Bool(catalog.read_only)),
        ("version", Fact::Text(catalog.version)),
    ])?;
    printer.finish()?;
    Ok(Exit::Done)
}

pub(super) async fn health<W: Write>(
    client: &Client,
    service: &str,
    printer: &mut Printer<W>,
) -> Result<Exit> {
    let (status, exit) = match client.health(service).await? {
        Health::Serving => ("serving", Exit::Done),
        Health::NotServing => ("not serving", Exit::NotServing),
        Health::Unknown => bail!("the service does not know `{}`", text_format::line(service)),
    };
    printer.facts(&[("status", Fact::Text(status.to_owned()))])?;
    printer.finish()?;
    Ok(exit)
}
