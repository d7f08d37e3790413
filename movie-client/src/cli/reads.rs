//! Commands that read.

use std::io::{self, BufRead, Read, Write};
use std::sync;
use std::thread;

use anyhow::{Context, Result, bail};
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use super::args::List;
use super::failure::{Exit, Hint};
use super::output::{OutputOptions, Printer, Property, Row, text_format};
use super::print_notice;
use super::stream::print_stream;
use crate::{Client, Error, Health, Movie, Query};

/// Longest line of standard input. An id is shorter.
const MAX_LINE_BYTES: u64 = 4096;

/// Number of ids that are read from standard input ahead of the lookups.
const READ_AHEAD_IDS: usize = 256;

/// Advice if a server of the course is asked for a part of its movies.
const COURSE_LIST_HINT: &str =
    "a server of the course can list all its movies only: leave out the filter and --order; --limit works";

pub(super) async fn get<W: Write>(client: &Client, id: &str, printer: &mut Printer<W>) -> Result<Exit> {
    let movie = match client.get(id).await {
        // A server of the course implements only the course's contract.
        Err(Error::Unimplemented { .. }) => client.course_get(id).await?,
        Err(Error::NotFound { .. }) => None,
        movie => Some(movie?),
    };
    let Some(movie) = movie else {
        return Err(not_found(id).into());
    };
    printer.one(&movie)?;
    printer.finish()?;
    Ok(Exit::Done)
}

/// Returns the error for an unknown id.
fn not_found(id: &str) -> Error {
    Error::NotFound {
        message: format!("no movie has the id `{}`", id.escape_debug()),
        ids: vec![id.to_owned()],
    }
}

pub(super) async fn list<W: Write>(
    client: &Client,
    args: List,
    options: &OutputOptions,
    out: &mut W,
) -> Result<Exit> {
    let mut printer = Printer::new(out, options.clone());
    let mut is_empty = false;
    let limit = args.limit.unwrap_or(u64::MAX);
    let is_whole = List { limit: None, ..args.clone() } == List::default();
    let mut pages = client.pages(Query::from(args));
    let mut left = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut listed = 0_u64;
    while left > 0
        && let Some(page) = pages.next().await
    {
        let page = match page {
            // A server of the course implements only the course's contract.
            Err(Error::Unimplemented { .. }) if is_whole => {
                let movies = Box::pin(client.course_list().await?.take(left));
                is_empty = true;
                print_stream(movies, &mut printer, |printer, movie: Option<Movie>| match movie {
                    Some(movie) => {
                        is_empty = false;
                        listed += 1;
                        printer.row(Row::Movie(&movie))
                    }
                    None => printer.flush(),
                })
                .await
                .map_err(|error| broken_off(error, listed))?;
                break;
            }
            Err(error @ Error::Unimplemented { .. }) => {
                return Err(error).context(Hint(COURSE_LIST_HINT.to_owned()));
            }
            page => page.map_err(|error| broken_off(error.into(), listed))?,
        };
        is_empty = page.total == 0;
        for movie in page.movies.iter().take(left) {
            printer.row(Row::Movie(movie))?;
            listed += 1;
        }
        left = left.saturating_sub(page.movies.len());
        printer.flush()?;
        // A blocked write to a full pipe does not yield. An interruption is noticed here.
        yield_now().await;
    }
    printer.finish()?;
    if is_empty && options.is_on_terminal() {
        print_notice(if is_whole { "the catalogue has no movies" } else { "no movie matches" });
    }
    Ok(Exit::Done)
}

/// Adds to the error of a list that it is incomplete.
fn broken_off(error: anyhow::Error, listed: u64) -> anyhow::Error {
    match listed {
        0 => error,
        1 => error.context(Hint("the list is incomplete: it ends after 1 movie; list again".to_owned())),
        _ => {
            error.context(Hint(format!("the list is incomplete: it ends after {listed} movies; list again")))
        }
    }
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
    let (send, ids) = mpsc::channel(READ_AHEAD_IDS);
    let (fail, failure) = sync::mpsc::channel();
    // On a thread of its own, because it may wait for a line for ever. The runtime does not wait for it.
    thread::spawn(move || {
        if let Err(error) = read_ids(io::stdin().lock(), |id| send.blocking_send(id).is_ok()) {
            let _ = fail.send(error);
        }
    });
    let responses = client.lookup(ReceiverStream::new(ids)).await?;
    let (mut total, mut missing) = (0_u64, 0_u64);
    print_stream(responses, printer, |printer, response| match response {
        Some((id, movie)) => {
            total += 1;
            missing += u64::from(movie.is_none());
            printer.row(Row::Lookup { id: &id, movie: movie.as_ref() })
        }
        None => printer.flush(),
    })
    .await?;
    printer.finish()?;
    if let Ok(error) = failure.try_recv() {
        bail!("standard input cannot be read: {error}");
    }
    if missing > 0 {
        print_notice(&format!("{missing} of {total} ids are unknown"));
        return Ok(Exit::NotFound);
    }
    Ok(Exit::Done)
}

/// Reads ids, one per line, until `take` returns `false`. Skips a byte order mark at the beginning.
fn read_ids(mut lines: impl BufRead, mut take: impl FnMut(String) -> bool) -> io::Result<()> {
    let mut is_first = true;
    loop {
        let mut line = String::new();
        let read = lines.by_ref().take(MAX_LINE_BYTES).read_line(&mut line)? as u64;
        if read == MAX_LINE_BYTES && !line.ends_with('\n') {
            return Err(io::Error::other(format!(
                "a line has {MAX_LINE_BYTES} bytes or more, so it is not an id"
            )));
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
    printer.properties(&[
        ("movies", Property::Number(catalog.movie_count)),
        ("revision", Property::Number(catalog.revision)),
        ("store", Property::Text(catalog.store)),
        ("read_only", Property::Bool(catalog.read_only)),
        ("can_write", Property::Bool(catalog.can_write)),
        ("version", Property::Text(catalog.version)),
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
        Health::Unknown => bail!(
            "the service does not know `{}`; omit the name to check the whole service, or name a gRPC service, such as \
             movie.catalog.v1.MovieCatalog",
            text_format::line(service)
        ),
    };
    printer.properties(&[("status", Property::Text(status.to_owned()))])?;
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
    fn ids_are_lines_of_limited_length() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(ids(b"a\r\n\nb c\nd"), (words(&["a", "b c", "d"]), None));
        assert_eq!(ids(b"\xef\xbb\xbfa\n\xef\xbb\xbfb"), (words(&["a", "\u{feff}b"]), None));
        let (read, error) = ids(&[b"a\n", &[b'x'; 10_000][..]].concat());
        assert_eq!(read, ["a"]);
        assert_eq!(error.unwrap(), "a line has 4096 bytes or more, so it is not an id");
    }

    #[test]
    fn reading_stops_when_no_further_id_is_accepted() {
        let mut lines: &[u8] = b"a\nb\nc\n";
        read_ids(&mut lines, |id| id == "a").unwrap();
        assert_eq!(lines, b"c\n");
    }
}
