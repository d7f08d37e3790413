//! Printing what arrives when it arrives.

use std::future::ready;
use std::io;

use anyhow::Result;
use tokio_stream::StreamExt;

use crate::Items;

/// Gives what arrives to `print` one by one, and `None` when nothing more is there yet: what has been printed leaves
/// together, and nobody waits for it because the next is late.
pub(super) async fn each<T, P>(
    mut items: Items<T>,
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
