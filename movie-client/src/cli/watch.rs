//! The command that follows changes.

use std::io::Write;

use anyhow::Result;
use futures_util::stream::try_unfold;
use tokio_stream::StreamExt;

use super::args::{From, Watch};
use super::failure::Exit;
use super::output::{Printer, Row};
use super::stream::each;
use crate::{Change, Client, Event, Items, Start};

pub(super) async fn watch<W: Write>(client: &Client, args: &Watch, printer: &mut Printer<W>) -> Result<Exit> {
    let start = match &args.from {
        Some(From::Revision(revision)) => Start::After(*revision),
        Some(From::Token(token)) => Start::Resume(token.clone()),
        None if args.copy => Start::Copy,
        None => Start::Now,
    };
    let mut changes = client.watch(start).await?;
    if args.until_caught_up {
        changes = Box::pin(try_unfold(Some(changes), async |changes: Option<Items<Change>>| {
            let Some(mut changes) = changes else { return Ok(None) };
            let Some(change) = changes.next().await.transpose()? else { return Ok(None) };
            let is_last = change.event == Event::CaughtUp;
            Ok(Some((change, (!is_last).then_some(changes))))
        }));
    }
    each(changes, printer, |printer, change| match change {
        Some(change) => printer.row(Row::Change(&change)),
        None => printer.flush(),
    })
    .await?;
    printer.finish()?;
    Ok(Exit::Done)
}
