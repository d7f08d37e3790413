//! Command that watches changes.

use std::io::Write;

use anyhow::Result;
use futures_util::stream::try_unfold;
use tokio_stream::StreamExt;

use super::args::{Watch, WatchStart};
use super::failure::Exit;
use super::output::{Printer, Row};
use super::stream::print_stream;
use crate::{Change, Client, Event, ResponseStream, Start};

pub(super) async fn watch<W: Write>(client: &Client, args: &Watch, printer: &mut Printer<W>) -> Result<Exit> {
    let start = match &args.from {
        Some(WatchStart::Revision(revision)) => Start::After(*revision),
        Some(WatchStart::Token(token)) => Start::Resume(token.clone()),
        None if args.copy => Start::FullCopy,
        None => Start::Now,
    };
    let mut changes = client.watch(start).await?;
    if args.until_caught_up {
        changes = Box::pin(try_unfold(Some(changes), async |changes: Option<ResponseStream<Change>>| {
            let Some(mut changes) = changes else { return Ok(None) };
            let Some(change) = changes.next().await.transpose()? else { return Ok(None) };
            let is_last = change.event == Event::CaughtUp;
            Ok(Some((change, (!is_last).then_some(changes))))
        }));
    }
    print_stream(changes, printer, |printer, change| match change {
        Some(change) => printer.row(Row::Change(&change)),
        None => printer.flush(),
    })
    .await?;
    printer.finish()?;
    Ok(Exit::Done)
}
