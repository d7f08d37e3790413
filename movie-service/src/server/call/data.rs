//! Response data on its way through h2 to the write buffer of its connection.

use std::cell::Cell;

use bytes::{Buf, Bytes};

use crate::server::call::permit::Unsent;

/// Writes that are worth sharing; shorter ones are copied.
const WORTH_SHARING: usize = 4 * 1024;

thread_local! {
    /// The [`Data`] that h2 is about to write. It takes slices of it, writes them through the write buffer of the
    /// connection, and does nothing else in between, all on this thread.
    static OFFERED: Cell<Option<Bytes>> = const { Cell::new(None) };
}

/// Returns what is about to be written, if it lasts and is worth sharing.
pub(crate) fn offered() -> Option<Bytes> {
    OFFERED.take()
}

/// Data of a response.
pub(crate) struct Data {
    bytes: Bytes,
    /// Whether the bytes stay in memory for longer than this, so that to share them costs nothing.
    lasts: bool,
    /// h2 keeps this until it has written it, or its stream is reset; for as long, the call goes on.
    unsent: Option<Unsent>,
}

impl Data {
    /// Bytes that were made for this answer.
    pub(crate) fn made(bytes: Bytes, unsent: Option<Unsent>) -> Self {
        Self { bytes, lasts: false, unsent }
    }

    /// Bytes that are kept by others for longer than it takes to send them.
    pub(crate) fn lasting(bytes: Bytes, unsent: Option<Unsent>) -> Self {
        Self { bytes, lasts: true, unsent }
    }
}

impl From<Data> for Bytes {
    fn from(data: Data) -> Self {
        data.bytes
    }
}

impl Buf for Data {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        if self.lasts && self.bytes.len() >= WORTH_SHARING {
            OFFERED.set(Some(self.bytes.clone()));
        }
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        if let Some(unsent) = &self.unsent {
            unsent.took(count);
        }
    }
}
