//! The messages of a watch, as gRPC frames.

use bytes::{Buf, Bytes};
use movie_proto::catalog::v1::WatchMoviesResponse;
use movie_proto::catalog::v1::watch_movies_response::Event;
use prost::Message;

use crate::catalogue::encoding::frame::{PREFIX_BYTES, write_length};
use crate::catalogue::{HistoryPoint, LogEntry, Record};
use crate::servicer::encoded::Encoded;
use crate::servicer::tokens::resume_token;

/// The number of `WatchMoviesResponse.upserted`.
const UPSERTED: u32 = 2;

/// Appends the frame of a change.
pub(super) fn put_change(change: &LogEntry, frames: &mut Vec<u8>) {
    let mut message = with_token(change.point);
    match &change.after {
        Some(record) => return put_movie(message, record, frames),
        None => message.event = Some(Event::DeletedId(change.id.to_string())),
    }
    put_frame(&message, frames);
}

/// Appends the frame of a movie of a full copy. A copy cannot be resumed, so its messages have no token.
pub(super) fn put_copied(point: HistoryPoint, movie: &Record, frames: &mut Vec<u8>) {
    let revision = point.revision.to_i64();
    put_movie(WatchMoviesResponse { revision, ..WatchMoviesResponse::default() }, movie, frames);
}

/// Returns the frame that says that a watch has caught up.
pub(super) fn caught_up(point: HistoryPoint) -> Bytes {
    let mut frame = Vec::new();
    put_frame(&WatchMoviesResponse { event: Some(Event::CaughtUp(true)), ..with_token(point) }, &mut frame);
    frame.into()
}

/// Decodes the messages of frames.
pub(super) fn decode(mut frames: Bytes) -> Vec<WatchMoviesResponse> {
    let mut messages = Vec::new();
    while let Some([_, length @ ..]) = frames.first_chunk::<PREFIX_BYTES>() {
        let length = u32::from_be_bytes(*length) as usize;
        frames.advance(PREFIX_BYTES);
        messages.extend(WatchMoviesResponse::decode(frames.split_to(length.min(frames.len()))).ok());
    }
    messages
}

fn with_token(point: HistoryPoint) -> WatchMoviesResponse {
    let (revision, resume_token) = (point.revision.to_i64(), resume_token::encode(point));
    WatchMoviesResponse { revision, event: None, resume_token }
}

fn put_movie(rest: WatchMoviesResponse, movie: &Record, frames: &mut Vec<u8>) {
    let mut message = Encoded::new(rest);
    message.add_movie(UPSERTED, movie.stored());
    put_frame(&message, frames);
}

fn put_frame(message: &impl Message, frames: &mut Vec<u8>) {
    let start = frames.len();
    frames.extend([0; PREFIX_BYTES]);
    message.encode_raw(frames);
    write_length(frames, start);
}
