//! Frames of HTTP/2, valid and invalid (RFC 9113, section 6).

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// Of DATA and HEADERS: the last frame of its stream.
pub(crate) const END_STREAM: u8 = 1;
/// Of SETTINGS and PING: an acknowledgement.
pub(crate) const ACK: u8 = 1;
/// Of HEADERS and CONTINUATION: the last frame of its header block.
pub(crate) const END_HEADERS: u8 = 4;

/// Settings (section 6.5.2).
pub(crate) const HEADER_TABLE_SIZE: u16 = 1;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;

/// Error codes (section 7).
pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// The largest window, and the largest increment of one (section 6.9.1).
pub(crate) const MAX_WINDOW: u32 = (1 << 31) - 1;

/// A frame, valid or not.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    /// 0 for the connection.
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self { kind, flags, stream, payload: payload.into() }
    }

    /// Returns a HEADERS frame with a complete header block.
    pub(crate) fn headers(stream: u32, block: impl Into<Vec<u8>>) -> Self {
        Self::new(HEADERS, END_HEADERS, stream, block)
    }

    pub(crate) fn data(stream: u32, data: impl Into<Vec<u8>>) -> Self {
        Self::new(DATA, 0, stream, data)
    }

    pub(crate) fn reset(stream: u32, code: u32) -> Self {
        Self::new(RST_STREAM, 0, stream, code.to_be_bytes())
    }

    pub(crate) fn settings(settings: &[(u16, u32)]) -> Self {
        let payload = settings
            .iter()
            .flat_map(|(name, value)| name.to_be_bytes().into_iter().chain(value.to_be_bytes()));
        Self::new(SETTINGS, 0, 0, payload.collect::<Vec<u8>>())
    }

    pub(crate) fn ping(data: u64) -> Self {
        Self::new(PING, 0, 0, data.to_be_bytes())
    }

    pub(crate) fn window_update(stream: u32, step: u32) -> Self {
        Self::new(WINDOW_UPDATE, 0, stream, step.to_be_bytes())
    }

    /// Returns a PRIORITY frame that makes a stream depend on another.
    pub(crate) fn priority(stream: u32, on: u32) -> Self {
        Self::new(PRIORITY, 0, stream, [on.to_be_bytes().as_slice(), &[0]].concat())
    }

    /// Sets `END_STREAM`.
    pub(crate) fn ending(mut self) -> Self {
        self.flags |= END_STREAM;
        self
    }

    /// Returns whether this is the last frame of its sender on the stream.
    pub(crate) fn ends_stream(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }

    /// Returns the error code of a `RST_STREAM` or `GOAWAY`.
    pub(crate) fn error_code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }

    /// Returns the last stream id of a GOAWAY frame.
    pub(crate) fn last_stream(&self) -> u32 {
        u32::from_be_bytes(self.payload[..4].try_into().unwrap()) & MAX_WINDOW
    }

    /// Returns the bytes of the frame.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let [_, length @ ..] = u32::try_from(self.payload.len()).unwrap().to_be_bytes();
        let head = [length.as_slice(), &[self.kind, self.flags], &self.stream.to_be_bytes()].concat();
        [head, self.payload.clone()].concat()
    }
}

/// Returns the bytes of frames.
pub(crate) fn encode(frames: impl IntoIterator<Item = Frame>) -> Vec<u8> {
    frames.into_iter().flat_map(|frame| frame.encode()).collect()
}

/// Returns the ids of the first `count` streams of a client.
pub(crate) fn streams(count: u32) -> impl Iterator<Item = u32> + Clone {
    (0..count).map(|number| 2 * number + 1)
}
