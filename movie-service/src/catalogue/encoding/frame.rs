//! A movie as a gRPC frame: a gRPC length-prefixed message that holds a `MovieData`.
//!
//! ```text
//! ┌────────────┬──────────────────────┬────────────────────────────────────────────────┐
//! │ 0 (1 byte) │ length (4, big-end.) │ title = 1, rating = 2, director = 3, id = 4    │
//! └────────────┴──────────────────────┴────────────────────────────────────────────────┘
//! ```
//!
//! The prefix is an uncompressed Length-Prefixed-Message of the gRPC over HTTP/2 protocol. The message is the
//! standard protobuf encoding: fields in the order of their numbers, without fields that have default values.

use std::iter;

use bytes::BufMut;
use prost::encoding::{decode_varint, encode_varint, encoded_len_varint};

use crate::catalogue::encoding::details::Details;

/// The length of the prefix, in bytes.
pub const PREFIX_BYTES: usize = 5;

/// The frame of a `MovieData` without any field set.
pub const EMPTY: &[u8] = &[0; PREFIX_BYTES];

/// Maximum size of a message: the default limit of gRPC clients.
pub const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;

// A tag is the number of a field and its wire type: 2 for length-delimited, 5 for four bytes.
const TITLE: u8 = 1 << 3 | 2;
pub(crate) const RATING: u8 = 2 << 3 | 5;
const DIRECTOR: u8 = 3 << 3 | 2;
const ID: u8 = 4 << 3 | 2;

/// A movie, borrowed from the memory that holds its text.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MovieView<'a> {
    /// The title.
    pub title: &'a str,
    /// The rating from 0 to 10; 0 also if the movie has no rating; the method `rating` distinguishes the two.
    pub rating: f32,
    /// The director; empty if not known.
    pub director: &'a str,
    /// The id; unique in a catalogue and not empty.
    pub id: &'a str,
    /// The fields that are not in the frame. Empty after [`Self::decode`].
    pub details: Details<'a>,
}

impl<'a> MovieView<'a> {
    /// Appends the frame of this movie to `out`.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.put_bytes(0, PREFIX_BYTES);
        self.encode_message(out);
        write_length(out, start);
    }

    /// Appends the message of this movie to `out`, without its details.
    pub(crate) fn encode_message(&self, out: &mut Vec<u8>) {
        put_text(TITLE, self.title, out);
        if self.rating != 0.0 {
            out.put_u8(RATING);
            out.put_f32_le(self.rating);
        }
        put_text(DIRECTOR, self.director, out);
        put_text(ID, self.id, out);
    }

    /// Returns the size of the message that [`Self::encode_message`] appends, in bytes.
    pub(crate) fn message_len(&self) -> usize {
        let text_len = |text: &str| match text.len() {
            0 => 0,
            length => 1 + encoded_len_varint(length as u64) + length,
        };
        let rating_len = if self.rating == 0.0 { 0 } else { 1 + size_of::<f32>() };
        text_len(self.title) + rating_len + text_len(self.director) + text_len(self.id)
    }

    /// Decodes a frame of a catalogue.
    #[must_use]
    pub fn decode(frame: &'a [u8]) -> Self {
        let mut movie = Self::default();
        movie.take_fields(frame.get(PREFIX_BYTES..).unwrap_or_default());
        movie
    }

    /// Decodes the fields of a frame from the start of a message; returns the remaining bytes.
    pub(crate) fn take_fields(&mut self, message: &'a [u8]) -> &'a [u8] {
        let text = |value: &'a [u8]| str::from_utf8(value).unwrap_or_default();
        let mut fields = Fields { rest: message, last: 0 };
        for (tag, value) in fields.by_ref() {
            match tag {
                TITLE => self.title = text(value),
                RATING => self.rating = f32::from_le_bytes(value.try_into().unwrap_or_default()),
                DIRECTOR => self.director = text(value),
                _ => self.id = text(value),
            }
        }
        fields.rest
    }

    /// Checks the invariants of the catalogue. The rules of [`movie`](crate::movie) are stricter; requests and files
    /// are validated by them before.
    ///
    /// # Errors
    ///
    /// [`InvalidMovie`] if an invariant is violated.
    pub(crate) fn check(&self) -> Result<(), InvalidMovie> {
        match self.max_message_len() {
            _ if self.id.is_empty() => Err(InvalidMovie::NoId),
            _ if self.title.is_empty() => Err(InvalidMovie::NoTitle),
            length if length > MAX_MESSAGE_BYTES => Err(InvalidMovie::TooLarge(length)),
            _ => Ok(()),
        }
    }

    /// Returns an upper bound of the size of the frame, in bytes.
    pub(crate) fn max_frame_len(&self) -> usize {
        // Each text has a tag and a length of at most five bytes; the rating takes five in all.
        PREFIX_BYTES + self.title.len() + self.director.len() + self.id.len() + 3 * 6 + 5
    }

    /// Returns an upper bound of the size of the message with the details, in bytes.
    pub(crate) fn max_message_len(&self) -> usize {
        self.max_frame_len() - PREFIX_BYTES + self.details.len()
    }
}

/// Error of a movie that a catalogue cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMovie {
    /// The id is empty.
    #[error("`id` is missing or empty, expected text that no other movie has")]
    NoId,
    /// The title is empty.
    #[error("`title` is missing or empty, expected the name of the movie")]
    NoTitle,
    /// The movie exceeds [`MAX_MESSAGE_BYTES`].
    #[error(
        "the movie takes up to {0} bytes, expected at most {MAX_MESSAGE_BYTES} (what gRPC clients accept)"
    )]
    TooLarge(usize),
}

/// Writes the length of the message at the end of `out` into its prefix, which begins at `start`.
pub fn write_length(out: &mut [u8], start: usize) {
    let length = u32::try_from(out.len() - start - PREFIX_BYTES).unwrap_or(u32::MAX);
    out[start + 1..start + PREFIX_BYTES].copy_from_slice(&length.to_be_bytes());
}

/// Returns the id in a frame of a catalogue.
pub(crate) fn id(frame: &[u8]) -> &[u8] {
    fields(frame).find(|(tag, _)| *tag == ID).map_or(&[], |(_, value)| value)
}

/// Returns the title in a message of a frame.
pub(crate) fn title(message: &[u8]) -> &[u8] {
    Fields { rest: message, last: 0 }.find(|(tag, _)| *tag == TITLE).map_or(&[], |(_, value)| value)
}

/// Decodes consecutive frames of a catalogue.
pub fn movies(frames: &[u8]) -> impl Iterator<Item = MovieView<'_>> {
    each(frames).map(|(_, frame)| MovieView::decode(frame))
}

/// Returns the first frame of a sequence of frames.
pub(crate) fn first(frames: &[u8]) -> &[u8] {
    let length = match frames {
        [_, a, b, c, d, ..] => PREFIX_BYTES + u32::from_be_bytes([*a, *b, *c, *d]) as usize,
        _ => 0,
    };
    frames.get(..length).unwrap_or_default()
}

/// Returns consecutive frames, each with its start.
pub fn each(frames: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut start = 0;
    iter::from_fn(move || {
        let frame = first(frames.get(start..)?);
        let this = start;
        start += frame.len();
        (!frame.is_empty()).then_some((this, frame))
    })
}

/// Returns the fields of the message in a frame.
fn fields(frame: &[u8]) -> Fields<'_> {
    Fields { rest: frame.get(PREFIX_BYTES..).unwrap_or_default(), last: 0 }
}

/// Iterator over the tags and values of the fields of a frame. Ends at the first field that a frame does not have or
/// that is out of order; [`Details`] parses the fields after it.
struct Fields<'a> {
    rest: &'a [u8],
    /// The tag of the previous field.
    last: u8,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&tag, mut after) = self.rest.split_first()?;
        let length = match tag {
            _ if tag <= self.last => return None,
            RATING => size_of::<f32>(),
            TITLE | DIRECTOR | ID => usize::try_from(decode_varint(&mut after).ok()?).ok()?,
            _ => return None,
        };
        let (value, rest) = after.split_at_checked(length)?;
        (self.rest, self.last) = (rest, tag);
        Some((tag, value))
    }
}

fn put_text(tag: u8, text: &str, out: &mut Vec<u8>) {
    if !text.is_empty() {
        out.put_u8(tag);
        encode_varint(text.len() as u64, out);
        out.put_slice(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use movie_proto::MovieData;
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    fn encoded(movie: &MovieData) -> Vec<u8> {
        let MovieData { title, rating, director, id } = movie;
        let mut frame = Vec::new();
        MovieView { title, rating: *rating, director, id, details: Details::default() }.encode(&mut frame);
        frame
    }

    fn any_movie() -> impl Strategy<Value = MovieData> {
        // Lengths around 128, where a length grows from one byte to two.
        let text = || prop_oneof![".{0,20}", "[a-é]{60,140}"];
        (text(), prop_oneof![Just(0.0), Just(-0.0), any::<f32>()], text(), text())
            .prop_map(|(title, rating, director, id)| MovieData { title, rating, director, id })
    }

    proptest! {
        #[test]
        fn a_frame_is_the_prefix_and_the_bytes_that_prost_writes(movie in any_movie()) {
            let message = movie.encode_to_vec();
            let mut expected = vec![0];
            expected.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
            expected.extend(message);
            prop_assert_eq!(encoded(&movie), expected);
        }

        #[test]
        fn a_decoded_frame_is_the_movie_that_was_encoded(movie in any_movie()) {
            let frame = encoded(&movie);
            let decoded = MovieView::decode(&frame);
            prop_assert_eq!(decoded.title, &movie.title);
            // -0.0 is a default value to prost, too.
            let rating = if movie.rating == 0.0 { 0.0 } else { movie.rating };
            prop_assert_eq!(decoded.rating.to_bits(), rating.to_bits());
            prop_assert_eq!(decoded.director, &movie.director);
            prop_assert_eq!(decoded.id, &movie.id);
            prop_assert_eq!(id(&frame), movie.id.as_bytes());
            prop_assert!(frame.len() <= decoded.max_frame_len());
        }

        #[test]
        fn bytes_that_are_not_a_frame_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = MovieView::decode(&bytes);
            let _ = id(&bytes);
        }
    }

    #[test]
    fn a_movie_without_any_field_is_the_empty_frame() {
        assert_eq!(encoded(&MovieData::default()), EMPTY);
    }
}
