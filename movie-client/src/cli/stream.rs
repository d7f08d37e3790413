//! Output of items as they arrive.

use std::future::ready;
use std::io;

use anyhow::Result;
use tokio_stream::StreamExt;

use crate::ResponseStream;

/// Passes items to `print` as they arrive, and `None` when no further item is ready. Items that arrive together are
/// flushed together, and a late item delays no earlier one.
pub(super) async fn print_stream<T, P>(
    mut items: ResponseStream<T>,
    to: &mut P,
    mut print: impl FnMut(&mut P, Option<T>) -> io::Result<()>,
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
