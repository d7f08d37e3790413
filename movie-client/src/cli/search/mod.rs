//! Command that searches movies. The modules, in reading order:
//!
//! * [`search`]: prints the movies that match words.
//! * `interactive`: shows the movies that match while a person types, on a terminal that `screen` controls; `picker`: the
//!   state of such a search, without a terminal and a service; `line_editor`: the typed text.

mod interactive;
mod line_editor;
mod picker;
mod screen;
#[cfg(test)]
mod tests;

use std::env;
use std::io::{self, IsTerminal, Write};

use anyhow::Result;
use tokio_stream::StreamExt;

use super::args::Search;
use super::failure::{Exit, UsageError};
use super::output::{Format, OutputOptions, Printer, Row};
use super::print_notice;
use crate::{Client, SearchQuery};

/// Maximum number of movies without `--limit`.
const DEFAULT_LIMIT: u64 = 10;

/// Maximum number of movies that a search returns.
pub(super) const MAX_HITS: u64 = 1_000;

/// Largest page of a search.
const MAX_PAGE_SIZE: u64 = 100;

pub(super) async fn search<W: Write>(
    client: &Client,
    args: Search,
    options: &OutputOptions,
    out: &mut W,
) -> Result<Exit> {
    let limit = args.limit;
    let is_interactive = args.words.is_empty();
    let query = SearchQuery::from(args);
    let mut printer = Printer::new(out, options.clone());
    if !is_interactive {
        return print_hits(client, query, limit.unwrap_or(DEFAULT_LIMIT), options, &mut printer).await;
    }
    if !query.facets.is_empty() {
        return Err(UsageError("--facets needs words to search for".to_owned()).into());
    }
    if limit.is_some_and(|limit| !(1..=MAX_PAGE_SIZE).contains(&limit)) {
        let text = format!("--limit: expected 1 to {MAX_PAGE_SIZE} without words to search for");
        return Err(UsageError(text).into());
    }
    check_terminal()?;
    let Some(movie) = interactive::choose(client, query, limit, options).await? else {
        return Ok(Exit::Interrupted);
    };
    printer.one(&movie)?;
    printer.finish()?;
    Ok(Exit::Done)
}

async fn print_hits<W: Write>(
    client: &Client,
    query: SearchQuery,
    limit: u64,
    options: &OutputOptions,
    printer: &mut Printer<W>,
) -> Result<Exit> {
    let mut wants_facets = !query.facets.is_empty();
    if wants_facets && limit > 0 && options.format == Format::Csv {
        let text = "movies and facets have no CSV header in common; add --limit 0 for the facets, or leave out --facets";
        return Err(UsageError(text.to_owned()).into());
    }
    let mut pages = client.search_pages(SearchQuery { page_size: page_size(limit), ..query });
    let mut left = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut facets = Vec::new();
    let (mut count, mut total) = (0, None);
    printer.begin_hits()?;
    while (left > 0 || wants_facets)
        && let Some(page) = pages.next().await.transpose()?
    {
        for hit in page.hits.iter().take(left) {
            printer.row(Row::Hit(hit))?;
            count += 1;
        }
        left = left.saturating_sub(page.hits.len());
        printer.flush()?;
        total = Some(page.total);
        if wants_facets {
            facets = page.facets;
            wants_facets = false;
        }
    }
    for facet in &facets {
        printer.row(Row::Facet(facet))?;
    }
    printer.finish()?;
    match total.filter(|_| options.width.is_some()) {
        Some(0) => print_notice("no movie matches"),
        Some(total) if (1..total).contains(&count) => {
            let hint = if count < MAX_HITS { "; --limit shows more" } else { "" };
            print_notice(&format!("the first {count} of at least {total} movies{hint}"));
        }
        Some(_) | None => {}
    }
    Ok(Exit::Done)
}

/// Returns the size of the pages for this number of movies.
fn page_size(limit: u64) -> u32 {
    u32::try_from(limit.clamp(1, MAX_PAGE_SIZE)).unwrap_or_default()
}

/// Checks that a person can type, and that the screen can be drawn.
fn check_terminal() -> Result<(), UsageError> {
    let needed = if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        "a terminal as standard input and output"
    } else if env::var_os("TERM").is_some_and(|name| name == "dumb") {
        "a terminal that can move its cursor (TERM is `dumb`)"
    } else {
        return Ok(());
    };
    Err(UsageError(format!("give the words to search for; typing them needs {needed}")))
}
