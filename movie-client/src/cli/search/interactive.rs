//! Search while a person types.

use anyhow::Result;
use crossterm::event::EventStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::picker::{Picker, Reaction};
use super::screen::Screen;
use super::{MAX_PAGE_SIZE, page_size};
use crate::cli::output::OutputOptions;
use crate::{Client, Movie, SearchQuery};

/// Lets a person search on the terminal, and returns the chosen movie. `query` has the filter and the order. Without a
/// limit, a page of the largest size is requested, through which the screen scrolls.
///
/// # Errors
///
/// The error of the terminal, or an error of the service that is not temporary. A temporary error is shown.
pub(super) async fn choose(
    client: &Client,
    query: SearchQuery,
    limit: Option<u64>,
    options: &OutputOptions,
) -> Result<Option<Movie>> {
    // Both end the process without restoring the terminal by default.
    let (mut terminated, mut hung_up) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    let query = SearchQuery { page_size: page_size(limit.unwrap_or(MAX_PAGE_SIZE)), ..query };
    let (typed, queries) = mpsc::unbounded_channel();
    let search = |text| {
        // The results hold the receiver.
        let _ = typed.send(SearchQuery { text, ..query.clone() });
    };
    let mut results = client.search_as_you_type(UnboundedReceiverStream::new(queries));
    let mut picker = Picker::default();
    search(String::new());

    let mut screen = Screen::open()?;
    let mut events = EventStream::new();
    loop {
        let (width, height) = Screen::size();
        screen.draw(&picker.view(width, height, options))?;
        let reaction = tokio::select! {
            event = events.next() => match event.transpose()? {
                Some(event) => picker.event(&event),
                None => Reaction::Leave,
            },
            Some((query, page)) = results.next() => match page {
                Err(error) if !error.is_temporary() => return Err(error.into()),
                page => picker.results(&query.text, page),
            },
            _ = terminated.recv() => Reaction::Leave,
            _ = hung_up.recv() => Reaction::Leave,
        };
        match reaction {
            Reaction::Draw => {}
            Reaction::Search(text) => search(text),
            Reaction::Choose(movie) => return Ok(Some(*movie)),
            Reaction::Leave => return Ok(None),
        }
    }
}
