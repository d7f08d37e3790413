//! Response data on its way through h2 to the write buffer of its connection.

use std::cell::Cell;

use bytes::{Buf, Bytes};

use crate::server::call::permit::Unsent;

/// Writes that are worth sharing; shorter ones are copied.
const WORTH_SHARING: usize = 4 * 1024;

thread_local! {
    /// The [`Data`] that h2 is about to write. h2 writes it to the write buffer right after calling `chunk`, on the
    /// same thread, so the buffer can find the `Bytes` here.
    static OFFERED: Cell<Option<Bytes>> = const { Cell::new(None) };
}

/// Takes the buffer that h2 is about to write, if it can be shared.
pub(crate) fn offered() -> Option<Bytes> {
    OFFERED.take()
}

/// Data of a response.
pub(crate) struct Data {
    bytes: Bytes,
    /// Whether the bytes stay in memory for longer than this, so that to share them costs nothing.
    lasts: bool,
    /// Dropped when h2 has written the data or the stream is reset; until then the call is in flight.
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
