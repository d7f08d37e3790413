//! Response data passed through h2 to the write buffer without copying.
//!
//! h2 takes the data of a response as a [`Buf`], and hands the writer of the connection plain slices: neither of its
//! interfaces can carry the [`Bytes`] that a slice belongs to, nor a lifetime that outlasts the write. The write buffer
//! needs the `Bytes`, because it keeps the data until the peer reads. h2 calls [`Buf::chunk`] right before it writes the
//! slice, on the same thread. So `chunk` leaves the `Bytes` in a thread-local variable, and the write buffer takes them
//! from there: [`OfferedBytes`].

use std::cell::Cell;

use bytes::{Buf, Bytes};

use crate::server::call::permit::UnsentGuard;

/// Minimum size of a write that is shared instead of copied.
const MIN_SHARED_BYTES: usize = 4 * 1024;

thread_local! {
    static OFFERED: Cell<Option<Bytes>> = const { Cell::new(None) };
}

/// The bytes that h2 is about to write, if they can be shared.
pub(crate) struct OfferedBytes(Option<Bytes>);

impl OfferedBytes {
    /// Takes the bytes that [`ResponseData::chunk`] left. Must be called at each write, so that no later write finds
    /// them.
    pub(crate) fn take() -> Self {
        Self(OFFERED.take())
    }

    /// Returns the bytes of `slice` without copying, if `slice` is the start of these bytes.
    pub(crate) fn share(&self, slice: &[u8]) -> Option<Bytes> {
        let is_start = |bytes: &&Bytes| bytes.as_ptr() == slice.as_ptr() && bytes.len() >= slice.len();
        Some(self.0.as_ref().filter(is_start)?.slice(..slice.len()))
    }
}

/// Data of a response.
pub(crate) struct ResponseData {
    bytes: Bytes,
    /// Whether the bytes outlive the response anyway (catalogue), so that sharing them costs no memory.
    is_shared: bool,
    /// Dropped when h2 has written the data or the stream is reset; until then the call is in flight.
    unsent: Option<UnsentGuard>,
}

impl ResponseData {
    /// Bytes that belong to this response only.
    pub(crate) fn owned(bytes: Bytes, unsent: Option<UnsentGuard>) -> Self {
        Self { bytes, is_shared: false, unsent }
    }

    /// Bytes of the catalogue, which outlive the response.
    pub(crate) fn shared(bytes: Bytes, unsent: Option<UnsentGuard>) -> Self {
        Self { bytes, is_shared: true, unsent }
    }
}

impl From<ResponseData> for Bytes {
    fn from(data: ResponseData) -> Self {
        data.bytes
    }
}

impl Buf for ResponseData {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        if self.is_shared && self.bytes.len() >= MIN_SHARED_BYTES {
            OFFERED.set(Some(self.bytes.clone()));
        }
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        if let Some(unsent) = &self.unsent {
            unsent.record_sent(count);
        }
    }
}
