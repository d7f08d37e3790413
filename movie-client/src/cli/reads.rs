//! The commands that read.

use std::io::{self, BufRead, Read, Write};
use std::sync;
use std::thread;

use anyhow::{Result, bail};
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use super::args::List;
use super::failure::Exit;
use super::output::{Fact, Printer, Row, text_format};
use super::stream::each;
use super::tell;
use crate::{Client, Error, Filter, Health, Movie, Query};

/// The longest line of standard input, in bytes: more than an id can take.
const LONGEST_LINE: u64 = 4096;

/// Ids read from standard input before they are asked for.
const READ_AHEAD: usize = 256;

pub(super) async fn get<W: Write>(client: &Client, id: &str, printer: &mut Printer<W>) -> Result<Exit> {
    let movie = match client.get(id).await {
        // A service of the course has the course's contract only.
        Err(Error::Unimplemented { .. }) => client.course_get(id).await?,
        Err(Error::NotFound { .. }) => None,
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
fn no_movie(id: &str) -> Error {
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
                each(movies, printer, |printer, movie: Option<Movie>| match movie {
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
        // A pipe that is full holds it up without the runtime knowing; an interruption is seen here.
        yield_now().await;
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
    let (fail, failure) = sync::mpsc::channel();
    // A thread of its own: it may wait for a line that never comes, and nobody waits for it.
    thread::spawn(move || {
        if let Err(error) = read_ids(io::stdin().lock(), |id| send.blocking_send(id).is_ok()) {
            let _ = fail.send(error);
        }
    });
    let answers = client.lookup(ReceiverStream::new(ids)).await?;
    let (mut asked, mut missing) = (0_u64, 0_u64);
    each(answers, printer, |printer, answer| match answer {
        Some((id, movie)) => {
            asked += 1;
            missing += u64::from(movie.is_none());
            printer.row(Row::Found { id: &id, movie: movie.as_ref() })
        }
        None => printer.flush(),
    })
    .await?;
    printer.finish()?;
    if let Ok(error) = failure.try_recv() {
        bail!("standard input cannot be read: {error}");
    }
    if missing > 0 {
        tell(&format!("{missing} of {asked} ids have no movie"));
        return Ok(Exit::NoSuchMovie);
    }
    Ok(Exit::Done)
}

/// Reads ids, one a line, until `take` does not want any more. A byte order mark in front of the first is passed over.
fn read_ids(mut lines: impl BufRead, mut take: impl FnMut(String) -> bool) -> io::Result<()> {
    let mut is_first = true;
    loop {
        let mut line = String::new();
        let read = lines.by_ref().take(LONGEST_LINE).read_line(&mut line)? as u64;
        if read == LONGEST_LINE && !line.ends_with('\n') {
            return Err(io::Error::other(format!("a line has {LONGEST_LINE} bytes or more, and is no id")));
        }
        let id = line.strip_suffix('\n').map_or(&*line, |line| line.strip_suffix('\r').unwrap_or(line));
        let id = if is_first { id.strip_prefix('\u{feff}').unwrap_or(id) } else { id };
        is_first = false;
        if read == 0 || !id.is_empty() && !take(id.to_owned()) {
            return Ok(());
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &[u8]) -> (Vec<String>, Option<String>) {
        let mut ids = Vec::new();
        let read = read_ids(text, |id| {
            ids.push(id);
            true
        });
        (ids, read.err().map(|error| error.to_string()))
    }

    #[test]
    fn ids_are_lines_and_a_line_without_an_end_is_no_id() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(ids(b"a\r\n\nb c\nd"), (words(&["a", "b c", "d"]), None));
        assert_eq!(ids(b"\xef\xbb\xbfa\n\xef\xbb\xbfb"), (words(&["a", "\u{feff}b"]), None));
        let (read, error) = ids(&[b"a\n", &[b'x'; 10_000][..]].concat());
        assert_eq!(read, ["a"]);
        assert_eq!(error.unwrap(), "a line has 4096 bytes or more, and is no id");
    }

    #[test]
    fn nothing_is_read_that_nobody_wants() {
        let mut lines: &[u8] = b"a\nb\nc\n";
        read_ids(&mut lines, |id| id == "a").unwrap();
        assert_eq!(lines, b"c\n");
    }
}
